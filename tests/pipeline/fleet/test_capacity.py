"""What a host can carry, from figures of its run."""

from __future__ import annotations

from typing import Any

from pipeline.fleet.capacity import MeasuredCapacity


def status(cameras: int, cpu_seconds: float, frames: int = 0, dropped: int = 0) -> dict[str, Any]:
    """As a supervisor tells it."""
    stages = {"decoder": {"status": {}, "dropped": {"late": dropped}}}
    source = {"state": "running", "policy": "live", "frames_decoded": frames + 1, "stages": stages}
    return {"sources": {f"cam{n}": source for n in range(cameras)}, "workers": {"flow": {"cpu_seconds": cpu_seconds}}}


def measured(
    cores: int, cameras: int, per_camera: float, share_dropped: float = 0.0, seconds: int = 20
) -> MeasuredCapacity:
    capacity = MeasuredCapacity(cores)
    for second in range(0, seconds + 1, 5):
        frames = 25 * second
        capacity.look(
            status(cameras, per_camera * cameras * second, frames, int(share_dropped * frames)), float(second)
        )
    return capacity


def test_before_it_has_measured_a_host_takes_one_camera_for_each_core() -> None:
    assert MeasuredCapacity(4).limit(0)[0] == 4


def test_what_cameras_take_of_the_cores_says_how_many_fit() -> None:
    limit, why = measured(cores=8, cameras=10, per_camera=0.5).limit(10, 20.0)
    assert limit == 13 and "0.50 of 8 cores" in why


def test_it_grows_step_by_step_since_what_the_next_cameras_take_is_a_guess() -> None:
    assert measured(cores=64, cameras=3, per_camera=0.1).limit(3, 20.0)[0] == 7


def test_a_little_too_many_are_not_given_back() -> None:
    assert measured(cores=8, cameras=10, per_camera=0.75).limit(10, 20.0)[0] == 10


def test_a_host_that_drops_frames_is_full_and_gives_one_back_once_that_lasts() -> None:
    assert measured(8, 10, 0.2, share_dropped=0.1).limit(10, 20.0) == (10, "it drops frames")
    assert measured(8, 10, 0.2, share_dropped=0.1, seconds=45).limit(10, 45.0)[0] == 9
    assert measured(8, 10, 0.2, share_dropped=0.1, seconds=45).limit(9, 700.0)[0] > 9


def test_a_change_of_cameras_begins_the_measurement_anew() -> None:
    capacity = MeasuredCapacity(4)
    capacity.look(status(1, 0.0), 0.0)
    capacity.look(status(2, 100.0), 14.0)
    capacity.look(status(2, 101.0), 20.0)
    assert "not measured yet" in capacity.limit(2, 20.0)[1]

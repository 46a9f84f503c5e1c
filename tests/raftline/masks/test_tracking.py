from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from raftline.masks.regions import Region
from raftline.masks.tracking import RegionTracker

STEP = 0.04


def region(x: int, y: int = 10, width: int = 10, height: int = 8, velocity: tuple[float, float] = (0, 0)) -> Region:
    return Region((x, y, width, height), width * height, (x + width / 2, y + height / 2), velocity)


def tracker_of(persistence: float = 0.1, hold: float = 0.5) -> RegionTracker:
    return RegionTracker(persistence, hold, px_per_point=1, slow_px_s=20)


def test_a_camera_that_pans_keeps_the_ids() -> None:
    tracker, pan = tracker_of(), np.array([[1, 0, -30.0], [0, 1, 0], [0, 0, 1]])
    for at in range(6):
        (track,) = tracker.update([region(200 - 30 * at)], at * STEP, STEP, pan)
        assert track.id == 1


def test_noise_does_not_take_the_id_of_something_large() -> None:
    tracker = tracker_of()
    large = region(50, y=20, width=40, height=60)
    for at in range(6):
        tracker.update([large, region(100, y=30, width=3, height=3)], at * STEP, STEP)
    tracks = tracker.update([region(90, y=30, width=3, height=3), large], 6 * STEP, STEP)
    assert tracks[1].id == 1


def test_what_splits_from_an_object_is_confirmed_at_once() -> None:
    tracker = tracker_of()
    for at in range(6):
        tracker.update([region(50, width=60, height=60)], at * STEP, STEP)
    halves = tracker.update([region(50, width=28, height=60), region(82, width=28, height=60)], 6 * STEP, STEP)
    assert halves[0].confirmed and halves[1].confirmed and halves[0].id != halves[1].id


def test_what_shows_no_flow_moves_if_it_travels_and_stands_if_it_does_not() -> None:
    for px_per_frame, moves in ((2, True), (0, False)):
        tracker = RegionTracker(0.1, 0.5, 1, slow_px_s=20)
        for at in range(20):
            spot = region(20 + px_per_frame * at)
            (track,) = tracker.update([Region(spot.box, spot.area, spot.centre, (0, 0), False)], at * STEP, STEP)
        assert track.confirmed == moves
        if moves:
            assert track.velocity == pytest.approx((px_per_frame / STEP, 0), rel=0.2)


def test_ids_are_kept_while_regions_move_and_cross_no_one() -> None:
    tracker = tracker_of()
    ids = []
    for at in range(20):
        regions = [region(5 * at, velocity=(125, 0)), region(100 - 3 * at, y=40, velocity=(-75, 0))]
        ids.append([track.id for track in tracker.update(regions, at * STEP, STEP)])
    assert ids == [[1, 2]] * 20


def test_a_fast_small_region_is_found_where_its_velocity_takes_it() -> None:
    tracker = tracker_of()
    for at in range(5):
        (track,) = tracker.update([region(25 * at, velocity=(625, 0))], at * STEP, STEP)
        assert track.id == 1


def test_a_short_gap_keeps_the_id_and_a_long_one_does_not() -> None:
    tracker = tracker_of()
    for at in range(5):
        tracker.update([region(5 * at, velocity=(125, 0))], at * STEP, STEP)
    tracker.update([], 5 * STEP, STEP)
    (track,) = tracker.update([region(50, velocity=(125, 0))], 10 * STEP, STEP)
    assert track.id == 1
    (track,) = tracker.update([region(50)], 30 * STEP, STEP)
    assert track.id == 2


def test_a_track_is_confirmed_by_time_and_not_by_frames() -> None:
    for step in (0.01, 0.04):
        tracker = tracker_of(persistence=0.2)
        since = [
            at * step
            for at in range(1, 40)
            if tracker.update([region(3)], at * step, step)[0].confirmed
        ]  # fmt: skip
        assert since[0] == pytest.approx(0.2)


def standing(spot: Region) -> Region:
    return replace(spot, flows=False)


def test_motion_begins_with_its_proof_and_anew_after_each_stop() -> None:
    tracker = tracker_of(persistence=0.2, hold=1.0)
    since = {}
    for at in range(200):
        goes = 50 <= at < 70 or at >= 150
        spot = region(4 * (min(max(at - 50, 0), 20) + max(at - 150, 0)), velocity=(100, 0))
        (track,) = tracker.update([spot if goes else standing(spot)], at * STEP, STEP)
        since[at] = track.since_seconds if goes and track.confirmed else None
    assert {at for at in range(150) if since[at] is not None} == set(range(54, 70))
    assert since[54] == pytest.approx(49 * STEP) and since[60] == pytest.approx(59 * STEP)
    assert since[150] == pytest.approx(149 * STEP)


def test_moments_of_motion_far_apart_are_no_proof_together() -> None:
    tracker = tracker_of(persistence=0.2)
    for at in range(400):
        spot = region(20, velocity=(100, 0))
        (track,) = tracker.update([spot if at % 50 < 3 else standing(spot)], at * STEP, STEP)
    assert track.id == 1 and not track.confirmed and tracker.waiting_since(400 * STEP) is None


def test_a_time_lapse_keeps_the_id_from_frame_to_frame() -> None:
    for step in (1.0, 30.0):
        tracker = RegionTracker(0.2, 0.7, px_per_point=1, slow_px_s=6 / step)
        regions = [[region(6 * at, velocity=(6 / step, 0))] for at in range(20)]
        assert {track.id for at, each in enumerate(regions) for track in tracker.update(each, at * step, step)} == {1}


def test_a_time_lapse_keeps_the_id_of_what_goes_farther_than_its_size() -> None:
    tracker = RegionTracker(0.2, 0.7, px_per_point=1, slow_px_s=6)
    regions = [[standing(region(15 * at))] for at in range(12)]
    assert {track.id for at, each in enumerate(regions) for track in tracker.update(each, at * 1.0, 1.0)} == {1}


def test_in_a_time_lapse_what_changes_its_width_as_it_walks_travels() -> None:
    tracker = RegionTracker(0.2, 0.7, px_per_point=1, slow_px_s=6)
    for at, width in enumerate((18, 10, 18, 10, 18)):
        walker = region(24 * at - width // 2, width=width, height=30)
        (track,) = tracker.update([standing(walker)], float(at), 1.0)
        assert at == 0 or (track.id, track.moved_seconds) == (1, float(at))


def test_flicker_is_never_confirmed() -> None:
    tracker = tracker_of(persistence=0.2)
    rng = np.random.default_rng(0)
    for at in range(100):
        spot = region(int(rng.integers(0, 2000)), int(rng.integers(0, 2000)))
        assert not any(track.confirmed for track in tracker.update([spot], at * STEP, STEP))


def test_a_tracker_goes_on_from_its_state() -> None:
    first, second = tracker_of(), tracker_of()
    for at in range(6):
        first.update([region(5 * at, velocity=(125, 0))], at * STEP, STEP)
    second.restore(json.loads(json.dumps(first.state())))
    regions = [region(30, velocity=(125, 0)), region(90)]
    assert first.update(regions, 6 * STEP, STEP) == second.update(regions, 6 * STEP, STEP)


@pytest.mark.parametrize(
    ("step_seconds", "persistence", "frames"), [(0.04, 0.2, 5), (0.1, 0.2, 4), (1.0, 0.2, 1), (0.1, 0.0, 1)]
)
def test_at_low_frame_rates_a_region_is_confirmed_in_four_frames(
    step_seconds: float, persistence: float, frames: int
) -> None:
    tracker = tracker_of(persistence, hold=5.0)
    confirmed = [tracker.update([region(50)], at * step_seconds, step_seconds)[0].confirmed for at in range(1, 8)]
    assert confirmed.index(True) + 1 == frames

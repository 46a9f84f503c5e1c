from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from pydantic import ValidationError

from pipeline.messages import Mask
from stages.heat_map import HeatMap
from tests.stages.frames import end, gap, yuv_frame
from tests.stages.stage_bench import Machine, bench_context

WIDE, HIGH = 256, 144


def mask(index: int, ms: int, moves: bool, *, left: bool = True) -> Mask:
    """Moves in the left or the right half, or not at all."""
    frame = yuv_frame(index, ms, WIDE, HIGH)
    plain = tuple(np.full_like(np.asarray(plane), 128) for plane in frame.planes)
    values = np.zeros((HIGH, WIDE), np.uint8)
    values[:, slice(0, WIDE // 2) if left else slice(WIDE // 2, WIDE)] = 255 * moves
    return Mask(frame.header, replace(frame, planes=plain), values)


def machine(folder: Path, live: bool = False, **options: object) -> Machine:
    return Machine(HeatMap, bench_context(folder, live=live), **options)


def shares(of: Machine) -> tuple[float, float]:
    """In the middle of the left and of the right half."""
    found = of.stage._shares()
    return float(found[36, 32]), float(found[36, 96])


def test_time_counts_and_not_frames(tmp_path):
    # It moves on the left in every frame of the first second, of which there are 20, and then not for a second of 4.
    steps = [mask(at, 50 * at, True) for at in range(21)] + [mask(21 + at, 1250 + 250 * at, False) for at in range(4)]
    stage = machine(tmp_path)
    stage.deliver(*steps)
    assert shares(stage) == pytest.approx((0.5, 0.0), abs=0.01)
    stage.deliver(end(30))
    image = cv2.imread(str(tmp_path / "clip.heat.png"))
    assert image is not None and image.shape == (HIGH, WIDE, 3)
    still = image[20, 200].astype(int)
    assert np.ptp(still) <= 1 and np.ptp(image[20, 60].astype(int)) > 60  # grey on the right, a color on the left


def test_what_was_long_ago_fades_by_the_half_life(tmp_path):
    stage = machine(tmp_path, half_life_seconds=1.0)
    stage.deliver(*(mask(at, 100 * at, True, left=at <= 20) for at in range(41)))
    left, right = shares(stage)
    # after two half-lives a quarter of what counted for the left is left of it, of 2 s on each side
    assert left / right == pytest.approx(0.25, rel=0.1)


def test_a_pause_counts_for_a_second_at_most_and_a_gap_not_at_all(tmp_path):
    stage = machine(tmp_path)
    stage.deliver(mask(0, 0, False), mask(1, 60_000, True), mask(2, 61_000, False))
    assert shares(stage)[0] == pytest.approx(0.5)
    stage.deliver(gap(3), mask(4, 61_500, True))
    assert shares(stage)[0] == pytest.approx(0.5)


def test_a_cameras_image_is_written_now_and_then(tmp_path):
    stage = machine(tmp_path, live=True, every_seconds=2.0)
    stage.deliver(*(mask(at, 500 * at, True) for at in range(4)))
    assert list(tmp_path.iterdir()) == []
    stage.deliver(mask(4, 2000, True))
    (path,) = tmp_path.iterdir()
    assert path.name == "clip.heat.png"
    path.unlink()
    stage.deliver(end(5, "failed"))
    assert path.exists()  # what a camera showed stays


def test_a_file_that_failed_and_one_without_frames_leave_nothing(tmp_path):
    machine(tmp_path).deliver(mask(0, 0, True), end(1, "failed"))
    machine(tmp_path).deliver(end(0))
    assert list(tmp_path.iterdir()) == []


def test_a_killed_worker_goes_on_counting(tmp_path):
    stage = machine(tmp_path)
    stage.deliver(*(mask(at, 100 * at, at > 10) for at in range(21)))
    before = shares(stage)
    stage.kill()
    assert shares(stage) == pytest.approx(before, abs=1e-3)  # half precision
    stage.deliver(end(21))
    assert (tmp_path / "clip.heat.png").exists()


def test_another_size_starts_again(tmp_path):
    stage = machine(tmp_path)
    small = yuv_frame(2, 200, 33, 21)
    stage.deliver(mask(0, 0, True), mask(1, 100, True), Mask(small.header, small, np.zeros((21, 33), np.uint8)), end(3))
    image = cv2.imread(str(tmp_path / "clip.heat.png"))
    assert image is not None and image.shape == (21, 33, 3)


def test_a_path_that_is_no_png_is_refused():
    with pytest.raises(ValidationError, match="must end in"):
        HeatMap.Options.model_validate({"path": "heat.jpg"})

from __future__ import annotations

import numpy as np
import pytest

from raftline.camera.working_grid import WorkingGrid
from raftline.masks.stopped_objects import StoppedObjects

GRID = WorkingGrid(160, 96)
STEP = 0.1
FLOW = np.full((12, 20, 2), (3.0, -1.0), np.float32)
"""Of the camera, px."""


def thing(left: int, top: int = 40, wide: int = 24) -> np.ndarray:
    """Bool (h, w): a thing of 24x16 points."""
    points = np.zeros(GRID.shape, bool)
    points[top : top + 16, left : left + wide] = True
    return points


NOTHING = np.zeros(GRID.shape, bool)


def seen(frames: int, stopped_seconds: float = 1.0) -> StoppedObjects:
    """What remembers a thing that moved for some frames, 3 px to the right and 1 px up in each, last to x 60, y 40."""
    stopped = StoppedObjects(GRID, stopped_seconds)
    for at in range(1 - frames, 1):
        now = thing(60 + 3 * at, 40 - at)
        assert stopped.found(now, FLOW, STEP) is None
        stopped.take(now, now, STEP)
    return stopped


def stays(stopped: StoppedObjects) -> int:
    """In how many further frames it is found where the camera's motion brings it, nothing moving."""
    for at in range(1, 30):
        found = stopped.found(NOTHING, FLOW, STEP)
        if found is None:
            return at - 1
        assert np.array_equal(found, thing(60 + 3 * at, 40 - at))
        stopped.take(found, NOTHING, STEP)
    raise AssertionError("it stays for ever")


@pytest.mark.parametrize(("frames", "stopped_seconds", "expected"), [(4, 1.0, 4), (9, 0.5, 5), (9, 0.0, 0)])
def test_what_stops_goes_with_the_camera_as_long_as_it_moved_or_as_is_allowed(
    frames: int, stopped_seconds: float, expected: int
) -> None:
    assert stays(seen(frames, stopped_seconds)) == expected


def test_what_goes_on_has_no_other_outline_than_its_own() -> None:
    assert seen(5).found(thing(63, 39, wide=16), FLOW, STEP) is None


def test_the_rest_of_what_stops_in_its_greater_part_stays() -> None:
    found = seen(5).found(thing(63, 39, wide=8), FLOW, STEP)
    assert found is not None and np.array_equal(found, thing(63, 39))


def test_what_is_not_shown_does_not_stay() -> None:
    stopped = seen(5)
    stopped.take(NOTHING, NOTHING, STEP)
    assert stopped.found(NOTHING, FLOW, STEP) is None


def test_nothing_stays_when_it_left_the_frame() -> None:
    assert seen(5).found(NOTHING, FLOW + np.float32(200), STEP) is None


def test_it_goes_on_where_its_state_was_taken() -> None:
    one, other = seen(4), StoppedObjects(GRID, 1.0)
    other.restore_full(one.full_state())
    assert stays(other) == stays(one) == 4

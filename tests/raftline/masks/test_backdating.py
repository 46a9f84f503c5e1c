from __future__ import annotations

from dataclasses import replace

import numpy as np

from raftline.camera.working_grid import WorkingGrid
from raftline.masks.backdating import WaitingFrames
from raftline.masks.detection import Detection, Moving, Unproven
from raftline.masks.tracking import Track

GRID = WorkingGrid(32, 24)
POINTS = np.zeros(GRID.shape, bool)
POINTS[5:15, 10:20] = True


def track(identity: int, confirmed: bool = False) -> Track:
    return Track(
        identity, (10, 5, 10, 10), 100, (14.5, 9.5), (30, 0), 0.0, 0.1, 0.1, confirmed, 0.1, (14.5, 9.5, 0.1, 10, 10)
    )


def unproven(identity: int) -> Unproven:
    return Unproven(Moving(track(identity), (10, 5, 10, 10), 100, True), POINTS)


def detection(*hopes: Unproven) -> Detection:
    return Detection(GRID.full_size(np.zeros(GRID.shape, bool)), (), None, None, unproven=hopes)


def test_where_nothing_is_left_to_prove_nothing_waits() -> None:
    waiting: WaitingFrames[str] = WaitingFrames()
    waiting.push("first", detection(), 1.0)
    assert [item for item, _ in waiting.leaving([], GRID, 0.0)] == ["first"] and len(waiting) == 0


def test_what_proves_itself_shows_in_every_frame_that_waits() -> None:
    waiting: WaitingFrames[int] = WaitingFrames()
    for at in range(3):
        waiting.push(at, detection(unproven(7)), 1.0)
        assert list(waiting.leaving([track(7)], GRID, 0.1 * at)) == []
    assert waiting.oldest == 0
    left = list(waiting.leaving([track(7, confirmed=True)], GRID, 0.3))
    assert [item for item, _ in left] == [0, 1, 2]
    for _, found in left:
        assert [moving.track.id for moving in found.objects] == [7] and not found.unproven
        np.testing.assert_array_equal(found.mask > 0, POINTS)


def test_what_is_not_followed_any_more_does_not_show_and_nothing_waits_for_it() -> None:
    waiting: WaitingFrames[int] = WaitingFrames()
    waiting.push(0, detection(unproven(1), unproven(2)), 1.0)
    waiting.push(1, detection(), 1.0)
    assert list(waiting.leaving([track(2)], GRID, 0.1)) == []  # in order: the second waits for the first
    left = list(waiting.leaving([replace(track(2), id=3)], GRID, 0.2))
    assert [item for item, _ in left] == [0, 1]
    assert not left[0][1].objects and not left[0][1].mask.any()


def test_nothing_waits_for_longer_than_it_may() -> None:
    waiting: WaitingFrames[int] = WaitingFrames()
    waiting.push(0, detection(unproven(1)), 0.2)
    assert list(waiting.leaving([track(1)], GRID, 0.1)) == []
    assert [found.objects for _, found in waiting.leaving([track(1)], GRID, 0.2)] == [()]


def test_the_first_of_a_shot_waits_for_the_next_which_says_what_moves_in_it() -> None:
    waiting: WaitingFrames[int] = WaitingFrames()
    waiting.push(0, detection(), 0.2, first=True)
    assert list(waiting.leaving([], GRID, 0.0)) == []
    waiting.push(1, replace(detection(unproven(7)), before=(unproven(7),)), 1.0)
    left = list(waiting.leaving([track(7, confirmed=True)], GRID, 0.1))
    assert [item for item, _ in left] == [0, 1]
    assert all([moving.track.id for moving in found.objects] == [7] for _, found in left)


def test_a_first_frame_in_whose_next_nothing_moves_leaves_empty() -> None:
    waiting: WaitingFrames[int] = WaitingFrames()
    waiting.push(0, detection(), 0.2, first=True)
    waiting.push(1, detection(), 1.0)
    left = list(waiting.leaving([], GRID, 0.1))
    assert [item for item, _ in left] == [0, 1] and not left[0][1].mask.any()
    waiting.push(2, detection(), 0.2, first=True)
    assert [item for item, _ in waiting.rest()] == [2]

from __future__ import annotations

from dataclasses import replace

import numpy as np

from raftline.camera.working_grid import WorkingGrid
from raftline.masks.backdating import BackdatingQueue
from raftline.masks.detection import Detection, MovingObject, Tentative
from raftline.masks.tracking import Track

GRID = WorkingGrid(32, 24)
POINTS = np.zeros(GRID.shape, bool)
POINTS[5:15, 10:20] = True


def track(identity: int, confirmed: bool = False) -> Track:
    return Track(
        identity, (10, 5, 10, 10), 100, (14.5, 9.5), (30, 0), 0.0, 0.1, 0.1, confirmed, 0.1, (14.5, 9.5, 0.1, 10, 10)
    )


def tentative(identity: int) -> Tentative:
    return Tentative(MovingObject(track(identity), (10, 5, 10, 10), 100, True), POINTS)


def detection(*undecided: Tentative) -> Detection:
    return Detection(GRID.full_size(np.zeros(GRID.shape, bool)), (), None, None, tentative=undecided)


def test_without_tentative_objects_nothing_waits() -> None:
    queue: BackdatingQueue[str] = BackdatingQueue()
    queue.push("first", detection(), 1.0)
    assert [item for item, _ in queue.leaving([], GRID, 0.0)] == ["first"] and len(queue) == 0


def test_what_is_confirmed_shows_in_every_frame_that_waits() -> None:
    queue: BackdatingQueue[int] = BackdatingQueue()
    for at in range(3):
        queue.push(at, detection(tentative(7)), 1.0)
        assert list(queue.leaving([track(7)], GRID, 0.1 * at)) == []
    assert queue.oldest == 0
    left = list(queue.leaving([track(7, confirmed=True)], GRID, 0.3))
    assert [item for item, _ in left] == [0, 1, 2]
    for _, found in left:
        assert [moving.track.id for moving in found.objects] == [7] and not found.tentative
        np.testing.assert_array_equal(found.mask > 0, POINTS)


def test_what_is_not_followed_any_more_does_not_show_and_nothing_waits_for_it() -> None:
    queue: BackdatingQueue[int] = BackdatingQueue()
    queue.push(0, detection(tentative(1), tentative(2)), 1.0)
    queue.push(1, detection(), 1.0)
    assert list(queue.leaving([track(2)], GRID, 0.1)) == []  # in order: the second waits for the first
    left = list(queue.leaving([replace(track(2), id=3)], GRID, 0.2))
    assert [item for item, _ in left] == [0, 1]
    assert not left[0][1].objects and not left[0][1].mask.any()


def test_nothing_waits_for_longer_than_it_may() -> None:
    queue: BackdatingQueue[int] = BackdatingQueue()
    queue.push(0, detection(tentative(1)), 0.2)
    assert list(queue.leaving([track(1)], GRID, 0.1)) == []
    assert [found.objects for _, found in queue.leaving([track(1)], GRID, 0.2)] == [()]


def test_the_first_of_a_run_waits_for_the_next_which_says_what_moves_in_it() -> None:
    queue: BackdatingQueue[int] = BackdatingQueue()
    queue.push(0, detection(), 0.2, first=True)
    assert list(queue.leaving([], GRID, 0.0)) == []
    queue.push(1, replace(detection(tentative(7)), tentative_before=(tentative(7),)), 1.0)
    left = list(queue.leaving([track(7, confirmed=True)], GRID, 0.1))
    assert [item for item, _ in left] == [0, 1]
    assert all([moving.track.id for moving in found.objects] == [7] for _, found in left)


def test_a_first_frame_in_whose_next_nothing_moves_leaves_empty() -> None:
    queue: BackdatingQueue[int] = BackdatingQueue()
    queue.push(0, detection(), 0.2, first=True)
    queue.push(1, detection(), 1.0)
    left = list(queue.leaving([], GRID, 0.1))
    assert [item for item, _ in left] == [0, 1] and not left[0][1].mask.any()
    queue.push(2, detection(), 0.2, first=True)
    assert [item for item, _ in queue.rest()] == [2]

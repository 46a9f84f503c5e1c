"""Frames that are kept for the correction of a clip."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from pipeline.messages import Frame, Gap
from stages.stabilization.kept_frames import KeptFrames
from tests.stages.shaken_clip import header

PIXELS = 24


def frame(at: int, plane: np.ndarray | None = None) -> Frame:
    plane = np.full((4, 6), at, np.uint8) if plane is None else plane
    return Frame(header(at), at, plane.shape[1], plane.shape[0], "gray8", (plane,), "bt709", "tv")


class Clip:
    """Eight frames; counts how many of them are read."""

    read = 0
    closed = False

    def __call__(self) -> Iterator[Frame | Gap]:
        try:
            for at in range(8):
                self.read += 1
                yield frame(at)
        finally:
            self.closed = True


def shown(frames: Iterator[Frame]) -> list[tuple[int, int]]:
    return [(each.index, int(np.asarray(each.planes[0])[0, 0])) for each in frames]


def test_frames_are_kept_in_order_as_they_were() -> None:
    kept, plane, clip = KeptFrames(), np.zeros((4, 6), np.uint8), Clip()
    for at in range(3):
        plane[:] = at
        kept.add(frame(at, plane))
    assert shown(kept.once_more(clip)) == [(0, 0), (1, 1), (2, 2)]
    assert clip.read == 0


def test_once_they_are_too_many_only_those_before_the_last_are_read_again() -> None:
    kept, clip = KeptFrames(most_bytes=3 * PIXELS), Clip()
    for at in range(8):
        kept.add(frame(at))
    assert shown(kept.once_more(clip)) == [(at, at) for at in range(8)]
    assert clip.read == 6 and clip.closed


def test_a_frame_that_is_larger_than_the_room_is_read_again() -> None:
    kept, clip = KeptFrames(most_bytes=PIXELS - 1), Clip()
    for at in range(8):
        kept.add(frame(at))
    assert shown(kept.once_more(clip)) == [(at, at) for at in range(8)]


def test_after_frames_that_were_missed_those_before_the_next_one_are_read_again() -> None:
    kept, clip = KeptFrames(), Clip()
    kept.add(frame(0))
    kept.miss()
    for at in range(5, 8):
        kept.add(frame(at))
    assert shown(kept.once_more(clip)) == [(at, at) for at in range(8)]
    assert clip.read == 6


def test_the_frames_can_be_asked_for_once_more_after_that_was_broken_off() -> None:
    kept, clip = KeptFrames(), Clip()
    for at in range(8):
        kept.add(frame(at))
    broken_off = kept.once_more(clip)
    assert [next(broken_off).index for _ in range(3)] == [0, 1, 2]
    assert shown(kept.once_more(clip)) == [(at, at) for at in range(8)]


@pytest.mark.parametrize(("has_room", "read"), [(True, 0), (False, 7)])
def test_the_room_grows_while_the_machine_has_memory_left(has_room: bool, read: int) -> None:
    kept, clip = KeptFrames(10 * PIXELS, 2 * PIXELS, lambda: has_room), Clip()
    for at in range(8):
        kept.add(frame(at))
    assert shown(kept.once_more(clip)) == [(at, at) for at in range(8)]
    assert clip.read == read

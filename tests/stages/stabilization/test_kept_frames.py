"""Frames that are kept for the correction of a short clip."""

from __future__ import annotations

import numpy as np

from pipeline.messages import Frame
from stages.stabilization.kept_frames import KeptFrames
from tests.stages.shaken_clip import header


def frame(at: int, plane: np.ndarray) -> Frame:
    return Frame(header(at), at, plane.shape[1], plane.shape[0], "gray8", (plane,), "bt709", "tv")


def test_frames_are_kept_in_order_as_they_were() -> None:
    kept, plane = KeptFrames(), np.zeros((4, 6), np.uint8)
    for at in range(3):
        plane[:] = at
        kept.add(frame(at, plane))
    assert kept.all is not None
    assert [(each.index, int(np.asarray(each.planes[0])[0, 0])) for each in kept.all] == [(0, 0), (1, 1), (2, 2)]


def test_none_are_kept_once_they_are_too_many() -> None:
    kept = KeptFrames(most_bytes=50)
    for at in range(3):
        kept.add(frame(at, np.zeros((4, 6), np.uint8)))
        assert (kept.all is None) == (at == 2)
    kept.add(frame(3, np.zeros((1, 1), np.uint8)))
    assert kept.all is None

"""Frames of a few px were refused by the stabilization alone, by an IndexError: there was no level to compare."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from raftline import video


@pytest.mark.parametrize("size", [(1, 1), (7, 9)])
def test_a_video_of_a_few_px_is_stabilized_like_any_other(tmp_path: Path, size: tuple[int, int]) -> None:
    frames = list(np.random.default_rng(1).integers(0, 256, (3, *size, 3), np.uint8))
    written = video.stabilize(frames, tmp_path / "tiny.mp4", estimator="dis", smoothing="look_ahead")
    assert written.frames == len(frames)

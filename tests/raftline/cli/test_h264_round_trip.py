"""Frames through a real encoder and back."""

from __future__ import annotations

import cv2
import numpy as np

from raftline.cli.h264_round_trip import h264_round_trip
from raftline.evaluation.evaluation_sets import Image, noisy_frames
from tests.raftline.raft.recipes import texture


def test_every_frame_comes_back_and_the_rate_decides_its_quality() -> None:
    photograph = cv2.GaussianBlur(texture(128, 160), (0, 0), 2).astype(np.uint8)
    poor, good = (h264_round_trip(noisy_frames(photograph, 6, 2.0, seed=0), rate) for rate in (30_000, 3_000_000))
    assert len(poor) == len(good) == 6

    def wrong(frames: list[Image]) -> float:
        return float(np.mean([np.abs(frame.astype(int) - photograph).mean() for frame in frames]))

    assert wrong(poor) > 1.3 * wrong(good)

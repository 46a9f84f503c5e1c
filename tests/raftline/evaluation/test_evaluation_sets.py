"""Sets that are made, not read: synthetic clips, and still video through an encoder."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from raftline.evaluation.evaluation import evaluate
from raftline.evaluation.evaluation_sets import open_evaluation_set
from raftline.evaluation.still_video import compressed_still
from raftline.synthetic.photographs import TexturesError
from tests.raftline.raft.recipes import texture


def test_synthetic_clips_are_runs_of_two_pairs_that_share_a_frame() -> None:
    opened = open_evaluation_set("synthetic:2")
    runs = list(opened.runs())
    assert (len(opened), len(runs)) == (4, 2)
    for run in runs:
        first, second = run.pairs
        assert run.consecutive
        assert second.image1 is first.image2
        assert first.image1.shape == (256, 384, 3) and first.image1.dtype == np.uint8
        assert first.hidden is not None
        assert set(first.truths_px) <= {"moving", "still"}


def test_dis_is_measured_on_them(tmp_path: Path) -> None:
    rows = evaluate("dis", ["synthetic:3"]).results
    assert {row.dataset for row in rows} == {"synthetic"}
    assert sum(row.pairs for row in rows) == 6
    assert all(row.matched_px is not None for row in rows)


def test_a_number_of_clips_is_asked_for() -> None:
    for argument in ("synthetic:", "synthetic:many", "synthetic:0"):
        with pytest.raises(ValueError, match="expected a number of clips, such as synthetic:64"):
            open_evaluation_set(argument)


def test_a_still_camera_has_no_flow_but_damaged_frames(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "a.png"), cv2.GaussianBlur(texture(400, 700), (0, 0), 4))
    opened = open_evaluation_set(f"still:{tmp_path}")
    (run,) = opened.runs()
    pairs = list(run.pairs)
    assert len(pairs) == len(opened) == 15
    assert all(not truth.any() for pair in pairs for truth in pair.truths_px.values())
    assert pairs[0].image1.shape == (360, 640, 3)
    assert 0.1 < np.abs(pairs[3].image1.astype(int) - pairs[3].image2.astype(int)).mean() < 20
    with pytest.raises(TexturesError, match="not there"):
        open_evaluation_set(f"still:{tmp_path}/none")


def test_the_encoder_keeps_every_frame_and_the_rate_decides_their_quality() -> None:
    photograph = cv2.GaussianBlur(texture(128, 160), (0, 0), 2).astype(np.uint8)
    poor, good = (compressed_still(photograph, 6, 2.0, rate, seed=0) for rate in (30_000, 3_000_000))
    assert len(poor) == len(good) == 6

    def wrong(frames: list[np.ndarray]) -> float:
        return float(np.mean([np.abs(frame.astype(int) - photograph).mean() for frame in frames]))

    assert wrong(poor) > 1.3 * wrong(good)

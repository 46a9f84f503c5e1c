"""Sets that are made, not read: synthetic clips, and still video through an encoder."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from raftline.evaluation.evaluation import evaluate
from raftline.evaluation.evaluation_sets import Image, open_evaluation_set
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


def uncompressed(images: Iterator[Image], bits_per_second: int) -> list[Image]:
    assert bits_per_second == 500_000
    return list(images)


def test_a_still_camera_has_no_flow_but_noisy_frames(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "a.png"), cv2.GaussianBlur(texture(400, 700), (0, 0), 4))
    opened = open_evaluation_set(f"still:{tmp_path}", uncompressed)
    (run,) = opened.runs()
    pairs = list(run.pairs)
    assert len(pairs) == len(opened) == 15
    assert all(not truth.any() for pair in pairs for truth in pair.truths_px.values())
    assert pairs[0].image1.shape == (360, 640, 3)
    difference = pairs[3].image1.astype(int) - pairs[3].image2.astype(int)
    assert float(difference.std()) == pytest.approx(5 * np.sqrt(2), rel=0.02)
    with pytest.raises(TexturesError, match="not there"):
        open_evaluation_set(f"still:{tmp_path}/none", uncompressed)


def test_still_frames_without_a_codec_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"data set 'still:.*': compressed frames need a codec, and none was given"):
        evaluate("dis", [f"still:{tmp_path}"])

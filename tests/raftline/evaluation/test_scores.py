"""The measures, on errors known by hand."""

from __future__ import annotations

import numpy as np
import pytest

from raftline.evaluation.scores import score_pair, summarise


def truth_of(*lengths: float) -> np.ndarray:
    """One row of flows to the right."""
    flow = np.zeros((1, len(lengths), 2), np.float32)
    flow[0, :, 0] = lengths
    return flow


def test_every_measure_of_a_pair() -> None:
    truth = truth_of(0, 9, 20, 100, 200, np.nan)
    estimate = truth_of(0.5, 11, 24, 106, 208, 0)  # wrong by 0.5, 2, 4, 6, 8
    hidden = np.array([[False, False, True, True, False, True]])
    score = score_pair(estimate, truth, "set", "scene", "pair", hidden)
    assert score.epe_px == pytest.approx(20.5 / 5)
    assert (score.pixels, score.wrong) == (5, (4, 3, 2))
    assert score.outliers == 2  # 4 of 20 and 6 of 100 are more than 5 %; 8 of 200 are not
    assert score.speeds == ((2.5, 2), (4.0, 1), (14.0, 2))
    assert (score.matched, score.unmatched) == ((10.5, 3), (10.0, 2))
    assert 7.5 < score.p99_px <= 8


def test_scenes_are_averaged_over_pixels_or_over_images() -> None:
    one = score_pair(truth_of(1), truth_of(0), "set", "scene", "1")
    two = score_pair(truth_of(5, 5, 5), truth_of(0, 0, 0), "set", "scene", "2")
    assert summarise([one, two], 12, average_over_images=False).epe_px == pytest.approx(4.0)
    by_image = summarise([one, two], 12, average_over_images=True)
    assert by_image.epe_px == pytest.approx(3.0)
    assert by_image.over_3px_percent == by_image.fl_all_percent == 75
    assert by_image.s0_10_px == pytest.approx(4.0)


def test_a_mean_over_no_pixels_is_none() -> None:
    row = summarise([score_pair(truth_of(1), truth_of(0), "set", "scene", "1")], 12, False)
    assert (row.s10_40_px, row.s40_px, row.matched_px, row.unmatched_px) == (None, None, None, None)

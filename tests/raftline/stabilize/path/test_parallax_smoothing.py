"""Gains of a mesh over a whole clip."""

from __future__ import annotations

import numpy as np

from raftline.stabilize.path.parallax_smoothing import smooth_gains

TIMES = np.arange(300) / 30
GAINS = np.array([[0.0, 0.5], [0.2, 1.0]])


def strengths(measured) -> np.ndarray:
    return np.array([0.0 if gains is None else gains[1, 1] for gains in smooth_gains(TIMES, measured)])


def test_a_clip_of_one_plane_has_none() -> None:
    assert smooth_gains(TIMES, [None] * 300) == [None] * 300


def test_what_is_borne_out_soon_after_the_beginning_holds_from_the_beginning() -> None:
    found = smooth_gains(TIMES, [None] * 14 + [GAINS] * 286)
    for gains in found:
        assert gains is not None
        np.testing.assert_allclose(gains, GAINS, atol=1e-9)


def test_a_mesh_of_a_while_comes_and_goes_smoothly_around_it() -> None:
    found = strengths([None] * 150 + [GAINS] * 60 + [None] * 90)
    assert found[150:210].min() > 0.999
    assert found[:75].max() == 0.0 and found[285:].max() == 0.0
    assert np.abs(np.diff(found)).max() < 0.1


def test_gains_that_were_measured_noisily_are_averaged() -> None:
    rng = np.random.default_rng(0)
    found = strengths([GAINS + rng.normal(0, 0.05, GAINS.shape) for _ in TIMES])
    assert np.abs(np.diff(found)).max() < 0.005
    assert np.abs(found - 1.0).max() < 0.05

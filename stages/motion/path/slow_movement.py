"""Slow movement told from shake by regression: a line and sines below a cutoff, as strong as the samples bear out.

What smoothing cannot know at the end of a path, how the movement goes on, a model of it can. A prior keeps the sines
small where samples are few (Gaussian process regression, Rasmussen and Williams 2006, in a basis of sines); its
strength is learned from the samples themselves.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from stages.motion.path.smoothing_kernel import TYPICAL_STEP, time_shares

_PERIOD_CYCLES = 7.2
"""Of the slowest sine, in cycles of the cutoff, where the samples span less than half of that."""
_STRENGTHS = np.array([0.1, 3.0, 300.0])
"""Of slow movement per Hz, in those of shake: a fixed camera, one that sways, one that is led; the mean is taken."""
_SLOPE_SHARE = 30.0
"""How steep the line is beside the sines, before anything is seen: a pan at an even pace outweighs its sway."""
_FADING_STRENGTH = 12000.0
"""Of a distance per Hz, in those of its jitter: large, it is smooth, and goes the more slowly.

Measured with 0.5 s of look-ahead and exact motions on five pans of 30 px/s with sway: J 0.107 px, slow error up to
1.05 % of the width with 7000; 0.103 px and 1.00 % with 12000.
"""
_KEPT_SHARE = 0.85
"""Of a cutoff: what is slower than that much of it is taken for movement that stays."""
_WINDOW_CYCLES, _STRETCH_CYCLES = 3.0, 1.0
"""The stretch at the end of a path that says how it goes on, and its continuation, in cycles of the cutoff.

Measured on a pan of 30 px/s with sway, shaken at 1-8 Hz, with a cut after 5 s: J 0.081 px; 0.160 px where the ends go
on along a line.
"""
_SAME_TIME = 1e-6


@dataclass(frozen=True)
class SlowMovement:
    """A line and sines below `cutoff_hz`."""

    reference: float
    """Time at which the line is its own constant, s."""
    hz: np.ndarray
    """(K,) of the sines."""
    coefficients: np.ndarray
    """(2 + 2 K, D)"""

    def __call__(self, times: np.ndarray) -> np.ndarray:
        """The movement (M, D) at `times` (M,) s, in the samples and beyond them."""
        away = times - self.reference
        shapes = [np.ones((len(away), 1)), away[:, None], _waves(away, self.hz)]
        return np.concatenate(shapes, axis=1) @ self.coefficients


def fit_slow_movement(
    times: np.ndarray, path: np.ndarray, cutoff_hz: float, seconds: np.ndarray | None = None
) -> SlowMovement:
    """What of path (N, D) at `times` (N,), at least one, is slower than `cutoff_hz`.

    seconds (N,): how long a time each sample stands for; None: to half way to its neighbours.
    """
    period = max(_PERIOD_CYCLES / cutoff_hz, 2.0 * (times[-1] - times[0]))
    hz = np.arange(1, int(cutoff_hz * period * (1 + 1e-9)) + 1) / period
    root = np.sqrt(time_shares(times) if seconds is None else seconds)[:, None]
    away = times - times[-1]
    line = 2.0 * np.pi * _SLOPE_SHARE * cutoff_hz * away
    design, target = root * np.concatenate([line[:, None], _waves(away, hz)], axis=1), root * path
    level = root / np.linalg.norm(root)
    found = _ridge(design - level @ (level.T @ design), target - level @ (level.T @ target), _STRENGTHS / period)
    constant = level.T @ (target - design @ found) / np.linalg.norm(root)
    found[0] *= 2.0 * np.pi * _SLOPE_SHARE * cutoff_hz
    return SlowMovement(float(times[-1]), hz, np.concatenate([constant, found]))


def fading(times: np.ndarray, apart: np.ndarray, at: np.ndarray, cutoff_hz: float, seconds: np.ndarray) -> np.ndarray:
    """How a distance (N, D) at `times` (N,), each standing for `seconds` (N,), goes on at `at` (M,) and dies away.

    (M, D): as smooth as sines below `cutoff_hz` are, and nothing once it is left to itself.
    """
    period = _PERIOD_CYCLES / cutoff_hz
    hz = np.arange(int(cutoff_hz * period * (1 + 1e-9)) + 1) / period
    heights = np.tile(1.0 / (1.0 + (hz / cutoff_hz) ** 2), 2)
    root, here = np.sqrt(seconds)[:, None], at[0]
    prior = np.array([_FADING_STRENGTH / period])
    return _waves(at - here, hz) * heights @ _ridge(root * _waves(times - here, hz) * heights, root * apart, prior)


def continuation(times: np.ndarray, path: np.ndarray, cutoff_hz: float) -> tuple[np.ndarray, np.ndarray]:
    """Times (M,) and path (M, D) after the end of `path` (N, D), as its slow movement goes on.

    Without it the smooth path is free at its end and follows the last shake there.
    """
    recent = times >= times[-1] - _WINDOW_CYCLES / cutoff_hz - _SAME_TIME
    stretch = _STRETCH_CYCLES / cutoff_hz
    step = float(np.median(np.diff(times[recent]))) if recent.sum() > 1 else TYPICAL_STEP
    ahead = times[-1] + step * np.arange(1, int(np.ceil(stretch / step)) + 1)
    return ahead, fit_slow_movement(times[recent], path[recent], _KEPT_SHARE * cutoff_hz)(ahead)


def continued(times: np.ndarray, path: np.ndarray, cutoff_hz: float) -> tuple[np.ndarray, np.ndarray, slice]:
    """Times and path with a `continuation` at both ends, and where in them the given ones lie."""
    after_times, after = continuation(times, path, cutoff_hz)
    before_times, before = continuation(-times[::-1], path[::-1], cutoff_hz)
    own = slice(len(before), len(before) + len(path))
    times = np.concatenate([-before_times[::-1], times, after_times])
    return times, np.concatenate([before[::-1], path, after]), own


def _waves(away: np.ndarray, hz: np.ndarray) -> np.ndarray:
    """(N, 2 K): cosines, sines."""
    angle = 2.0 * np.pi * np.outer(away, hz)
    return np.concatenate([np.cos(angle), np.sin(angle)], axis=1)


def _ridge(design: np.ndarray, target: np.ndarray, priors: np.ndarray) -> np.ndarray:
    """Coefficients (K, D) for target (N, D): the mean over priors (S,), each as likely as it makes a column.

    A mean, since the choice of one would jump from frame to frame.
    """
    across, strength, along = np.linalg.svd(design, full_matrices=False)
    seen = across.T @ target
    explained = priors[:, None] * strength**2
    shrunk = explained / (1.0 + explained)
    left = np.maximum((target**2).sum(axis=0) - np.einsum("sk,kd->sd", shrunk, seen**2), 1e-12)
    likelihood = -0.5 * len(target) * np.log(left) - 0.5 * np.log1p(explained).sum(axis=1)[:, None]
    share = np.exp(likelihood - likelihood.max(axis=0))
    gain = shrunk.T @ (share / share.sum(axis=0)) / np.maximum(strength, 1e-9)[:, None]
    return along.T @ (gain * seen)

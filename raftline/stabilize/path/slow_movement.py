"""Slow movement told from shake by regression: a line and sines below a cutoff, as strong as the samples bear out.

What smoothing cannot know at the end of a path, how the movement goes on, a model of it can. A prior keeps the sines
small where samples are few (Gaussian process regression, Rasmussen and Williams 2006, in a basis of sines); its
strength is learned from the samples themselves, and `shake_model` says what they hold beside it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
from scipy.linalg import cholesky, solve_triangular

from raftline.stabilize.path.ridge import Ridge
from raftline.stabilize.path.shake_model import BETWEEN, shake_covariance
from raftline.stabilize.path.smoothing_kernel import time_shares

_PERIOD_CYCLES = 7.2
"""Of the slowest sine, in cycles of the fastest, where the samples span less than a fourth of that."""
_KEPT_SHARE = 11.0 / 12.0
"""Of a cutoff: what is slower than that much of it is taken for movement that stays."""
_WINDOW_CYCLES, _WINDOW_SAMPLES = 12.0, 600
"""A whole path is told in windows of so many cycles of the cutoff, each of at most so many samples or means of them."""
_DIGITS = 4
"""Of a second: times that agree so far share what depends on them alone."""
_LEAST_SECONDS = 10.0**-_DIGITS


@dataclass(frozen=True)
class Prior:
    """What slow movement may be before anything of it is seen."""

    strengths: tuple[float, ...]
    """Of slow movement per Hz, in those of shake: a fixed camera, one that sways or is led; the mean is taken."""
    slope_share: float
    """How steep the line is beside the sines."""
    odds: float = 1.0
    """Of this expectation, beside others."""


OF_A_SHOT = (Prior(tuple(10.0 ** np.arange(-2.0, 2.6, 0.5)), 30.0),)
"""A pan at an even pace outweighs its sway, and is kept to the ends of its shot."""
OF_A_BEGIN = (
    Prior(tuple(10.0 ** np.arange(-2.0, 2.1, 0.5)), 2.0),
    replace(*OF_A_SHOT, odds=0.05),
)
"""Half a second is known at the begin of a path: where a pan may be steep, shake passes for the begin of one. A pan
that does not shake is told all the same.
"""


@dataclass(frozen=True)
class SlowMovement:
    """A line and sines."""

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


def slow_path(times: np.ndarray, path: np.ndarray, cutoff_hz: float) -> np.ndarray:
    """What of a whole path (N, D) at `times` (N,) s, growing, is slower than `cutoff_hz`, (N, D)."""
    total = np.zeros(path.shape)
    for share, means, path_means, seconds in _windows(times, path, cutoff_hz):
        here = share > 0.0
        slow = fit_slow_movement(means, path_means, cutoff_hz, seconds, _KEPT_SHARE)
        total[here] += share[here, None] * slow(times[here])
    return total


def gap_evidence(times: np.ndarray, path: np.ndarray, cutoff_hz: float) -> np.ndarray:
    """How much likelier, as a logarithm, each column of path (N, D) is if a gap lies above `cutoff_hz` than if none."""
    total = np.zeros(path.shape[1])
    for _, means, path_means, seconds in _windows(times, path, cutoff_hz):
        models = _models(means, seconds, cutoff_hz, _KEPT_SHARE, OF_A_SHOT)
        gap, none = (model(path_means, np.eye(path.shape[1]))[1] for model in models)
        total += gap - none
    return total


def fit_slow_movement(
    times: np.ndarray,
    path: np.ndarray,
    cutoff_hz: float,
    seconds: np.ndarray,
    kept_share: float,
    expected: tuple[Prior, ...] = OF_A_SHOT,
    together: tuple[int, ...] = (),
) -> SlowMovement:
    """What of path (N, D) at `times` (N,) s, growing, at least one, is slower than `kept_share` of `cutoff_hz`.

    seconds (N,): how long a time each sample stands for. together: columns that move about as strongly.
    """
    alike = np.eye(path.shape[1])
    alike[np.ix_(together, together)] = 1.0
    models = _models(times, seconds, cutoff_hz, kept_share, expected)
    found, evidence = zip(*(model(path, alike) for model in models), strict=True)
    share = np.exp(np.array(evidence) - np.max(evidence, axis=0))
    mean = np.einsum("md,mkd->kd", share / share.sum(axis=0), np.array(found))
    return SlowMovement(float(times[-1]), models[0].hz, mean)


def _windows(times: np.ndarray, path: np.ndarray, cutoff_hz: float) -> Iterator[tuple[np.ndarray, ...]]:
    """Overlapping windows of a path: the share (N,) of each in the whole; times, path and seconds of its samples."""
    length = _WINDOW_CYCLES / cutoff_hz
    count = max(1, int(np.ceil(2.0 * (times[-1] - times[0]) / length)) - 1)
    for window in range(count):
        phase = (times - times[0]) / length - window / 2
        share = np.sin(np.pi * np.clip(phase, 0.0, 1.0)) ** 2
        if window == 0:
            share[phase <= 0.5] = 1.0
        if window == count - 1:
            share[phase >= 0.5] = 1.0
        here = share > 0.0
        if here.any():
            yield share, *_means(times[here], path[here], length / _WINDOW_SAMPLES)


def _means(times: np.ndarray, path: np.ndarray, least_seconds: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Times, path and seconds of the samples, or of means of as many as fit into `least_seconds`."""
    seconds = time_shares(times)
    bins = np.unique(np.floor((times - times[0]) / least_seconds + 1e-6), return_index=True)[1]
    total = np.add.reduceat(seconds, bins)
    weighted = np.add.reduceat(seconds[:, None] * np.column_stack([times, path]), bins) / total[:, None]
    return weighted[:, 0], weighted[:, 1:], total


@dataclass(frozen=True)
class _SlowBasis:
    """What of a regression depends on the times of its samples alone."""

    root: np.ndarray
    """(N, N) lower triangular, of the shake's covariance: solved for, it leaves samples of shake without memory."""
    level: np.ndarray
    """(N, 1), of length 1: the constant."""
    level_size: float
    log_size: float
    """Of the determinant that makes a column less likely."""
    design: np.ndarray
    """(N, 1 + 2 K): line and sines."""
    ridge: Ridge
    """Of what the design says beside the constant."""
    hz: np.ndarray
    priors: np.ndarray
    """(S,) of a sine's coefficients, for `ridge`."""
    slope: float
    log_odds: float

    def __call__(self, path: np.ndarray, alike: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Coefficients (2 + 2 K, D) for path (N, D), and the logarithm of how likely this makes each column, (D,).

        alike (D, D) of 0 and 1: each column with those that move as strongly.
        """
        target = solve_triangular(self.root, path, lower=True)
        found, evidence = self.ridge(target - self.level @ (self.level.T @ target), self.priors, alike)
        constant = self.level.T @ (target - self.design @ found) / self.level_size
        found[0] *= self.slope
        evidence = evidence + self.log_odds - alike.sum(axis=0) * self.log_size
        return np.concatenate([constant, found]), evidence


def _models(
    times: np.ndarray, seconds: np.ndarray, cutoff_hz: float, kept_share: float, expected: tuple[Prior, ...]
) -> list[_SlowBasis]:
    """Of each expectation, and shake with each of `BETWEEN`."""
    away = np.round(times - times[-1], _DIGITS).tobytes()
    shares = np.maximum(np.round(seconds, _DIGITS), _LEAST_SECONDS).tobytes()
    return [_slow_basis(away, shares, cutoff_hz, kept_share, each, between) for each in expected for between in BETWEEN]


@lru_cache(maxsize=16)
def _slow_basis(
    times_bytes: bytes,
    seconds_bytes: bytes,
    cutoff_hz: float,
    kept_share: float,
    expected: Prior,
    between: float,
) -> _SlowBasis:
    """A camera of steady rate asks for the same with every frame."""
    times = np.frombuffer(times_bytes)
    fastest_hz = kept_share * cutoff_hz
    period = max(_PERIOD_CYCLES / fastest_hz, 4.0 * (times[-1] - times[0]))
    hz = np.arange(1, int(fastest_hz * period * (1 + 1e-9)) + 1) / period
    slope = 2.0 * np.pi * expected.slope_share * fastest_hz
    root = _shake_root(times_bytes, seconds_bytes, cutoff_hz, between)
    shapes = np.column_stack([np.ones(len(times)), slope * times, _waves(times, hz)])
    shapes = solve_triangular(root, shapes, lower=True)
    size = float(np.linalg.norm(shapes[:, 0]))
    level = shapes[:, :1] / size
    design = shapes[:, 1:]
    beside = Ridge.of(design - level @ (level.T @ design))
    priors = np.array(expected.strengths) / period
    log_size = float(np.log(np.diag(root)).sum() + np.log(size))
    return _SlowBasis(root, level, size, log_size, design, beside, hz, priors, slope, float(np.log(expected.odds)))


@lru_cache(maxsize=8)
def _shake_root(times_bytes: bytes, seconds_bytes: bytes, cutoff_hz: float, between: float) -> np.ndarray:
    """(N, N) lower triangular, of the shake's covariance, which every expectation shares."""
    covariance = shake_covariance(np.frombuffer(times_bytes), np.frombuffer(seconds_bytes), cutoff_hz, between)
    return cholesky(covariance, lower=True)


def _waves(away: np.ndarray, hz: np.ndarray) -> np.ndarray:
    """(N, 2 K): cosines, sines."""
    angle = 2.0 * np.pi * np.outer(away, hz)
    return np.concatenate([np.cos(angle), np.sin(angle)], axis=1)

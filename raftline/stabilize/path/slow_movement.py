"""Slow movement separated from shake by regression: a line and sines below a cutoff, as strong as the samples support.

How the movement goes on at the end of a path, smoothing cannot know and a model can. A prior keeps the sines small
where samples are few (Gaussian process regression, Rasmussen and Williams 2006, in a basis of sines); its variance is
learned from the samples themselves, and `shake_model` gives the covariance of the rest.

The constants were tuned on several seeds of the clips of `python -m benchmarks.bench_stabilization --parts known`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np

from raftline.camera.cholesky import solve_lower
from raftline.stabilize.path.ridge import Ridge
from raftline.stabilize.path.shake_model import GAP_POWERS, shake_covariance
from raftline.stabilize.path.smoothing_kernel import time_shares

_PERIOD_CYCLES = 7.2
"""Period of the slowest sine, in cycles of the fastest, where the samples span less than a fourth of it."""
_KEPT_SHARE = 11.0 / 12.0
"""The fastest sine, in the cutoff: what is slower is taken for intended movement."""
_WINDOW_CYCLES, _WINDOW_SAMPLES = 12.0, 600
"""A whole path is split into windows of so many cycles of the cutoff and at most so many samples, or means of them."""
_DIGITS = 4
"""Of a second: times that agree so far share what depends on them alone."""
_MIN_SECONDS = 10.0**-_DIGITS


@dataclass(frozen=True)
class Prior:
    """What is assumed of slow movement before any of it is seen."""

    powers: tuple[float, ...]
    """Its power per Hz, relative to shake: a fixed camera, one that sways, one that is led; they are averaged."""
    slope_share: float
    """Steepness of the line, relative to the fastest sine."""
    odds: float = 1.0
    """Of this prior, relative to others."""


SHOT_PRIORS = (Prior(tuple(10.0 ** np.arange(-2.0, 2.6, 0.5)), 30.0),)
"""For a whole shot: a pan at an even pace outweighs its sway, and is kept to the ends."""
BEGIN_PRIORS = (
    Prior(tuple(10.0 ** np.arange(-2.0, 2.1, 0.5)), 2.0),
    replace(*SHOT_PRIORS, odds=0.05),
)
"""For the start of a path, of which half a second is known: if a pan may be steep, shake passes for the start of one.
The second prior recognises a pan without shake all the same.
"""


@dataclass(frozen=True)
class SlowMovement:
    """A line and sines."""

    reference: float
    """Time at which the line has its constant's value, s."""
    hz: np.ndarray
    """(K,) of the sines."""
    coefficients: np.ndarray
    """(2 + 2 K, D) px."""

    def __call__(self, times: np.ndarray) -> np.ndarray:
        """Return the movement (M, D) px at `times` (M,) s, among the samples and beyond them."""
        away = times - self.reference
        shapes = [np.ones((len(away), 1)), away[:, None], _waves(away, self.hz)]
        return np.concatenate(shapes, axis=1) @ self.coefficients


def slow_path(times: np.ndarray, path: np.ndarray, cutoff_hz: float) -> np.ndarray:
    """Return the slow movement of a whole path.

    Args:
        times: (N,) s, growing.
        path: (N, D) px.
        cutoff_hz: Movement slower than this is slow.

    Returns:
        (N, D) px.
    """
    total = np.zeros(path.shape)
    for share, means, path_means, seconds in _windows(times, path, cutoff_hz):
        here = share > 0.0
        slow = fit_slow_movement(means, path_means, cutoff_hz, seconds, _KEPT_SHARE)
        total[here] += share[here, None] * slow(times[here])
    return total


def gap_likelihood_ratio(times: np.ndarray, path: np.ndarray, cutoff_hz: float) -> np.ndarray:
    """Return the log likelihood ratio of a gap above `cutoff_hz` against none, (D,), one for each column of the path.

    Args:
        times: (N,) s, growing.
        path: (N, D) px.
        cutoff_hz: Frequency above which the gap would lie.
    """
    total = np.zeros(path.shape[1])
    for _, means, path_means, seconds in _windows(times, path, cutoff_hz):
        models = _models(means, seconds, cutoff_hz, _KEPT_SHARE, SHOT_PRIORS)
        gap, none = (model(path_means, np.eye(path.shape[1]))[1] for model in models)
        total += gap - none
    return total


def fit_slow_movement(
    times: np.ndarray,
    path: np.ndarray,
    cutoff_hz: float,
    seconds: np.ndarray,
    kept_share: float,
    priors: tuple[Prior, ...] = SHOT_PRIORS,
    together: tuple[int, ...] = (),
) -> SlowMovement:
    """Fit the slow movement of a path.

    Args:
        times: (N,) s, growing, at least one.
        path: (N, D) px.
        cutoff_hz: Intended movement is slower than this.
        seconds: (N,) time that each sample stands for.
        kept_share: The fastest sine, in `cutoff_hz`.
        priors: Averaged by their likelihood, as are the spectra of shake.
        together: Columns that move about as strongly, and share their prior's power.
    """
    alike = np.eye(path.shape[1])
    alike[np.ix_(together, together)] = 1.0
    models = _models(times, seconds, cutoff_hz, kept_share, priors)
    found, likelihoods = zip(*(model(path, alike) for model in models), strict=True)
    share = np.exp(np.array(likelihoods) - np.max(likelihoods, axis=0))
    mean = np.einsum("md,mkd->kd", share / share.sum(axis=0), np.array(found))
    return SlowMovement(float(times[-1]), models[0].hz, mean)


def _windows(times: np.ndarray, path: np.ndarray, cutoff_hz: float) -> Iterator[tuple[np.ndarray, ...]]:
    """Yield overlapping windows of a path: the share (N,) of each in the whole, its samples' times, path, seconds."""
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
    """Return times, path and seconds of the samples, or of means of as many as fit into `least_seconds`."""
    seconds = time_shares(times)
    bins = np.unique(np.floor((times - times[0]) / least_seconds + 1e-6), return_index=True)[1]
    total = np.add.reduceat(seconds, bins)
    weighted = np.add.reduceat(seconds[:, None] * np.column_stack([times, path]), bins) / total[:, None]
    return weighted[:, 0], weighted[:, 1:], total


@dataclass(frozen=True)
class _SlowBasis:
    """The part of a regression that depends on the times of its samples alone."""

    root: np.ndarray
    """(N, N) lower triangular root of the shake's covariance: solving for it whitens the samples."""
    level: np.ndarray
    """(N, 1), of length 1: the whitened constant."""
    level_size: float
    log_size: float
    """Logarithm of the determinants that divide the likelihood."""
    design: np.ndarray
    """(N, 1 + 2 K): the whitened line and sines."""
    ridge: Ridge
    """Of the design orthogonal to the constant."""
    hz: np.ndarray
    variances: np.ndarray
    """(S,) of a sine's coefficients, for `ridge`."""
    slope: float
    log_odds: float

    def __call__(self, path: np.ndarray, alike: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return coefficients (2 + 2 K, D) for path (N, D), and the log likelihood of each column (D,).

        alike (D, D) of 0 and 1, as in `Ridge`.
        """
        target = solve_lower(self.root, path)
        found, likelihood = self.ridge(target - self.level @ (self.level.T @ target), self.variances, alike)
        constant = self.level.T @ (target - self.design @ found) / self.level_size
        found[0] *= self.slope
        likelihood = likelihood + self.log_odds - alike.sum(axis=0) * self.log_size
        return np.concatenate([constant, found]), likelihood


def _models(
    times: np.ndarray, seconds: np.ndarray, cutoff_hz: float, kept_share: float, priors: tuple[Prior, ...]
) -> list[_SlowBasis]:
    """Return the regression of each prior with shake of each of `GAP_POWERS`."""
    away = np.round(times - times[-1], _DIGITS).tobytes()
    shares = np.maximum(np.round(seconds, _DIGITS), _MIN_SECONDS).tobytes()
    return [_slow_basis(away, shares, cutoff_hz, kept_share, prior, gap) for prior in priors for gap in GAP_POWERS]


@lru_cache(maxsize=16)
def _slow_basis(
    times_bytes: bytes,
    seconds_bytes: bytes,
    cutoff_hz: float,
    kept_share: float,
    prior: Prior,
    gap_power: float,
) -> _SlowBasis:
    """Cached, since a camera of steady rate asks for the same with every frame."""
    times = np.frombuffer(times_bytes)
    fastest_hz = kept_share * cutoff_hz
    period = max(_PERIOD_CYCLES / fastest_hz, 4.0 * (times[-1] - times[0]))
    hz = np.arange(1, int(fastest_hz * period * (1 + 1e-9)) + 1) / period
    slope = 2.0 * np.pi * prior.slope_share * fastest_hz
    root = _shake_root(times_bytes, seconds_bytes, cutoff_hz, gap_power)
    shapes = np.column_stack([np.ones(len(times)), slope * times, _waves(times, hz)])
    shapes = solve_lower(root, shapes)
    size = float(np.linalg.norm(shapes[:, 0]))
    level = shapes[:, :1] / size
    design = shapes[:, 1:]
    ridge = Ridge.of(design - level @ (level.T @ design))
    variances = np.array(prior.powers) / period
    log_size = float(np.log(np.diag(root)).sum() + np.log(size))
    return _SlowBasis(root, level, size, log_size, design, ridge, hz, variances, slope, float(np.log(prior.odds)))


@lru_cache(maxsize=8)
def _shake_root(times_bytes: bytes, seconds_bytes: bytes, cutoff_hz: float, gap_power: float) -> np.ndarray:
    """Return the lower triangular root (N, N) of the shake's covariance, which all priors share."""
    covariance = shake_covariance(np.frombuffer(times_bytes), np.frombuffer(seconds_bytes), cutoff_hz, gap_power)
    return np.linalg.cholesky(covariance)


def _waves(away: np.ndarray, hz: np.ndarray) -> np.ndarray:
    """Return the cosines and sines, (N, 2 K)."""
    angle = 2.0 * np.pi * np.outer(away, hz)
    return np.concatenate([np.cos(angle), np.sin(angle)], axis=1)

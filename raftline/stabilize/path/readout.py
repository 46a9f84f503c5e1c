"""The readout time of a rolling shutter that nobody knows, from what it leaves in the flow.

A row that is exposed by `t` later shows the camera moved on by its speed times `t`. From one frame to the next, rows
thus move apart by the change of that speed times the readout time: the shear that `raftline.camera.row_shear` measures.
Parallax and noise shear frames as well, but not in time with the change of speed.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from raftline.camera.robust_weights import tukey_weights
from raftline.camera.transforms import motion_matrices, motion_vectors, transform_points
from raftline.stabilize.path.path_smoothing import CameraPath

_LEAST_RUN = 4
"""Frames that a cubic spline needs."""
_LEAST_STEPS = 20
"""Steps between frames without which nothing is estimated."""
_ROUNDS = 10
"""Of the reweighted fit: it converges in fewer."""
_SURE_SIGMAS = 6.0
"""Estimates of less than this many of their own sigmas are taken as none. Chosen by hand: steps are correlated, so that
sigma is too small by about 2."""
_LEAST_EXPLAINED = 0.1
"""Share of the shear's square that the estimate has to explain."""
_MEDIAN_OF_SIGMA = 0.6745
"""Median of the absolute values of a Gaussian, in its sigma."""


@dataclass(frozen=True)
class Readout:
    """An estimated readout time."""

    seconds: float
    """From the first row to the last, negative if the last row is exposed first; 0: no evidence of any."""
    sigma_seconds: float
    """Expected error; infinite if nothing could be estimated."""


def estimated_readout(
    runs: Sequence[tuple[np.ndarray, np.ndarray, Sequence[tuple[float, float] | None]]], width: int, height: int
) -> Readout:
    """Estimate the readout time of a clip.

    Args:
        runs: Of each run the times (N,) s, the motions (N, 8) px into each frame, as motion vectors, and the shear of
            the flow into each frame; None where that is not known.
        width: Width of the frames, px.
        height: Height of the frames, px.
    """
    changes, shears, most = [], [], math.inf
    for times, motions, sheared in runs:
        if len(times) < _LEAST_RUN:
            continue
        change = speed_changes(times, motions, width, height)
        known = [at for at in range(1, len(times)) if sheared[at] is not None]
        changes.append(change[known].reshape(-1))
        shears.append(np.array([sheared[at] for at in known], np.float64).reshape(-1))
        most = min(most, float(np.median(np.diff(times))))
    x, y = (np.concatenate(each) if each else np.zeros(0) for each in (changes, shears))
    if len(x) < 2 * _LEAST_STEPS or not (x**2).sum() > 0:
        return Readout(0.0, math.inf)
    return _regressed(x, y, most)


def _regressed(x: np.ndarray, y: np.ndarray, most_seconds: float) -> Readout:
    """Fit y = slope x with Tukey's weights; 0 where the slope is not sure."""
    slope, sigma, weights = 0.0, 1.0, np.ones(len(x))
    for _ in range(_ROUNDS):
        slope = float((weights * x * y).sum() / max((weights * x * x).sum(), 1e-12))
        left = np.abs(y - slope * x)
        sigma = max(float(np.median(left)) / _MEDIAN_OF_SIGMA, 1e-6)
        weights = tukey_weights(left, sigma)
    error = sigma / math.sqrt(max(float((weights * x * x).sum()), 1e-12))
    explained = 1.0 - float((weights * (y - slope * x) ** 2).sum() / max((weights * y * y).sum(), 1e-12))
    sure = abs(slope) > _SURE_SIGMAS * error and explained > _LEAST_EXPLAINED
    return Readout(float(np.clip(slope, -most_seconds, most_seconds)) if sure else 0.0, error)


def speed_changes(times: np.ndarray, motions: np.ndarray, width: int, height: int) -> np.ndarray:
    """Return by how much the speed of the frame's center at each frame exceeds that at the frame before.

    Args:
        times: (N,) s, strictly growing; four at least.
        motions: (N, 8) px motion vectors into each frame.
        width: Width of the frames, px.
        height: Height of the frames, px.

    Returns:
        (N, 2) px/s, along x and y; 0 for the first.
    """
    from scipy.interpolate import CubicSpline  # here: it takes longer to load than all the rest, and few need it

    center = np.array([[(width - 1) / 2, (height - 1) / 2]])
    steps = np.concatenate(
        [transform_points(each, center) - center for each in motion_matrices(motions, width, height)]
    )
    steps[0] = 0.0
    speeds = CubicSpline(times, np.cumsum(steps, axis=0))(times, 1)
    return np.diff(speeds, axis=0, prepend=speeds[:1])


def without_shear_of(run: CameraPath, seconds: float, sheared: np.ndarray) -> CameraPath:
    """Return a run without what the shear of a readout of `seconds` did to its motions.

    Args:
        run: The run.
        seconds: The readout time, negative if the last row is exposed first.
        sheared: (N,) bool: the motion into the frame is of a model that shows shear.
    """
    if not seconds or len(run.times) < _LEAST_RUN:
        return run
    size = run.width, run.height
    shears = seconds * speed_changes(run.times, run.motions, *size)
    matrices = without_absorbed_shear(motion_matrices(run.motions, *size), shears, *size, sheared)
    return replace(run, motions=motion_vectors(matrices, *size))


def without_absorbed_shear(
    matrices: np.ndarray, shears: np.ndarray, width: int, height: int, sheared: np.ndarray
) -> np.ndarray:
    """Take the rows' shear out of motions, or out of similarities the turn and zoom that met it halfway.

    Args:
        matrices: (N, 3, 3) px to px.
        shears: (N, 2) px from the first row to the last, along x and y.
        width: Width of the frames, px.
        height: Height of the frames, px.
        sheared: (N,) bool: as in `without_shear_of`.

    Returns:
        (N, 3, 3) px to px; the frame's center moves as before.
    """
    along_x, along_y = shears.T / height
    share = height**2 / (width**2 + height**2)  # of a least-squares fit over the frame, evenly
    center = np.array([(width - 1) / 2, (height - 1) / 2])
    found = np.array(matrices)
    to = transform_points(found, center[None])[:, 0]
    found[:, 0, 1] -= np.where(sheared, along_x, share * along_x)
    found[:, 1, 1] -= np.where(sheared, along_y, share * along_y)
    found[:, 1, 0] += np.where(sheared, 0.0, share * along_x)
    found[:, 0, 0] -= np.where(sheared, 0.0, share * along_y)
    found[:, :2, 2] += to - transform_points(found, center[None])[:, 0]
    return found

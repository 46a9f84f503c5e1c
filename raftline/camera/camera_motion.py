"""The camera's motion between two frames, fitted to dense flow.

Constants without another reason were chosen by hand; `python -m benchmarks.bench_stabilization --parts known` shows
their effect.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from raftline.camera.pair_consensus import consensus
from raftline.camera.plane_models import PLANE_MODELS, ModelName, PlaneModel
from raftline.camera.robust_fit import RobustFit, refine
from raftline.camera.transforms import centred, centred_points, frame_corners, transform_points
from raftline.flow.median import median
from raftline.kernels.cell import CELL_PX
from raftline.kernels.compiled import compiled

_MAX_POINTS = 5000
"""Samples of a fit, at about this many: more cost time and are correlated anyway."""
_CORRELATED_CELLS = 16.0
"""Neighbouring grid cells that share their flow error: about 4 x 4, the reach of a patch or of coarse features."""
_MIN_EFFECTIVE_POINTS = 1.0
"""Independent samples without which there is no fit."""
_MAX_CORNER_ERROR_PX = 0.5
"""Expected error of the frame's corners up to which a model is taken without asking how large the motion is."""
_SIGNIFICANT = 2.5
"""With a larger error, a motion must exceed that error by this factor."""
_MAX_LINEAR_STEP = 0.35
"""Farthest from identity that the linear part of a camera's motion lies in one frame; perspective: half of it."""
_MIN_DETERMINATION_PX = 0.1
"""Least sigma of the flow when the error of a fit is derived from it: flow errs smoothly as well."""
_OUTSIDE_TRUST = 0.05
"""Trust in flow that points out of the frame: content was not matched there but guessed."""
_GATE_PX, _GATE_FRAME_PX, _GATE_SHARE = 1.0, 1280, 0.03
"""Gate of the consensus, px: 1 on frames up to 1280 px wide, in proportion beyond; and 3 % of the median flow, as its
error grows with its length."""
_INLIER_SIGMAS, _MIN_INLIER_PX = 3.0, 0.5
"""Flow within 3 sigmas of the fit, or within 0.5 px, follows it."""
_FULL_CONFIDENCE_SHARE = 0.5
"""Share of inliers from which confidence no longer depends on it."""


@dataclass(frozen=True)
class CameraMotion:
    """The motion of the image from one frame to the next that the camera causes."""

    matrix: np.ndarray
    """(3, 3) float64: px of the earlier frame to px of the later one. Identity if `model` is ``none``."""
    model: str
    """``translation``, ``similarity``, ``affine``, ``rolling_shutter`` or ``homography``: the one that the data
    supported; or ``none``."""
    inlier_share: float
    """Share of the trusted flow that follows the model, 0-1."""
    confidence: float
    """0-1: how far the matrix may be relied on."""
    residual_px: float
    """Sigma along one axis of the flow that follows the model."""
    reason: str = ""
    """Why the model is simpler than the one asked for; empty if it is not."""

    @classmethod
    def unknown(cls, reason: str) -> CameraMotion:
        """Return the motion of a frame whose motion cannot be determined."""
        return cls(np.eye(3), "none", 0.0, 0.0, 0.0, reason)

    @classmethod
    def still(cls) -> CameraMotion:
        """Return the motion of a frame that repeats the one before."""
        return cls(np.eye(3), "translation", 1.0, 1.0, 0.0)


def grid_centres(rows: int, columns: int, step_px: int = CELL_PX) -> tuple[np.ndarray, np.ndarray]:
    """Return the cell centres, x (columns,) and y (rows,) px, of a grid that starts at the frame's corner."""
    centre = (step_px - 1) / 2
    return np.arange(columns) * step_px + centre, np.arange(rows) * step_px + centre


def fit_camera_motion(
    flow_px: np.ndarray,
    width: int,
    height: int,
    model: ModelName = "similarity",
    weights: np.ndarray | None = None,
    most_points: int | None = None,
) -> CameraMotion:
    """Fit a plane model to the motion that most of the trusted flow shares.

    A consensus of random pairs finds that motion, reweighted least squares refine it (see `pair_consensus` and
    `robust_fit`). Where the data do not support the model, a simpler one is returned, and why.

    Args:
        flow_px: (h, w, 2) float px, on the grid of 8 px cells or at every pixel of the frame.
        width: Width of the frame, px.
        height: Height of the frame, px.
        model: The model to fit.
        weights: (h, w) >= 0, the trust in each cell (texture, confidence); None trusts all alike.
        most_points: About how many cells take part at most; None: 5000.

    Returns:
        The motion, or `CameraMotion.unknown`.

    Raises:
        ValueError: The shapes do not fit each other.
    """
    step_px = _step(flow_px, weights, width, height)
    samples = _samples(flow_px, weights, width, height, step_px, most_points or _MAX_POINTS)
    if samples.independent(samples.trust) < _MIN_EFFECTIVE_POINTS:
        return CameraMotion.unknown("too little texture for any motion to be seen")
    _, half_diagonal = centred(width, height)
    gate_px = max(_GATE_PX, width / _GATE_FRAME_PX) + _GATE_SHARE * median(np.hypot(*samples.flow))
    residual_px = consensus(samples.points, samples.flow, samples.trust, half_diagonal, gate_px)

    def fitted(name: ModelName) -> _Candidate | str:
        return _candidate(PLANE_MODELS[name], samples, residual_px, gate_px)

    wanted = fitted(model)
    if isinstance(wanted, _Candidate) and wanted.error_px <= _MAX_CORNER_ERROR_PX:
        return _result(wanted, samples.trust, "")
    found, reason = _best_supported(
        [wanted if name == model else fitted(name) for name in _up_to(model)], width, height
    )
    return CameraMotion.unknown(reason) if found is None else _result(found, samples.trust, reason)


@dataclass(frozen=True)
class _Samples:
    points: np.ndarray
    """(2, N) centred."""
    flow: np.ndarray
    """(2, N) px."""
    trust: np.ndarray
    """(N,) >= 0."""
    cells_each: float
    """8 px cells that each sample stands for."""
    width: int
    height: int

    def independent(self, weights: np.ndarray) -> float:
        """Return how many independent samples weights (N,) amount to."""
        return weights.sum() * self.cells_each / _CORRELATED_CELLS


@dataclass(frozen=True)
class _Candidate:
    name: str
    fit: RobustFit
    matrix: np.ndarray
    error_px: float
    """Expected error of the frame's corners, rms."""


def _up_to(model: ModelName) -> list[ModelName]:
    """Return the models that `model` may fall back to, the simplest first, and itself."""
    names: list[ModelName] = [model]
    while (simpler := PLANE_MODELS[names[0]].simpler) is not None:
        names.insert(0, simpler)
    return names


def _best_supported(candidates: list[_Candidate | str], width: int, height: int) -> tuple[_Candidate | None, str]:
    """Return the last candidate that is sure, or differs from the simpler one by far more than its expected error.

    Also why it is not the last of all; empty if it is.
    """
    corners = frame_corners(width, height)
    found, reason, moved = None, "", corners
    for candidate in candidates:
        if isinstance(candidate, str):
            reason = candidate
            continue
        here = transform_points(candidate.matrix, corners)
        beyond_px = float(np.sqrt(((here - moved) ** 2).sum(axis=1).mean()))
        if candidate.error_px <= _MAX_CORNER_ERROR_PX or beyond_px > _SIGNIFICANT * candidate.error_px:
            found, reason, moved = candidate, "", here
        else:
            reason = (
                f"{candidate.name}: expected error {candidate.error_px:.2f} px at the corners, for "
                f"{beyond_px:.2f} px of motion beyond the simpler model"
            )
    return found, reason


def _step(flow_px: np.ndarray, weights: np.ndarray | None, width: int, height: int) -> int:
    """Return the px between samples of the flow. Raises ValueError for shapes that do not fit."""
    shape, grid = flow_px.shape, (-(-height // CELL_PX), -(-width // CELL_PX), 2)
    if shape not in ((height, width, 2), grid):
        raise ValueError(
            f"flow has shape {shape}; a frame of {width}x{height} px has flow of shape ({height}, {width}, 2) "
            f"or, on the 1/8 grid, {grid}"
        )
    if weights is not None and weights.shape != shape[:2]:
        raise ValueError(f"weights have shape {weights.shape}, the flow's grid is {shape[:2]}")
    return 1 if shape == (height, width, 2) else CELL_PX


def _samples(
    flow_px: np.ndarray, weights: np.ndarray | None, width: int, height: int, step_px: int, most: int
) -> _Samples:
    rows, columns = flow_px.shape[:2]
    stride = max(1, int(np.ceil(np.sqrt(rows * columns / most))))
    picked = slice(stride // 2, None, stride)
    x, y = grid_centres(rows, columns, step_px)
    x, y, flow_px = x[picked], y[picked], flow_px[picked, picked]
    trusted = np.ones(flow_px.shape[:2]) if weights is None else weights[picked, picked]
    points, flow, trust = np.empty((2, trusted.size)), np.empty((2, trusted.size)), np.empty(trusted.size)
    _sample(flow_px.astype(np.float64), trusted.astype(np.float64), x, y, width, height, points, flow, trust)
    cells_each = (stride * step_px / CELL_PX) ** 2
    return _Samples(centred_points(points, width, height), flow, trust, cells_each, width, height)


@compiled
def _sample(
    flow_px: Any, weights: Any, x: Any, y: Any, width: Any, height: Any, points: Any, flow: Any, trust: Any
) -> None:
    """Flatten flow (h, w, 2) and weights (h, w), with little trust in flow out of the frame, none in no number."""
    n = 0
    for i in range(y.size):
        for j in range(x.size):
            u, v = flow_px[i, j, 0], flow_px[i, j, 1]
            finite = np.isfinite(u) and np.isfinite(v)
            stays = 0 <= x[j] + u <= width - 1 and 0 <= y[i] + v <= height - 1
            points[0, n], points[1, n] = x[j], y[i]
            flow[0, n], flow[1, n] = (u, v) if finite else (0.0, 0.0)
            trust[n] = weights[i, j] * (1.0 if stays else _OUTSIDE_TRUST) if finite else 0.0
            n += 1


def _candidate(model: PlaneModel, samples: _Samples, residual_px: np.ndarray, gate_px: float) -> _Candidate | str:
    """Return the model's fit, or why it cannot be used."""
    width, height = samples.width, samples.height
    to_centred, half_diagonal = centred(width, height)
    fit = refine(model, samples.points, samples.flow, samples.trust, half_diagonal, residual_px, gate_px)
    if fit is None:
        return f"{model.name}: the points that agree do not determine it"
    if samples.independent(fit.weights) < _MIN_EFFECTIVE_POINTS:
        return f"{model.name}: too few points agree"
    centred_matrix = model.matrix(fit.parameters, half_diagonal)
    step = np.abs(centred_matrix - np.eye(3))
    if step[:2, :2].max() > _MAX_LINEAR_STEP or step[2, :2].max() > _MAX_LINEAR_STEP / 2:
        return f"{model.name}: implausible for a camera (linear part {step[:2, :2].max():.2f} away from identity)"
    matrix = np.linalg.inv(to_centred) @ centred_matrix @ to_centred
    independent_each = max(samples.cells_each / _CORRELATED_CELLS, 1e-9)
    floor = (max(fit.sigma_px, _MIN_DETERMINATION_PX) / fit.sigma_px) ** 2
    error_px = model.corner_error_px(fit.covariance * floor / independent_each, width, height)
    return _Candidate(model.name, fit, matrix / matrix[2, 2], error_px)


def _result(candidate: _Candidate, trust: np.ndarray, reason: str) -> CameraMotion:
    fit = candidate.fit
    follows = fit.residual_px < max(_INLIER_SIGMAS * fit.sigma_px, _MIN_INLIER_PX)
    share = float(trust[follows].sum() / trust.sum())
    confidence = confidence_of(share, candidate.error_px / _MAX_CORNER_ERROR_PX)
    return CameraMotion(candidate.matrix, candidate.name, share, confidence, fit.sigma_px, reason)


def confidence_of(inlier_share: float, relative_error: float) -> float:
    """Return the confidence, 0-1, in a motion that `inlier_share` of the flow follows.

    Args:
        inlier_share: 0-1.
        relative_error: Expected error of the corners, in the largest that is tolerated; at 1 the confidence is half.
    """
    return min(1.0, inlier_share / _FULL_CONFIDENCE_SHARE) / (1.0 + relative_error**2)

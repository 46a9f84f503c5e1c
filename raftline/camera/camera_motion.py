"""The camera's motion between two frames, from dense flow."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from raftline.camera.plane_models import PLANE_MODELS, ModelName, PlaneModel
from raftline.camera.robust_fit import RobustFit, consensus, refine
from raftline.camera.transforms import centred, frame_corners, transform_points
from raftline.kernels.compiled import compiled

GRID_PX = 8
_MAX_POINTS = 5000
_CORRELATED_CELLS = 16.0
"""Neighbouring grid cells whose flow errors go together: about 4 x 4, the reach of a patch or of coarse features."""
_MIN_EFFECTIVE_POINTS = 1.0
_MAX_CORNER_ERROR_PX = 0.5
_SIGNIFICANT = 2.5
"""Times its expected error that a motion must be, to be believed where that error is large."""
_MAX_SCALE_STEP = 0.35
_MIN_DETERMINATION_PX = 0.1
_GUESSED_TRUST = 0.05
"""Of flow that points out of the frame: the content was not matched there but guessed."""


@dataclass(frozen=True)
class CameraMotion:
    """How the camera's picture moved from one frame to the next."""

    matrix: np.ndarray
    """(3, 3) float64: px of the earlier frame to px of the later one. Identity where `model` is ``none``."""
    model: str
    """``translation``, ``similarity``, ``affine``, ``homography``: the one that the data supported; or ``none``."""
    inlier_share: float
    """Share of the trusted flow that follows the model, 0-1."""
    confidence: float
    """0-1: how far the matrix may be relied on."""
    residual_px: float
    """Sigma along one axis of the flow that follows the model."""
    reason: str = ""
    """Why the model is simpler than the one asked for; empty where it is not."""

    @classmethod
    def unknown(cls, reason: str) -> CameraMotion:
        """No motion can be told."""
        return cls(np.eye(3), "none", 0.0, 0.0, 0.0, reason)

    @classmethod
    def still(cls) -> CameraMotion:
        """The frame repeats the one before."""
        return cls(np.eye(3), "translation", 1.0, 1.0, 0.0)


def grid_centres(rows: int, columns: int, step_px: int = GRID_PX) -> tuple[np.ndarray, np.ndarray]:
    """Pixel coordinates (columns,) x and (rows,) y of the cell centres of a grid that starts at the frame's corner."""
    centre = (step_px - 1) / 2
    return np.arange(columns) * step_px + centre, np.arange(rows) * step_px + centre


def fit_camera_motion(
    flow_px: np.ndarray,
    width: int,
    height: int,
    model: ModelName = "similarity",
    weights: np.ndarray | None = None,
) -> CameraMotion:
    """Fit `model` to the motion that most of the trusted flow shares; fall back to a simpler one where it must.

    flow_px: float (h, w, 2), on the 1/8 grid or at every pixel of a frame of `width` x `height` px. weights: (h, w)
    >= 0, how far each cell is trusted (texture, confidence); None trusts all alike. Raises ValueError for shapes that
    do not fit.
    """
    step_px = _step(flow_px, width, height)
    if weights is not None and weights.shape != flow_px.shape[:2]:
        raise ValueError(f"weights have shape {weights.shape}, the flow's grid is {flow_px.shape[:2]}")
    points, flow, trust, cells_each = _samples(flow_px, weights, width, height, step_px)
    if trust.sum() * cells_each / _CORRELATED_CELLS < _MIN_EFFECTIVE_POINTS:
        return CameraMotion.unknown("too little texture for any motion to be seen")
    _, half_diagonal = centred(width, height)
    threshold_px = max(1.0, width / 1280) + 0.03 * float(np.median(np.hypot(*flow)))
    residual_px = consensus(points, flow, trust, half_diagonal, threshold_px)

    def fitted(name: ModelName) -> _Candidate | str:
        return _candidate(PLANE_MODELS[name], points, flow, trust, residual_px, threshold_px, cells_each, width, height)

    wanted = fitted(model)
    if isinstance(wanted, _Candidate) and wanted.error_px <= _MAX_CORNER_ERROR_PX:
        return _result(wanted, trust, "")
    found, reason = _best_supported(
        [wanted if name == model else fitted(name) for name in _up_to(model)], width, height
    )
    return CameraMotion.unknown(reason) if found is None else _result(found, trust, reason)


@dataclass(frozen=True)
class _Candidate:
    name: str
    fit: RobustFit
    matrix: np.ndarray
    error_px: float


def _up_to(model: ModelName) -> list[ModelName]:
    """The models that `model` may fall back to, from the simplest, and itself."""
    names: list[ModelName] = [model]
    while (simpler := PLANE_MODELS[names[0]].simpler) is not None:
        names.insert(0, simpler)
    return names


def _best_supported(candidates: list[_Candidate | str], width: int, height: int) -> tuple[_Candidate | None, str]:
    """From the simplest on, what is sure enough, or differs from the simpler by far more than it may be wrong.

    Also why it is not the last one; empty where it is.
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


def _step(flow_px: np.ndarray, width: int, height: int) -> int:
    shape = flow_px.shape
    if shape == (height, width, 2):
        return 1
    if shape == (-(-height // GRID_PX), -(-width // GRID_PX), 2):
        return GRID_PX
    raise ValueError(
        f"flow has shape {shape}; a frame of {width}x{height} px has flow of shape ({height}, {width}, 2) "
        f"or, on the 1/8 grid, ({-(-height // GRID_PX)}, {-(-width // GRID_PX)}, 2)"
    )


def _samples(
    flow_px: np.ndarray, weights: np.ndarray | None, width: int, height: int, step_px: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray, float]:
    """Points (2, N) centred, flow (2, N) px, trust (N,), and how many 1/8 cells each of the ~5000 points stands for."""
    rows, columns = flow_px.shape[:2]
    stride = max(1, int(np.ceil(np.sqrt(rows * columns / _MAX_POINTS))))
    picked = slice(stride // 2, None, stride)
    x, y = grid_centres(rows, columns, step_px)
    x, y, flow_px = x[picked], y[picked], flow_px[picked, picked]
    trusted = np.ones(flow_px.shape[:2]) if weights is None else weights[picked, picked]
    points, flow, trust = np.empty((2, trusted.size)), np.empty((2, trusted.size)), np.empty(trusted.size)
    _sample(flow_px.astype(np.float64), trusted.astype(np.float64), x, y, width, height, points, flow, trust)
    to_centred, _ = centred(width, height)
    points = points * to_centred[0, 0] + to_centred[:2, 2:]
    return points, flow, trust, (stride * step_px / GRID_PX) ** 2


@compiled
def _sample(
    flow_px: Any, weights: Any, x: Any, y: Any, width: Any, height: Any, points: Any, flow: Any, trust: Any
) -> None:
    """Flow (h, w, 2) and weights (h, w) in a row: little trust in what points out of the frame, none in no number."""
    n = 0
    for i in range(y.size):
        for j in range(x.size):
            u, v = flow_px[i, j, 0], flow_px[i, j, 1]
            finite = np.isfinite(u) and np.isfinite(v)
            stays = 0 <= x[j] + u <= width - 1 and 0 <= y[i] + v <= height - 1
            points[0, n], points[1, n] = x[j], y[i]
            flow[0, n], flow[1, n] = (u, v) if finite else (0.0, 0.0)
            trust[n] = weights[i, j] * (1.0 if stays else _GUESSED_TRUST) if finite else 0.0
            n += 1


def _corner_error(model: PlaneModel, fit: RobustFit, cells_each: float, width: int, height: int) -> float:
    """Expected error in px, rms over the frame's corners, from the fit's covariance."""
    to_centred, _ = centred(width, height)
    corners = (frame_corners(width, height) * to_centred[0, 0] + to_centred[:2, 2]).T
    rows = model.design(corners, corners)
    independent = max(cells_each / _CORRELATED_CELLS, 1e-9)
    floor = (max(fit.sigma_px, _MIN_DETERMINATION_PX) / fit.sigma_px) ** 2
    variance = np.einsum("ajn,jk,akn->n", rows, fit.covariance * floor / independent, rows)
    return float(np.sqrt(variance.mean()))


def _candidate(
    model: PlaneModel,
    points: np.ndarray,
    flow: np.ndarray,
    trust: np.ndarray,
    residual_px: np.ndarray,
    threshold_px: float,
    cells_each: float,
    width: int,
    height: int,
) -> _Candidate | str:
    """The model's fit, or why it cannot be used."""
    to_centred, half_diagonal = centred(width, height)
    fit = refine(model, points, flow, trust, half_diagonal, residual_px, threshold_px)
    if fit is None:
        return f"{model.name}: the points that agree do not determine it"
    if fit.weights.sum() * cells_each / _CORRELATED_CELLS < _MIN_EFFECTIVE_POINTS:
        return f"{model.name}: too few points agree"
    centred_matrix = model.matrix(fit.parameters, half_diagonal)
    step = np.abs(centred_matrix - np.eye(3))
    if step[:2, :2].max() > _MAX_SCALE_STEP or step[2, :2].max() > _MAX_SCALE_STEP / 2:
        return f"{model.name}: implausible for a camera (linear part {step[:2, :2].max():.2f} away from identity)"
    matrix = np.linalg.inv(to_centred) @ centred_matrix @ to_centred
    return _Candidate(model.name, fit, matrix / matrix[2, 2], _corner_error(model, fit, cells_each, width, height))


def _result(candidate: _Candidate, trust: np.ndarray, reason: str) -> CameraMotion:
    fit = candidate.fit
    follows = fit.residual_px < max(3.0 * fit.sigma_px, 0.5)
    share = float(trust[follows].sum() / trust.sum())
    confidence = min(1.0, share / 0.5) / (1.0 + (candidate.error_px / _MAX_CORNER_ERROR_PX) ** 2)
    return CameraMotion(candidate.matrix, candidate.name, share, confidence, fit.sigma_px, reason)

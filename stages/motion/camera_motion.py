"""The camera's motion between two frames, from dense flow."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from stages.motion.plane_models import PLANE_MODELS, ModelName
from stages.motion.robust_fit import RobustFit, consensus, refine
from stages.motion.transforms import centred, frame_corners

GRID_PX = 8
_MAX_POINTS = 5000
_CORRELATED_CELLS = 16.0
"""Neighbouring grid cells whose flow errors go together: about 4 x 4, the reach of a patch or of coarse features."""
_MIN_EFFECTIVE_POINTS = 2.0
_MAX_CORNER_ERROR_PX = 0.5
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
    threshold_px = max(1.0, width / 1280) + 0.03 * float(np.median(np.hypot(flow[:, 0], flow[:, 1])))
    residual_px = consensus(points, flow, trust, half_diagonal, threshold_px)

    reason, name = "", model
    while name is not None:
        candidate = PLANE_MODELS[name]
        fit = refine(candidate, points, flow, trust, half_diagonal, residual_px, threshold_px)
        refused = _refusal(name, fit, cells_each, width, height)
        if fit is not None and not refused:
            return _result(name, fit, trust, cells_each, width, height, reason)
        reason = refused
        name = candidate.simpler
    return CameraMotion.unknown(reason)


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
    """Points (N, 2) centred, flow (N, 2) px, trust (N,), and how many 1/8 cells each of the ~5000 points stands for."""
    rows, columns = flow_px.shape[:2]
    stride = max(1, int(np.ceil(np.sqrt(rows * columns / _MAX_POINTS))))
    picked = (slice(stride // 2, None, stride), slice(stride // 2, None, stride))
    x, y = grid_centres(rows, columns, step_px)
    x, y = np.meshgrid(x[picked[1]], y[picked[0]])
    flow = np.asarray(flow_px[picked], np.float64).reshape(-1, 2)
    trust = np.ones(len(flow)) if weights is None else np.asarray(weights[picked], np.float64).ravel()
    finite = np.isfinite(flow[:, 0]) & np.isfinite(flow[:, 1])
    flow = np.where(finite[:, None], flow, 0.0)
    to_x, to_y = x.ravel() + flow[:, 0], y.ravel() + flow[:, 1]
    stays = (to_x >= 0) & (to_x <= width - 1) & (to_y >= 0) & (to_y <= height - 1)
    trust = np.where(finite, np.where(stays, trust, _GUESSED_TRUST * trust), 0.0)
    to_centred, _ = centred(width, height)
    points = np.stack([x.ravel(), y.ravel()], axis=1) * to_centred[0, 0] + to_centred[:2, 2]
    return points, flow, trust, (stride * step_px / GRID_PX) ** 2


def _corner_error(name: str, fit: RobustFit, cells_each: float, width: int, height: int) -> float:
    """Expected error in px, rms over the frame's corners, from the fit's covariance."""
    to_centred, _ = centred(width, height)
    corners = frame_corners(width, height) * to_centred[0, 0] + to_centred[:2, 2]
    rows = PLANE_MODELS[name].design(corners, corners)
    independent = max(cells_each / _CORRELATED_CELLS, 1e-9)
    floor = (max(fit.sigma_px, _MIN_DETERMINATION_PX) / fit.sigma_px) ** 2
    variance = np.einsum("anj,jk,ank->n", rows, fit.covariance * floor / independent, rows)
    return float(np.sqrt(variance.mean()))


def _refusal(name: str, fit: RobustFit | None, cells_each: float, width: int, height: int) -> str:
    """Why this fit cannot be used; empty where it can."""
    if fit is None:
        return f"{name}: the points that agree do not determine it"
    if fit.weights.sum() * cells_each / _CORRELATED_CELLS < _MIN_EFFECTIVE_POINTS:
        return f"{name}: too few points agree"
    error_px = _corner_error(name, fit, cells_each, width, height)
    if error_px > _MAX_CORNER_ERROR_PX:
        return f"{name}: expected error {error_px:.2f} px at the corners, at most {_MAX_CORNER_ERROR_PX} px is allowed"
    _, half_diagonal = centred(width, height)
    step = PLANE_MODELS[name].matrix(fit.parameters, half_diagonal) - np.eye(3)
    if np.abs(step[:2, :2]).max() > _MAX_SCALE_STEP or np.abs(step[2, :2]).max() > _MAX_SCALE_STEP / 2:
        return f"{name}: implausible for a camera (linear part {np.abs(step[:2, :2]).max():.2f} away from identity)"
    return ""


def _result(
    name: str, fit: RobustFit, trust: np.ndarray, cells_each: float, width: int, height: int, reason: str
) -> CameraMotion:
    to_centred, half_diagonal = centred(width, height)
    matrix = np.linalg.inv(to_centred) @ PLANE_MODELS[name].matrix(fit.parameters, half_diagonal) @ to_centred
    follows = fit.residual_px < max(3.0 * fit.sigma_px, 0.5)
    share = float(trust[follows].sum() / trust.sum())
    error_px = _corner_error(name, fit, cells_each, width, height)
    confidence = min(1.0, share / 0.5) / (1.0 + (error_px / _MAX_CORNER_ERROR_PX) ** 2)
    return CameraMotion(matrix / matrix[2, 2], name, share, confidence, fit.sigma_px, reason)

"""A camera motion refined on the pictures themselves: all of their texture at once, to hundredths of a px.

Flow errs in each cell by tenths of a px, and together where it is poorly lit; a plane model has few parameters, and
every edge of the picture says something about them. Inverse compositional alignment (Baker and Matthews 2004) with
Tukey's weights and a change of brightness.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from raftline.camera.camera_motion import CameraMotion, grid_centres
from raftline.camera.luma_pyramid import AlignmentPoints, LumaPyramid
from raftline.camera.plane_models import PLANE_MODELS, ModelName, PlaneModel
from raftline.camera.transforms import centred, frame_corners, transform_points
from raftline.camera.weighted_squares import weighted_squares
from raftline.kernels.compiled import compiled

_ITERATIONS = 5
_STEP_PX = 0.01
_MAX_CONDITION = 1e8
_LEAST_CORRELATION = 0.3
"""Of two pictures of one scene; unrelated ones stay under 0.2."""
_TUKEY = 4.685
_LEAST_SIGMA = 0.25
"""Grey levels, of pictures blurred as above: rounding alone leaves as much."""
_MAX_ERROR_PX = 0.5
_MAX_CHANGE_PX, _MAX_CHANGE = 8.0, 0.25
"""How far a corner may come from where the flow saw it: px, and a share of its motion."""
_LEAST_REACH_PX = 1.5
_MIN_POINTS = 100


@dataclass(frozen=True)
class Alignment:
    """What alignment found."""

    matrix: np.ndarray
    """(3, 3) px of the earlier frame to px of the later one."""
    error_px: float
    """Expected error of the frame's corners, rms."""
    better: bool
    """The pictures agree no worse than under the motion it began with."""


def refined_motion(
    motion: CameraMotion,
    before: LumaPyramid,
    after: LumaPyramid,
    flow_px: np.ndarray,
    model: ModelName,
    weights: np.ndarray | None = None,
) -> CameraMotion:
    """`motion`, fitted to the flow (h, w, 2) of the 8 px grid, refined on the two pictures where they say more.

    Cells whose flow does not follow `motion` take no part; weights (h, w) >= 0: how far the others do. A model that the
    flow could not support is tried too: texture too small for a field of flow can be enough for four parameters.
    """
    if motion.model == "none":
        return motion
    follows = _following(flow_px, motion)
    if weights is not None:
        follows = follows * weights
    found = align(before, after, motion.matrix, PLANE_MODELS[model], follows)
    if found is None or not found.better or found.error_px > _MAX_ERROR_PX:
        return motion
    corners = frame_corners(before.width, before.height)
    moved = transform_points(motion.matrix, corners)
    apart_px = np.abs(transform_points(found.matrix, corners) - moved).max()
    if apart_px > _MAX_CHANGE_PX + _MAX_CHANGE * np.abs(moved - corners).max():
        return motion
    share = min(1.0, motion.inlier_share / 0.5)
    confidence = share / (1.0 + (found.error_px / _MAX_ERROR_PX) ** 2)
    return replace(motion, matrix=found.matrix, model=model, confidence=max(confidence, motion.confidence), reason="")


def _following(flow_px: np.ndarray, motion: CameraMotion) -> np.ndarray:
    """(h, w) float64: 1 where the flow is the motion's, 0 where it is not."""
    reach_px = max(_TUKEY * motion.residual_px, _LEAST_REACH_PX)
    found = np.empty(flow_px.shape[:2])
    x, y = grid_centres(*flow_px.shape[:2])
    _follow(flow_px, x, y, motion.matrix, reach_px, found)
    return found


def align(
    before: LumaPyramid,
    after: LumaPyramid,
    matrix: np.ndarray,
    model: PlaneModel,
    cell_weights: np.ndarray,
) -> Alignment | None:
    """Refine `matrix` (3, 3), px to px, by what all trusted texture says.

    cell_weights: (h, w) >= 0 of the earlier frame's 8 px cells, 0 where the content does not follow the camera. None
    where the trusted texture does not determine the model.
    """
    found: Alignment | None = None
    for level in range(len(before.levels)):
        found = _at_level(before, after, level, matrix, model, cell_weights)
        if found is None:
            return None
        matrix = found.matrix
    return found


def _at_level(
    before: LumaPyramid,
    after: LumaPyramid,
    level: int,
    matrix: np.ndarray,
    model: PlaneModel,
    cell_weights: np.ndarray,
) -> Alignment | None:
    points = before.points(level, cell_weights)
    if len(points.value) < _MIN_POINTS:
        return None
    height, width = before.levels[level].shape
    to_centred, _ = centred(width, height)
    to_local = to_centred @ before.to_level(level)
    found = _solved(points, after.levels[level], to_local @ matrix @ np.linalg.inv(to_local), model)
    if found is None:
        return None
    warp, covariance, better = found
    corners = (frame_corners(width, height) * to_centred[0, 0] + to_centred[:2, 2]).T
    at_corners = model.design(corners, corners)[:, : len(covariance)]
    error_px = float(np.sqrt(np.einsum("ajn,jk,akn->n", at_corners, covariance, at_corners).mean()))
    back = np.linalg.inv(to_local) @ warp @ to_local
    return Alignment(back / back[2, 2], error_px * before.width / width, better)


def _design(points: AlignmentPoints, model: PlaneModel) -> np.ndarray:
    """(parameters + 2, N): change of value by each parameter of the model, by gain and by brightness.

    What the matrix does not hold (`PlaneModel.beside`) is found as gain and brightness are: to first order.
    """
    along_u, along_v = model.design(points.local, points.local)
    design = np.empty((model.parameters + 2, len(points.value)))
    np.add(along_u * points.gradient[0], along_v * points.gradient[1], out=design[:-2])
    design[-2], design[-1] = points.value - points.value.mean(), 1.0
    return design


def _solved(
    points: AlignmentPoints, other: np.ndarray, warp: np.ndarray, model: PlaneModel
) -> tuple[np.ndarray, np.ndarray, bool] | None:
    """Warp (3, 3) in centred coordinates, covariance of the parameters in px², and whether it is no worse."""
    height, width = other.shape
    to_centred, half_diagonal = centred(width, height)
    from_centred = np.linalg.inv(to_centred)
    design, k = _design(points, model), model.parameters - model.beside
    light, sigmas, inverse = np.zeros(len(design) - k), [], None
    difference, weights, residual = np.empty((3, len(points.value)))
    for _ in range(_ITERATIONS):
        _compare(other, points.local, points.value, points.trust, from_centred @ warp, difference, weights)
        inside = weights >= 0.0
        if inside.sum() < _MIN_POINTS:
            return None
        if not sigmas:
            light[-1] = np.median(difference[inside])
        _leave(difference, design[k:], light, residual)
        sigmas.append(_scale(residual, weights))
        robust = np.maximum(weights, 0.0) * np.maximum(1.0 - (residual / (_TUKEY * min(sigmas))) ** 2, 0.0) ** 2
        normal, right = weighted_squares(design, robust, residual)
        if not np.linalg.cond(normal[:k, :k]) < _MAX_CONDITION:
            return None
        inverse = np.linalg.pinv(normal)
        step = inverse @ right
        warp = warp @ np.linalg.inv(model.matrix(step[:k], half_diagonal))
        light += step[k:]
        if np.abs(step[:k]).max() < _STEP_PX:
            break
    assert inverse is not None
    value, shown = points.value[inside], difference[inside] + points.value[inside]
    better = sigmas[-1] <= 1.02 * sigmas[0] and bool(np.corrcoef(value, shown)[0, 1] > _LEAST_CORRELATION)
    return warp, inverse[:k, :k] * sigmas[-1] ** 2, better


def _scale(residual: np.ndarray, weights: np.ndarray) -> float:
    """Robust sigma of the residuals that count."""
    counted = np.abs(residual[weights > 0])
    return max(float(np.median(counted)) / 0.6745, _LEAST_SIGMA) if counted.size else _LEAST_SIGMA


@compiled
def _follow(flow_px: Any, x: Any, y: Any, matrix: Any, reach_px: Any, found: Any) -> None:
    """Tukey's weights (h, w) of what `matrix` (3, 3) leaves of flow (h, w, 2) at x (w,), y (h,) px."""
    for i in range(y.size):
        for j in range(x.size):
            away = matrix[2, 0] * x[j] + matrix[2, 1] * y[i] + matrix[2, 2]
            u = (matrix[0, 0] * x[j] + matrix[0, 1] * y[i] + matrix[0, 2]) / away - x[j] - flow_px[i, j, 0]
            v = (matrix[1, 0] * x[j] + matrix[1, 1] * y[i] + matrix[1, 2]) / away - y[i] - flow_px[i, j, 1]
            near = max(1.0 - (u * u + v * v) / (reach_px * reach_px), 0.0)
            found[i, j] = near * near


@compiled
def _compare(image: Any, local: Any, value: Any, trust: Any, matrix: Any, difference: Any, weights: Any) -> None:
    """What an image float32 (h, w) shows where `matrix` (3, 3) moves points local (2, N) to, less `value`.

    Bilinear: `cv2.remap` rounds to 1/32 px, which is more than is sought here. weights: the trust; -1 outside.
    """
    height, width = image.shape
    for n in range(value.size):
        x, y = local[0, n], local[1, n]
        away = matrix[2, 0] * x + matrix[2, 1] * y + matrix[2, 2]
        to_x = (matrix[0, 0] * x + matrix[0, 1] * y + matrix[0, 2]) / away
        to_y = (matrix[1, 0] * x + matrix[1, 1] * y + matrix[1, 2]) / away
        if not (to_x > 0 and to_x < width - 1 and to_y > 0 and to_y < height - 1):
            difference[n], weights[n] = 0.0, -1.0
            continue
        j, i = int(to_x), int(to_y)
        x, y = to_x - j, to_y - i
        upper = image[i, j] * (1.0 - x) + image[i, j + 1] * x
        lower = image[i + 1, j] * (1.0 - x) + image[i + 1, j + 1] * x
        difference[n] = upper * (1.0 - y) + lower * y - value[n]
        weights[n] = trust[n]


@compiled
def _leave(difference: Any, design: Any, factors: Any, residual: Any) -> None:
    """What factors (K,) of design (K, N) leave of a difference (N,)."""
    for n in range(difference.size):
        residual[n] = difference[n]
    for k in range(factors.size):
        for n in range(difference.size):
            residual[n] -= design[k, n] * factors[k]

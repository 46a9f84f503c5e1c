"""A camera motion refined on the pictures themselves: all of their texture at once, to hundredths of a px.

Flow errs in each cell by tenths of a px, and together where it is poorly lit; a plane model has few parameters, and
every edge of the picture says something about them. Inverse compositional alignment (Baker and Matthews 2004) with
Tukey's weights and a change of brightness.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np

from stages.motion.camera.camera_motion import CameraMotion, grid_centres
from stages.motion.camera.plane_models import PLANE_MODELS, ModelName, PlaneModel
from stages.motion.camera.transforms import centred, frame_corners, transform_points

_MAX_SIDE_PX = 640
_BLUR_PX = 0.8
_POINTS = 8_000
"""At most so many are compared, where the gradient is strongest."""
_ITERATIONS = 5
_STEP_PX = 0.01
_MAX_CONDITION = 1e8
_LEAST_CORRELATION = 0.3
"""Of two pictures of one scene; unrelated ones stay under 0.2."""
_TUKEY = 4.685
_LEAST_SIGMA = 0.25
"""Grey levels, of pictures blurred as above: rounding alone leaves as much."""
_COARSE = 2
_MAX_ERROR_PX = 0.5
_MAX_CHANGE_PX, _MAX_CHANGE = 8.0, 0.25
"""How far a corner may come from where the flow saw it: px, and a share of its motion."""
_LEAST_REACH_PX = 1.5
_MIN_POINTS = 100


@dataclass(frozen=True)
class AlignmentPicture:
    """What alignment needs of one frame; made once per frame, used with the one before and the one after."""

    levels: tuple[tuple[np.ndarray, np.ndarray, np.ndarray], ...]
    """From coarse to fine: blurred luma, its gradient along x and y; float32 (h, w)."""
    width: int
    """px of the frame."""
    height: int

    @classmethod
    def of(cls, luma: np.ndarray) -> AlignmentPicture:
        """luma: uint8 (H, W)."""
        height, width = luma.shape
        scale = min(1.0, _MAX_SIDE_PX / max(height, width))
        size = (max(1, round(width * scale)), max(1, round(height * scale)))
        fine = cv2.resize(luma, size, interpolation=cv2.INTER_AREA) if scale < 1 else luma
        half = (max(1, fine.shape[1] // _COARSE), max(1, fine.shape[0] // _COARSE))
        coarse = cv2.resize(fine, half, interpolation=cv2.INTER_AREA)
        return cls(tuple(_with_gradient(level) for level in (coarse, fine) if min(level.shape) >= 16), width, height)


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
    before: AlignmentPicture,
    after: AlignmentPicture,
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
    rows, columns = flow_px.shape[:2]
    points = np.stack(np.meshgrid(*grid_centres(rows, columns)), axis=-1).reshape(-1, 2)
    left = transform_points(motion.matrix, points) - points - flow_px.reshape(-1, 2)
    reach_px = max(_TUKEY * motion.residual_px, _LEAST_REACH_PX)
    apart_px2 = left[:, 0] ** 2 + left[:, 1] ** 2
    return np.clip(1.0 - apart_px2 / reach_px**2, 0.0, None).reshape(rows, columns) ** 2


def align(
    before: AlignmentPicture,
    after: AlignmentPicture,
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


def _with_gradient(luma: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    blurred = cv2.GaussianBlur(np.asarray(luma, np.float32), (0, 0), _BLUR_PX)
    along_x = cv2.Sobel(blurred, cv2.CV_32F, 1, 0, ksize=1, scale=0.5)
    along_y = cv2.Sobel(blurred, cv2.CV_32F, 0, 1, ksize=1, scale=0.5)
    return blurred, along_x, along_y


def _strongest(along_x: np.ndarray, along_y: np.ndarray, trust: np.ndarray) -> np.ndarray:
    """Places (N,) in the flat picture of the strongest gradients, one of each 2 x 2 px at most, that are trusted."""
    height, width = along_x.shape
    strength = (along_x * along_x + along_y * along_y) * trust
    strength[[0, -1]] = strength[:, [0, -1]] = 0.0
    blocks = strength[: height // 2 * 2, : width // 2 * 2].reshape(height // 2, 2, width // 2, 2)
    across = blocks[..., 0] < blocks[..., 1]
    best = np.maximum(blocks[..., 0], blocks[..., 1])
    down = best[:, 0] < best[:, 1]
    best = np.maximum(best[:, 0], best[:, 1])
    across = np.where(down, across[:, 1], across[:, 0])
    at = (2 * np.arange(height // 2)[:, None] + down) * width + 2 * np.arange(width // 2) + across
    best, at = best.ravel(), at.ravel()
    if best.size > _POINTS:
        chosen = np.argpartition(best, best.size - _POINTS)[-_POINTS:]
        best, at = best[chosen], at[chosen]
    return at[best > 0]


def _at_level(
    before: AlignmentPicture,
    after: AlignmentPicture,
    level: int,
    matrix: np.ndarray,
    model: PlaneModel,
    cell_weights: np.ndarray,
) -> Alignment | None:
    image, along_x, along_y = before.levels[level]
    height, width = image.shape
    everywhere = _at_pixels(cell_weights, before, width, height)
    places = _strongest(along_x, along_y, everywhere)
    if len(places) < _MIN_POINTS:
        return None
    rows, columns = np.divmod(places, width)
    to_centred, _ = centred(width, height)
    local = np.stack([columns, rows], axis=1) * to_centred[0, 0] + to_centred[:2, 2]
    value = image.ravel()[places].astype(np.float64)
    along_u, along_v = model.design(local, local)
    moving = along_u * along_x.ravel()[places, None] + along_v * along_y.ravel()[places, None]
    brighter = np.stack([value - value.mean(), np.ones_like(value)], axis=1)
    points = _Points(
        local, value, np.concatenate([moving, brighter], axis=1), everywhere.ravel()[places].astype(np.float64)
    )
    to_local = to_centred @ _to_level(before, width, height)
    found = _solved(points, after.levels[level][0], to_local @ matrix @ np.linalg.inv(to_local), model)
    if found is None:
        return None
    warp, covariance, better = found
    corners = frame_corners(width, height) * to_centred[0, 0] + to_centred[:2, 2]
    at_corners = model.design(corners, corners)[..., : len(covariance)]
    error_px = float(np.sqrt(np.einsum("anj,jk,ank->n", at_corners, covariance, at_corners).mean()))
    back = np.linalg.inv(to_local) @ warp @ to_local
    return Alignment(back / back[2, 2], error_px * before.width / width, better)


@dataclass(frozen=True)
class _Points:
    """What is compared of the earlier picture."""

    local: np.ndarray
    """(N, 2) centred."""
    value: np.ndarray
    """(N,) grey levels."""
    design: np.ndarray
    """(N, parameters + 2): change of value by each parameter of the model, by gain and by brightness.

    What the matrix does not hold (`PlaneModel.beside`) is found as gain and brightness are: to first order."""
    trust: np.ndarray
    """(N,) >= 0"""


def _solved(
    points: _Points, other: np.ndarray, warp: np.ndarray, model: PlaneModel
) -> tuple[np.ndarray, np.ndarray, bool] | None:
    """Warp (3, 3) in centred coordinates, covariance of the parameters in px², and whether it is no worse."""
    height, width = other.shape
    to_centred, half_diagonal = centred(width, height)
    from_centred = np.linalg.inv(to_centred)
    k = model.parameters - model.beside
    light, sigmas, inverse = np.zeros(points.design.shape[1] - k), [], None
    for _ in range(_ITERATIONS):
        moved = transform_points(from_centred @ warp, points.local)
        x, y = moved.T
        inside = (x > 0) & (x < width - 1) & (y > 0) & (y < height - 1)
        if inside.sum() < _MIN_POINTS:
            return None
        difference = _sampled(other, moved) - points.value
        if not sigmas:
            light[-1] = np.median(difference[inside])
        residual = difference - points.design[:, k:] @ light
        weights = points.trust * inside
        sigmas.append(_scale(residual, weights))
        reach = _TUKEY * min(sigmas)
        robust = weights * np.clip(1.0 - (residual / reach) ** 2, 0.0, None) ** 2
        weighted = (points.design * robust[:, None]).T
        normal = weighted @ points.design
        if not np.linalg.cond(normal[:k, :k]) < _MAX_CONDITION:
            return None
        inverse = np.linalg.pinv(normal)
        step = inverse @ (weighted @ residual)
        warp = warp @ np.linalg.inv(model.matrix(step[:k], half_diagonal))
        light += step[k:]
        if np.abs(step[:k]).max() < _STEP_PX:
            break
    assert inverse is not None
    alike = np.corrcoef(points.value[inside], difference[inside] + points.value[inside])[0, 1]
    better = bool(sigmas[-1] <= 1.02 * sigmas[0] and alike > _LEAST_CORRELATION)
    return warp, inverse[:k, :k] * sigmas[-1] ** 2, better


def _to_level(picture: AlignmentPicture, width: int, height: int) -> np.ndarray:
    """(3, 3) px of the frame to px of a level: centres of areas, not corners, coincide."""
    across, down = width / picture.width, height / picture.height
    return np.array([[across, 0.0, (across - 1) / 2], [0.0, down, (down - 1) / 2], [0.0, 0.0, 1.0]])


def _at_pixels(cell_weights: np.ndarray, picture: AlignmentPicture, width: int, height: int) -> np.ndarray:
    """The weights of 8 px cells of the frame at every pixel of a level."""
    rows = np.minimum(np.arange(height) * picture.height // (height * 8), cell_weights.shape[0] - 1)
    columns = np.minimum(np.arange(width) * picture.width // (width * 8), cell_weights.shape[1] - 1)
    return cell_weights.astype(np.float32)[rows].take(columns, axis=1)  # in rows, as indexing would not leave it


def _scale(residual: np.ndarray, weights: np.ndarray) -> float:
    """Robust sigma of the residuals that count."""
    counted = np.abs(residual[weights > 0])
    return max(float(np.median(counted)) / 0.6745, _LEAST_SIGMA) if counted.size else _LEAST_SIGMA


def _sampled(image: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Values (N,) at points (N, 2) px, bilinear; `cv2.remap` rounds to 1/32 px, which is more than is sought here."""
    height, width = image.shape
    x, y = np.clip(points[:, 0], 0, width - 1.001), np.clip(points[:, 1], 0, height - 1.001)
    column, row = x.astype(np.intp), y.astype(np.intp)
    x, y = x - column, y - row
    at = row * width + column
    flat = image.ravel()
    upper = flat[at] * (1 - x) + flat[at + 1] * x
    lower = flat[at + width] * (1 - x) + flat[at + width + 1] * x
    return upper * (1 - y) + lower * y

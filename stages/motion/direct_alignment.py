"""A camera motion refined on the pictures themselves: all of their texture at once, to hundredths of a px.

Flow errs in each cell by tenths of a px, and together where it is poorly lit; a plane model has few parameters, and
every edge of the picture says something about them. Inverse compositional alignment (Baker and Matthews 2004) with
Tukey's weights and a change of brightness.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np

from stages.motion.camera_motion import CameraMotion, grid_centres
from stages.motion.plane_models import PLANE_MODELS, ModelName, PlaneModel
from stages.motion.transforms import centred, frame_corners, transform_points

_MAX_SIDE_PX = 640
_BLUR_PX = 0.8
_POINTS = 12_000
"""At most so many are compared, where the gradient is strongest."""
_ITERATIONS = 8
_STEP_PX = 0.003
_TUKEY = 4.685
_LEAST_SIGMA = 0.25
"""Grey levels, of pictures blurred as above: rounding alone leaves as much."""
_COARSE = 2
_MAX_ERROR_PX = 0.5
_MAX_CHANGE_PX, _MAX_CHANGE = 3.0, 0.25
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
        fine = cv2.resize(luma, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA) if scale < 1 else luma
        coarse = cv2.resize(fine, None, fx=1 / _COARSE, fy=1 / _COARSE, interpolation=cv2.INTER_AREA)
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
) -> CameraMotion:
    """`motion`, fitted to the flow (h, w, 2) of the 8 px grid, refined on the two pictures where they say more.

    Cells whose flow does not follow `motion` take no part. A model that the flow could not support is tried too:
    texture too small for a field of flow can be enough for four parameters.
    """
    if motion.model == "none":
        return motion
    follows = _following(flow_px, motion)
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
    return np.clip(1.0 - (left**2).sum(axis=1) / reach_px**2, 0.0, None).reshape(rows, columns) ** 2


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
    found, error_px, better = matrix, np.inf, True
    for level in range(len(before.levels)):
        refined = _at_level(before, after, level, found, model, cell_weights)
        if refined is None:
            return None
        found, error_px, better = refined
    return Alignment(found, error_px, better) if np.isfinite(error_px) else None


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
) -> tuple[np.ndarray, float, bool] | None:
    image, along_x, along_y = before.levels[level]
    other = after.levels[level][0]
    height, width = image.shape
    to_level = _to_level(before, width, height)
    to_centred, half_diagonal = centred(width, height)
    everywhere = _at_pixels(cell_weights, before, width, height)
    places = _strongest(along_x, along_y, everywhere)
    if len(places) < _MIN_POINTS:
        return None
    rows, columns = np.divmod(places, width)
    trust = everywhere.ravel()[places].astype(np.float64)
    points = np.stack([columns, rows], axis=1).astype(np.float64)
    local = points * to_centred[0, 0] + to_centred[:2, 2]
    rows_u, rows_v = model.design(local, local)
    value = image[rows, columns].astype(np.float64)
    design = rows_u * along_x[rows, columns, None] + rows_v * along_y[rows, columns, None]
    design = np.concatenate([design, -value[:, None], -np.ones((len(value), 1))], axis=1)
    design[:, -2] += value.mean()
    warp = to_centred @ to_level @ matrix @ np.linalg.inv(to_level) @ np.linalg.inv(to_centred)
    k, gain, bias = model.parameters, 0.0, 0.0
    first_cost = None
    inverse = sigma = None
    from_centred = np.linalg.inv(to_centred)
    for _ in range(_ITERATIONS):
        moved = transform_points(from_centred @ warp, local)
        sampled = _sampled(other, moved)
        inside = ((moved > 0) & (moved < (width - 1, height - 1))).all(axis=1)
        residual = sampled - value - gain * (value - value.mean()) - bias
        weights = trust * inside
        if sigma is None:
            bias = float(np.median(residual[inside])) if inside.any() else 0.0
            residual = residual - bias
        scale = _scale(residual, weights)
        sigma = scale if sigma is None else min(scale, 1.5 * sigma)
        cost = float(weights @ np.minimum((residual / (_TUKEY * scale)) ** 2, 1.0)) * scale**2
        first_cost = (scale, residual, weights) if first_cost is None else first_cost
        robust = weights * np.clip(1.0 - (residual / (_TUKEY * sigma)) ** 2, 0.0, None) ** 2
        weighted = (design * robust[:, None]).T
        normal = weighted @ design
        normal[np.diag_indices_from(normal)] += 1e-9 * np.trace(normal) / len(normal)
        if np.linalg.cond(normal[:k, :k]) > 1e10:
            return None
        inverse = np.linalg.inv(normal)
        step = inverse @ (weighted @ residual)
        warp = warp @ np.linalg.inv(model.matrix(step[:k], half_diagonal))
        gain, bias = gain - step[k], bias - step[k + 1]
        if np.abs(step[:k]).max() < _STEP_PX:
            break
    assert inverse is not None and sigma is not None and first_cost is not None
    covariance = inverse[:k, :k] * sigma**2
    corners = frame_corners(width, height) * to_centred[0, 0] + to_centred[:2, 2]
    design_corners = model.design(corners, corners)
    error = float(np.sqrt(np.einsum("anj,jk,ank->n", design_corners, covariance, design_corners).mean()))
    enlarge = before.width / width
    back = np.linalg.inv(to_level) @ from_centred @ warp @ to_centred @ to_level
    return back / back[2, 2], error * enlarge, sigma <= 1.02 * first_cost[0]


def _to_level(picture: AlignmentPicture, width: int, height: int) -> np.ndarray:
    """(3, 3) px of the frame to px of a level: centres of areas, not corners, coincide."""
    across, down = width / picture.width, height / picture.height
    return np.array([[across, 0.0, (across - 1) / 2], [0.0, down, (down - 1) / 2], [0.0, 0.0, 1.0]])


def _at_pixels(cell_weights: np.ndarray, picture: AlignmentPicture, width: int, height: int) -> np.ndarray:
    """The weights of 8 px cells of the frame at every pixel of a level."""
    rows = np.minimum(np.arange(height) * picture.height // (height * 8), cell_weights.shape[0] - 1)
    columns = np.minimum(np.arange(width) * picture.width // (width * 8), cell_weights.shape[1] - 1)
    return cell_weights.astype(np.float32)[rows][:, columns]


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

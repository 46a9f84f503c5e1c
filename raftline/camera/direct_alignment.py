"""Frame to frame: a camera motion refined on the images themselves, to hundredths of a px.

Flow errs in each cell by tenths of a px, and by more in poor light. A plane model has few parameters, and every edge of
the image bears on them. Inverse compositional alignment (Baker and Matthews 2004), coarse to fine, with Tukey's
weights and a change of gain and brightness.

`registration` places a frame on a background by the same algorithm and shares the plane models and weights. It does
not share this loop: here thousands of points are sampled in float64 to hundredths of a px and give a covariance, which
decides whether the result replaces the flow's; there at most 1500 float32 keypoints say, damped and without a
covariance, where the frame lies to a tenth of a point, and whether it fits at all.

Constants without another reason were chosen by hand; `python -m benchmarks.bench_stabilization --parts known` shows
their effect.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from raftline.camera.camera_motion import CameraMotion, confidence_of, grid_centres
from raftline.camera.luma_pyramid import AlignmentPoints, LumaPyramid
from raftline.camera.plane_models import PLANE_MODELS, ModelName, PlaneModel
from raftline.camera.point_comparison import Limits, PointComparison
from raftline.camera.robust_weights import TUKEY_SIGMAS
from raftline.camera.transforms import centred, frame_corners, transform_points
from raftline.flow.grid import to_level
from raftline.kernels.compiled import compiled

_ITERATIONS = 5
"""On each level."""
_CONVERGED_PX = 0.01
"""Step of all parameters at which iterations end: the error that is sought."""
_MAX_CONDITION = 1e8
"""Of the normal matrix, as in `robust_fit`."""
_MIN_CORRELATION = 0.3
"""Of two images of one scene; unrelated ones stay under 0.2."""
_MAX_SIGMA_GROWTH = 1.02
"""Growth of the residual's sigma up to which the images agree no worse."""
MIN_SIGMA = 0.25
"""Grey levels, of images blurred as in `luma_pyramid`: rounding alone leaves as much."""
MAX_ERROR_PX = 0.5
"""Expected error of the corners up to which a result is used, as for the fit to the flow."""
_MAX_CHANGE_PX, _MAX_CHANGE_SHARE = 8.0, 0.25
"""How far alignment may take a corner from where the flow has it: px, and a share of its motion. On a blank wall the
network's flow is 8 px off at a corner."""
_MIN_REACH_PX = 1.5
"""Reach of the weights of cells that follow the flow's motion, at least."""
_RICHER_EVERY = 2
"""One point in so many goes on with a homography: half the time, and still hundredths of a px."""
_MIN_POINTS = 100
"""Points without which there is no alignment: ten for each parameter, gain and brightness."""
_LIMITS = Limits(_ITERATIONS, _CONVERGED_PX, _MIN_POINTS, _MAX_CONDITION)


@dataclass(frozen=True)
class Alignment:
    """The result of an alignment."""

    matrix: np.ndarray
    """(3, 3) float64: px of the earlier frame to px of the later one."""
    error_px: float
    """Expected error of the frame's corners, rms."""
    better: bool
    """The images agree no worse than under the motion that alignment began with."""
    sigma: float
    """Robust scale of what is left of their difference, grey levels."""
    gradient: np.ndarray
    """(2, N) grey levels per px of the level that was compared last, at its points."""
    level_px: float
    """Px of the frame in one px of that level."""
    richer: Alignment | None = None
    """The alignment by a homography that goes on from this one; None: not asked for, or not determined."""

    @property
    def off_px(self) -> float:
        """Shift of the points along their gradients that leaves as much: small only where texture itself agrees."""
        return self.sigma / max(float(np.median(np.hypot(*self.gradient))), 1e-6) * self.level_px


def refined_motion(
    motion: CameraMotion,
    before: LumaPyramid,
    after: LumaPyramid,
    flow_px: np.ndarray,
    model: ModelName,
    weights: np.ndarray | None = None,
) -> CameraMotion:
    """Refine a motion fitted to flow on the two images, where they determine it better.

    A model that the flow could not support is tried as well: texture too sparse for a field of flow can be enough for
    four parameters.

    Args:
        motion: The motion fitted to the flow.
        before: The earlier frame.
        after: The later frame.
        flow_px: (ceil(H/8), ceil(W/8), 2) float px. Cells whose flow does not follow `motion` take no part.
        model: The model to align with.
        weights: (ceil(H/8), ceil(W/8)) >= 0, the trust in the other cells; None trusts all alike.

    Returns:
        The refined motion, or `motion` itself where the images say no more.
    """
    found = believed_alignment(motion, before, after, flow_px, model, weights)
    return motion if found is None else aligned_motion(motion, found, model)


def believed_alignment(
    motion: CameraMotion,
    before: LumaPyramid,
    after: LumaPyramid,
    flow_px: np.ndarray,
    model: ModelName,
    weights: np.ndarray | None = None,
    richer: bool = False,
) -> Alignment | None:
    """Return the alignment by which `refined_motion`, of the same arguments, refines a motion; None: by none.

    Args:
        richer: Go on from there with a homography (see `Alignment.richer`).
    """
    if motion.model == "none":
        return None
    follows = following(flow_px, motion)
    if weights is not None:
        follows = follows * weights
    found = align(before, after, motion.matrix, PLANE_MODELS[model], follows, richer)
    if found is None or not found.better or found.error_px > MAX_ERROR_PX:
        return None
    corners = frame_corners(before.width, before.height)
    moved = transform_points(motion.matrix, corners)
    apart_px = np.abs(transform_points(found.matrix, corners) - moved).max()
    most_px = _MAX_CHANGE_PX + _MAX_CHANGE_SHARE * np.abs(moved - corners).max()
    return found if apart_px <= most_px else None


def aligned_motion(motion: CameraMotion, found: Alignment, model: ModelName) -> CameraMotion:
    """Return `motion` as an alignment with `model` has it."""
    confidence = confidence_of(motion.inlier_share, found.error_px / MAX_ERROR_PX)
    return replace(motion, matrix=found.matrix, model=model, confidence=max(confidence, motion.confidence), reason="")


def following(flow_px: np.ndarray, motion: CameraMotion) -> np.ndarray:
    """Return (h, w) float64: 1 where the flow is the motion's, 0 where it is not."""
    reach_px = max(TUKEY_SIGMAS * motion.residual_px, _MIN_REACH_PX)
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
    richer: bool = False,
) -> Alignment | None:
    """Align two images, from a first guess on.

    Args:
        before: The earlier frame.
        after: The later frame.
        matrix: (3, 3), px to px: the guess.
        model: The plane model to align with.
        cell_weights: (ceil(H/8), ceil(W/8)) >= 0, the trust in the earlier frame's 8 px cells; 0 where the content does
            not follow the camera.
        richer: Go on with a homography on the finest level (see `Alignment.richer`).

    Returns:
        The alignment, or None if the trusted texture does not determine the model.
    """
    found: Alignment | None = None
    for level in range(len(before.levels)):
        points = before.points(level, cell_weights)
        if len(points.value) < _MIN_POINTS:
            return None
        finest = level == len(before.levels) - 1
        found = _aligned(points, before, after, level, matrix, model if finest else _coarse(model))
        if found is None:
            return None
        matrix = found.matrix
    if found is None or not richer:
        return found
    fewer, finest = points.every(_RICHER_EVERY), len(before.levels) - 1
    return replace(found, richer=_aligned(fewer, before, after, finest, matrix, PLANE_MODELS["homography"]))


def _coarse(model: PlaneModel) -> PlaneModel:
    """Return the model to align with on coarse levels: what else a homography has, only the finest tells well."""
    return PLANE_MODELS["similarity"] if model.name == "homography" else model


def _aligned(
    points: AlignmentPoints, before: LumaPyramid, after: LumaPyramid, level: int, matrix: np.ndarray, model: PlaneModel
) -> Alignment | None:
    """Align two images on one level; None if the points do not determine the model."""
    to_local, from_local, from_centred, half_diagonal = _places(before.size, before.levels[level].shape)
    comparison = PointComparison(points, _design(points, model), model.basis, MIN_SIGMA)
    warp = to_local @ matrix @ from_local
    if not comparison.settle(after.levels[level], from_centred, half_diagonal, warp, _LIMITS):
        return None
    back = from_local @ warp @ to_local
    return _described(back / back[2, 2], comparison, points, before, level, model)


@functools.lru_cache(maxsize=16)
def _places(size: tuple[int, int], level: tuple[int, int]) -> tuple[np.ndarray, np.ndarray, np.ndarray, float]:
    """Return how places of a frame of `size` (width, height) and those of a `level` (height, width) are told.

    That is (3, 3) px of the frame to centred coordinates of the level, back, from those to the level's px, and the
    half diagonal of the level, px.
    """
    to_centred, half_diagonal = centred(*level[::-1])
    to_local = to_centred @ to_level(*size, *level[::-1])
    return to_local, np.linalg.inv(to_local), np.linalg.inv(to_centred), half_diagonal


def _described(
    matrix: np.ndarray,
    comparison: PointComparison,
    points: AlignmentPoints,
    before: LumaPyramid,
    level: int,
    model: PlaneModel,
) -> Alignment:
    """Say how good an alignment on a level is."""
    height, width = before.levels[level].shape
    level_px, sigmas = before.width / width, comparison.sigmas
    better = sigmas[-1] <= _MAX_SIGMA_GROWTH * sigmas[0] and comparison.correlation() > _MIN_CORRELATION
    error_px = model.corner_error_px(comparison.covariance, width, height) * level_px
    return Alignment(matrix, error_px, better, sigmas[-1], points.gradient, level_px)


def _design(points: AlignmentPoints, model: PlaneModel) -> np.ndarray:
    """Return (parameters + 2, N) float32: the change of value by each parameter of the model, gain and brightness.

    What the matrix does not hold (`PlaneModel.extra`) is found to first order, as gain and brightness are.
    """
    design = np.empty((model.parameters + 2, len(points.value)), np.float32)
    model.steepest(points.local, points.gradient, design[:-2])
    design[-2], design[-1] = points.value - points.value.sum() / len(points.value), 1.0
    return design


@compiled
def _follow(flow_px: Any, x: Any, y: Any, matrix: Any, reach_px: Any, found: Any) -> None:
    """Weigh cells (h, w) by Tukey's biweight of the flow (h, w, 2) less that of `matrix` (3, 3), at x (w,), y (h,) px.

    `transforms.transform_xy`, spelt out.
    """
    for i in range(y.size):
        for j in range(x.size):
            away = matrix[2, 0] * x[j] + matrix[2, 1] * y[i] + matrix[2, 2]
            u = (matrix[0, 0] * x[j] + matrix[0, 1] * y[i] + matrix[0, 2]) / away - x[j] - flow_px[i, j, 0]
            v = (matrix[1, 0] * x[j] + matrix[1, 1] * y[i] + matrix[1, 2]) / away - y[i] - flow_px[i, j, 1]
            near = max(1.0 - (u * u + v * v) / (reach_px * reach_px), 0.0)
            found[i, j] = near * near

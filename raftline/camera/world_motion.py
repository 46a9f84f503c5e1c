"""The motion of what is believed to be the world, on two frames alone: for frames of which much moves by itself.

Constants were tuned by hand, see `background_belief`.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import cv2
import numpy as np

from raftline.camera.camera_motion import CameraMotion, confidence_of
from raftline.camera.direct_alignment import MAX_ERROR_PX, MIN_SIGMA, align, following
from raftline.camera.luma_pyramid import LumaPyramid
from raftline.camera.plane_models import PLANE_MODELS, ModelName
from raftline.camera.robust_fit import weighted_median
from raftline.camera.transforms import centred, transform_xy
from raftline.kernels.compiled import compiled

_MOST_OFF_PX, _HARDLY_OFF_PX = 0.5, 0.3
"""Of an alignment, `off_px` up to which it is believed; and without the flow's word for it."""
_AGREEING_PX = 0.35
"""Shift along the gradients that leaves as much as frames that agree differ by."""
_SEARCHED_SHARE, _SEARCHED_POINTS, _SEARCHED_STEPS = 0.06, 300, 8
"""Search for a shift: as far as this share of the width, on so many points, in so many steps to either side."""
_LEAST_FOLLOWING = 0.3
"""Share of what is trusted whose flow must follow a motion. Beside what moves, flow is smeared."""
_CLEARLY_LESS = 0.85
"""Sigma that another guess must leave, in that of the likeliest."""


def motion_of_trusted(
    starts: Sequence[np.ndarray],
    before: LumaPyramid,
    after: LumaPyramid,
    model: ModelName,
    trust: np.ndarray,
    flow_px: np.ndarray | None = None,
) -> CameraMotion | None:
    """Find the motion of what is trusted on the two images alone, from several first guesses.

    Args:
        starts: Matrices (3, 3), px to px: the guesses, the likeliest first: another must leave clearly less.
        before: The earlier frame.
        after: The later frame.
        model: The model to align with.
        trust: (ceil(H/8), ceil(W/8)) 0-1: trust in the earlier frame's cells.
        flow_px: (ceil(H/8), ceil(W/8), 2) float px, which much of what is trusted has to follow; None: not known.

    Returns:
        The motion under which the trusted cells agree best; None if no guess leads to one that they determine.
    """
    tried = [*starts, searched(before, after, trust, np.eye(3))]
    found = [align(before, after, start, PLANE_MODELS[model], trust) for start in tried]
    sure = [each for each in found if each is not None and each.better and each.error_px <= MAX_ERROR_PX]
    sure = [each for each in sure if each.off_px < _MOST_OFF_PX]
    if not sure:
        return None
    best = min(sure, key=lambda each: each.sigma)
    if sure[0] is found[0] and best.sigma > _CLEARLY_LESS * sure[0].sigma:
        best = sure[0]
    motion = CameraMotion(best.matrix, model, 1.0, confidence_of(1.0, best.error_px / MAX_ERROR_PX), 0.0)
    if flow_px is None or best.off_px < _HARDLY_OFF_PX:
        return motion
    share = float((following(flow_px, motion) * trust).sum() / max(float(trust.sum()), 1e-9))
    return replace(motion, inlier_share=share) if share > _LEAST_FOLLOWING else None


def agreement(before: LumaPyramid, after: LumaPyramid, matrix: np.ndarray, rows: int, columns: int) -> np.ndarray:
    """Tell where two frames agree under a motion, whatever the flow says: beside what moves, flow is smeared.

    Args:
        before: The earlier frame.
        after: The later frame.
        matrix: (3, 3), px to px: the motion.
        rows: Of the result.
        columns: Of the result.

    Returns:
        (rows, columns) float32, 0-1, for equal parts of the earlier frame.
    """
    image, to_level = before.levels[0], before.to_level(0)
    height, width = image.shape
    moved = to_level @ matrix @ np.linalg.inv(to_level)
    there = cv2.warpPerspective(
        after.levels[0], moved, (width, height), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_CONSTANT, borderValue=-1e3,
    )  # fmt: skip
    along_x, along_y = (cv2.Sobel(image, cv2.CV_32F, *order, scale=1 / 8) for order in ((1, 0), (0, 1)))
    agrees = np.empty((rows, columns), np.float32)
    _agree(image, there, along_x, along_y, *_areas(height, rows), *_areas(width, columns), agrees)
    return agrees


def searched(before: LumaPyramid, after: LumaPyramid, trust: np.ndarray, around: np.ndarray) -> np.ndarray:
    """Return the motion (3, 3), px to px, under which trusted points differ least at the coarse level.

    It is a shift after the motion `around` (3, 3).
    """
    points, image = before.points(0, trust), after.levels[0]
    height, width = image.shape
    strength = np.hypot(*points.gradient) * points.trust
    strongest = (
        np.argpartition(-strength, _SEARCHED_POINTS)[:_SEARCHED_POINTS]
        if len(strength) > _SEARCHED_POINTS
        else slice(None)
    )
    to_centred, _ = centred(width, height)
    to_level = before.to_level(0)
    moved = to_level @ around @ np.linalg.inv(to_level) @ np.linalg.inv(to_centred)
    x, y = transform_xy(moved, *points.local[:, strongest])
    x, y, value = np.rint(x).astype(int), np.rint(y).astype(int), points.value[strongest]
    step = max(1, round(_SEARCHED_SHARE * width / _SEARCHED_STEPS))
    best = _least_shift(image, x, y, value, step)
    scale = before.width / width
    return np.array([[1.0, 0.0, best[0] * scale], [0.0, 1.0, best[1] * scale], [0.0, 0.0, 1.0]]) @ around


@functools.lru_cache(maxsize=16)
def _areas(length: int, parts: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the edges (parts + 1,) of equal parts of a side, px, and the part's share in each of its px.

    That is (parts, most) float32, from the px of its first edge on; pixels that two parts share count for both.
    """
    edges = np.arange(parts + 1) * (length / parts)
    first = np.minimum(np.floor(edges[:-1] + 1e-6).astype(np.int64), length - 1)
    px = first[:, None] + np.arange(int(np.ceil(length / parts)) + 1)
    inside = np.minimum(px + 1, edges[1:, None]) - np.maximum(px, edges[:-1, None])
    return first, (np.maximum(inside, 0.0) * (parts / length)).astype(np.float32)


@compiled
def _agree(
    image: Any, there: Any, along_x: Any, along_y: Any, tops: Any, down: Any, lefts: Any, across: Any, agrees: Any
) -> None:
    """Compare the mean difference of parts of two images (h, w) with what a small shift along gradients leaves."""
    height, width = image.shape
    off, steep = np.empty(width, np.float32), np.empty(width, np.float32)
    for row in range(tops.size):
        off[:] = np.float32(0.0)
        steep[:] = np.float32(0.0)
        for k in range(down.shape[1]):
            i, share = tops[row] + k, down[row, k]
            if i >= height or share == 0.0:
                continue
            for j in range(width):
                off[j] += share * abs(there[i, j] - image[i, j])
                steep[j] += share * (abs(along_x[i, j]) + abs(along_y[i, j]))
        for column in range(lefts.size):
            mean_off, mean_steep = np.float32(0.0), np.float32(0.0)
            for k in range(across.shape[1]):
                j, share = lefts[column] + k, across[column, k]
                if j < width:
                    mean_off += share * off[j]
                    mean_steep += share * steep[j]
            near = np.float32(2.0) - mean_off / (np.float32(_AGREEING_PX) * mean_steep + np.float32(MIN_SIGMA))
            agrees[row, column] = min(max(near, np.float32(0.0)), np.float32(1.0))


@compiled
def _least_shift(image: Any, x: Any, y: Any, value: Any, step: Any) -> Any:
    """Return the shift along x and y, px, with which an image (h, w) at points (N,) differs least from their values.

    But for what all differ by.
    """
    height, width = image.shape
    off, ordered, ones = np.empty(value.size), np.empty(value.size), np.ones(value.size)
    least, best_x, best_y = np.inf, 0, 0
    for down in range(-_SEARCHED_STEPS * step, _SEARCHED_STEPS * step + 1, step):
        for right in range(-_SEARCHED_STEPS * step, _SEARCHED_STEPS * step + 1, step):
            for n in range(value.size):
                i, j = min(max(y[n] + down, 0), height - 1), min(max(x[n] + right, 0), width - 1)
                off[n] = image[i, j] - value[n]
                ordered[n] = off[n]
            total, middle = 0.0, weighted_median(ordered, ones) if value.size else 0.0
            for n in range(value.size):
                total += abs(off[n] - middle)
            if total < least or (total == least and (right, down) < (best_x, best_y)):
                least, best_x, best_y = total, right, down
    return best_x, best_y

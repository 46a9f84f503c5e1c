"""Images on the points of a background: moved there, compared, sampled.

Numbers without a source were chosen by hand; `python -m benchmarks.bench_motion_masks` shows their effect.
"""

from __future__ import annotations

import cv2
import numpy as np

from raftline.camera.registration import farthest, keypoints, register
from raftline.masks.gaussian_mixture import STEPS_PER_SIGMA

STILL_POINTS = 0.4
"""A frame lies on the background if no corner is off by more than this: under half a point, every point falls on its
own."""
SAMPLED_EVERY = 4
"""One point in this many along each axis is sampled for illumination and misalignment: enough for medians."""
_COMMON_SIGMAS = 1.9
"""Distance that three quarters of a background's points stay below, in sigmas: `calibrated` scales to it."""
_MISALIGNED, _ALIGNED = 0.35, 0.12
"""Most and least misalignment of a frame under a moving camera, in units of two points, which a
3x3 gradient spans. With less than the least, the distance of an edge would be so large that its mean over 3x3 points
reaches two points outwards."""
_STEEP_LEVELS = 24
"""Of luma within 3x3 points: on edges this steep, differences come from misalignment and blur, not from noise."""
_LEAST_STEEP = 100
"""Samples on such edges that the median needs; with fewer the most misalignment is assumed."""
_SIGMA_OF_MEDIAN = 1.4826
"""Of a normal distribution: its sigma over the median of absolute deviations, 1 / 0.6745."""
_NOISE_EVERY = 8
"""One point in this many along each axis tells the noise of a frame."""
_CLEANEST = 0.55
"""Of that: the least a frame is scaled by, so that clean frames do not raise noise."""


def unmoved(before: np.ndarray | None, luma: np.ndarray, featureless: bool = False) -> bool:
    """Whether a frame lies where the one before did, uint8 (h, w) each; `featureless` where nothing tells."""
    template = None if before is None else keypoints(before.astype(np.float32), np.ones(before.shape, bool))
    if template is None:
        return featureless
    found, fits = register(luma, template, np.eye(3))
    return fits and farthest(found, luma.shape) < STILL_POINTS


def sampled(values: np.ndarray) -> np.ndarray:
    """Of values (h, w) or (h, w, 3) those that `GaussianMixture.sampled` has."""
    return values[SAMPLED_EVERY // 2 :: SAMPLED_EVERY, SAMPLED_EVERY // 2 :: SAMPLED_EVERY]


def calibrated(distance: np.ndarray) -> np.ndarray:
    """Distances scaled by what most of the frame shows: misalignment and blur everywhere are no motion."""
    told = distance[::4, ::4]
    told = told[told > 0]
    common = float(np.percentile(told, 75)) / (_COMMON_SIGMAS * STEPS_PER_SIGMA) if told.size else 1.0
    return cv2.convertScaleAbs(distance, alpha=1 / max(common, _CLEANEST))


def warped(values: np.ndarray, back: np.ndarray, how: int = cv2.INTER_LINEAR) -> np.ndarray:
    """Values (h, w) or (h, w, 3) taken at `back` (3, 3) of each point; 0 from outside."""
    size = (values.shape[1], values.shape[0])
    flags = how | cv2.WARP_INVERSE_MAP
    if np.allclose(back[2], (0, 0, 1), atol=1e-7):
        return cv2.warpAffine(values, back[:2], size, flags=flags)
    return cv2.warpPerspective(values, back, size, flags=flags)


def noise_levels(before: np.ndarray | None, now: np.ndarray) -> float:
    """Sigma of the noise of one of two frames that show the same, luma, uint8 (h, w), in grey levels; None: unknown, 0.

    A change of the light as a whole has no part in it.
    """
    if before is None or before.shape != now.shape:
        return 0.0
    every = (slice(None, None, _NOISE_EVERY),) * 2
    off = now[every].astype(np.int16) - before[every]
    return float(np.median(np.abs(off - np.median(off)))) * _SIGMA_OF_MEDIAN / 2**0.5


def tolerance(placed: np.ndarray, background: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Grey levels by which a point may be off because a frame is misaligned or blurred, uint8 (h, w).

    The median over all edges tells by how much: edges of things that move are few.

    Args:
        placed: uint8 (h, w), luma of the frame on the background's points.
        background: float32 (h, w), the background's.
        known: bool (h, w), where both are known.
    """
    luma = background.astype(np.uint8)
    slope = cv2.morphologyEx(luma, cv2.MORPH_GRADIENT, np.ones((3, 3), np.uint8))
    steep = (sampled(slope) > _STEEP_LEVELS) & sampled(known)
    misaligned = _MISALIGNED
    if np.count_nonzero(steep) >= _LEAST_STEEP:
        off = cv2.absdiff(sampled(placed), sampled(luma))[steep]
        misaligned = _SIGMA_OF_MEDIAN * float(np.median(off / sampled(slope)[steep]))
    return cv2.convertScaleAbs(slope, alpha=min(max(misaligned, _ALIGNED), _MISALIGNED))

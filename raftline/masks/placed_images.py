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

"""Light and shadow that move over a scene: the scene's own texture shows through them, which no thing lets happen.

Numbers without a source were chosen by hand; `python -m benchmarks.bench_motion_events --only headlights cloud walks`
shows their effect.
"""

from __future__ import annotations

import cv2
import numpy as np

from raftline.masks.regions import Region

_TEXTURE_POINTS = 7
"""Side of the window whose mean is taken off: what is left is texture."""
_SAME_TEXTURE = 0.45
"""Correlation of the texture of a region with that of the background. Things have less than 0.1; noise of the texture's
own size leaves 0.7 of a light's."""
_UNEXPLAINED_NOISE, _UNEXPLAINED_SHARE = 3.0, 0.15
"""What of a region's texture that of the background may not explain, in variances of the rest of the frame and in
parts of what it does explain, as light is not even: more is of a thing that is seen through, such as smoke.
"""
_EVEN_POINTS = 15
"""Side of the window over which light is even."""
_LIT_LEVELS = 8.0
"""Grey levels: points that are as bright as the background may be the background, at the rim of something."""
_LEAST_POINTS = 30
"""Fewer points tell nothing: chance alone correlates by 1 / sqrt(points)."""


def without_light(
    regions: list[Region], labels: np.ndarray, lumas: tuple[np.ndarray, np.ndarray] | None
) -> tuple[list[Region], np.ndarray]:
    """Leave out the regions in which the background shows through.

    Args:
        regions: In order of their labels.
        labels: int32 (h, w): i + 1 for region i, 0 elsewhere.
        lumas: Of the frame, uint8 (h, w), and of the background, float32 (h, w), 0 where it is unknown. None: the
            camera moves, and nothing is left out.

    Returns:
        The regions that are left, and their labels.
    """
    if lumas is None or not regions:
        return regions, labels
    kept = [not _shines_through(region, labels, at, *lumas) for at, region in enumerate(regions, 1)]
    if all(kept):
        return regions, labels
    numbers = np.concatenate([[0], np.where(kept, np.cumsum(kept), 0)]).astype(np.int32)
    return [region for region, keeps in zip(regions, kept, strict=True) if keeps], numbers[labels]


def _shines_through(region: Region, labels: np.ndarray, label: int, luma: np.ndarray, background: np.ndarray) -> bool:
    x, y, width, height = region.box
    place = np.s_[y : y + height, x : x + width]
    now, before = luma[place].astype(np.float32), np.ascontiguousarray(background[place])
    lit = (labels[place] == label) & (before > 0) & (cv2.absdiff(now, before) > _LIT_LEVELS)
    inside = cv2.erode(lit.view(np.uint8), np.ones((3, 3), np.uint8)) > 0
    if np.count_nonzero(inside) < _LEAST_POINTS:
        return False
    one, other = (_texture(values) * inside for values in (now, before))
    both, brightness = one * other, other * other
    if both.sum() <= _SAME_TEXTURE * float(np.sqrt((one * one).sum() * brightness.sum())):
        return False
    even = (_EVEN_POINTS, _EVEN_POINTS)
    gain = cv2.blur(both, even) / np.maximum(cv2.blur(brightness, even), np.float32(1e-6))
    unexplained = float(np.square(one - gain * other).sum())
    noise = (
        np.count_nonzero(inside) * max(1.0, float(np.square(gain)[inside].mean())) * _noise(labels, luma, background)
    )
    return unexplained <= _UNEXPLAINED_NOISE * noise + _UNEXPLAINED_SHARE * float(np.square(gain * other).sum())


def _noise(labels: np.ndarray, luma: np.ndarray, background: np.ndarray) -> float:
    """Return the variance of texture against the background where nothing moves; at least that of rounding.

    By the median, since the windows of points beside something that moves reach into it.
    """
    quiet = (labels == 0) & (background > 0)
    off = np.abs(_texture(luma.astype(np.float32)) - _texture(background))[quiet]
    sigma = float(np.median(off)) / 0.6745 if len(off) else 0.0
    return max(sigma**2, 1 / 6)


def _texture(values: np.ndarray) -> np.ndarray:
    return values - cv2.blur(values, (_TEXTURE_POINTS, _TEXTURE_POINTS), borderType=cv2.BORDER_REPLICATE)

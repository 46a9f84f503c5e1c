"""Images warped by a plane transform, interpolated once, on the planes as they are."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import cv2
import numpy as np

from raftline.stabilize.choices import Interpolation
from raftline.stabilize.warp.cubic_lines import crossed_by_lines, warp_lines

ChromaSiting = Literal["left", "center"]

_MIN_MIRRORED_PX = 8
"""OpenCV 5.0 does not return from mirroring an image of one pixel; this is well above."""
_AFFINE_TOLERANCE = 1e-12
"""Perspective below it is rounding; the affine warp is faster."""
_PIECE_ERROR_PX = 0.01
"""How far the straight pieces by which rows under perspective are followed may be off in their middle. Chosen by hand.
"""
_PIECE_PX, _LEAST_PIECE_PX = 128, 32
"""Length that pieces have where that is exact enough, and the least: of shorter ones OpenCV's warp is hardly slower.
"""
_FLAGS = {"linear": cv2.INTER_LINEAR, "cubic": cv2.INTER_CUBIC, "lanczos": cv2.INTER_LANCZOS4}


def interpolation_flag(interpolation: Interpolation) -> int:
    """Return OpenCV's constant."""
    return _FLAGS[interpolation]


def warp_image(
    image: np.ndarray, matrix: np.ndarray, interpolation: Interpolation = "cubic", mirrored: bool = False
) -> np.ndarray:
    """Warp an image.

    Args:
        image: (H, W) or (H, W, 3), uint8 or uint16.
        matrix: (3, 3) px of the image to px of the result.
        interpolation: Of pixels.
        mirrored: Fill what lies outside with the mirrored image; else with the border's pixels, so that rounding shows
            no black.

    Returns:
        The same shape and dtype.
    """
    size, flags = (image.shape[1], image.shape[0]), _FLAGS[interpolation]
    large = min(image.shape[:2]) >= _MIN_MIRRORED_PX
    border = cv2.BORDER_REFLECT_101 if mirrored and large else cv2.BORDER_REPLICATE
    affine = np.allclose(matrix[2], (0.0, 0.0, 1.0), atol=_AFFINE_TOLERANCE)
    if interpolation == "cubic" and border == cv2.BORDER_REPLICATE:
        found = _warped_along_lines(image, np.linalg.inv(matrix), affine)
        if found is not None:
            return found
    if affine:
        return cv2.warpAffine(image, matrix[:2], size, flags=flags, borderMode=border)
    return cv2.warpPerspective(image, matrix, size, flags=flags, borderMode=border)


def _warped_along_lines(image: np.ndarray, back: np.ndarray, affine: bool) -> np.ndarray | None:
    """Return the image (H, W) or (H, W, 3) as `back` (3, 3) shows it; None if its rows are not such lines."""
    width = image.shape[1]
    pieces, most = (1, 1) if affine else (-(-width // _PIECE_PX), max(width // _LEAST_PIECE_PX, 1))
    while (lines := _lines(image, back, pieces)) is not None:
        *found, error_px = lines
        if error_px <= _PIECE_ERROR_PX:
            return along_lines(image, *found)
        if pieces >= most:
            return None
        # A piece's error grows with the square of its length.
        pieces = min(math.ceil(pieces * max(math.sqrt(error_px / _PIECE_ERROR_PX), 1.0) + 0.1), most)
    return None


def _lines(image: np.ndarray, back: np.ndarray, pieces: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, float] | None:
    """Return knots and what they show, as `warp_lines` takes them, and the largest error between, px; None: behind."""
    height, width = image.shape[:2]
    knots, rows = np.linspace(0.0, width, 2 * pieces + 1), np.arange(height, dtype=float)[:, None]
    depth = back[2, 0] * knots + back[2, 1] * rows + back[2, 2]
    if not (depth > 0.0).all():
        return None
    source_x, source_y = ((back[axis, 0] * knots + back[axis, 1] * rows + back[axis, 2]) / depth for axis in (0, 1))
    off = (np.abs(each[:, 1::2] - (each[:, :-1:2] + each[:, 2::2]) / 2).max() for each in (source_x, source_y))
    return knots[::2], source_x[:, ::2], source_y[:, ::2], float(max(off))


def along_lines(image: np.ndarray, knots: np.ndarray, source_x: np.ndarray, source_y: np.ndarray) -> np.ndarray | None:
    """Return what `warp_lines` makes of an image (H, W) or (H, W, 3); None if it does not take these pieces."""
    if image.dtype != np.uint8 or not crossed_by_lines(knots, source_x, source_y):
        return None
    if image.ndim == 2:
        return warp_lines(image, knots, source_x, source_y)
    return np.stack([warp_lines(each, knots, source_x, source_y) for each in cv2.split(image)], axis=-1)


def chroma_matrix(matrix: np.ndarray, siting: ChromaSiting = "left") -> np.ndarray:
    """Return a luma transform in samples of a 4:2:0 chroma plane.

    Args:
        matrix: (3, 3) luma px to luma px.
        siting: A chroma sample (i, j) lies at luma (2 i, 2 j + 0.5) for ``left`` (MPEG-2, H.264 and H.265 by default),
            at (2 i + 0.5, 2 j + 0.5) for ``center`` (JPEG, MPEG-1).

    Returns:
        (3, 3) chroma px to chroma px.
    """
    to_luma = np.array([[2.0, 0.0, 0.0 if siting == "left" else 0.5], [0.0, 2.0, 0.5], [0.0, 0.0, 1.0]])
    return np.linalg.inv(to_luma) @ matrix @ to_luma


def warp_yuv420(
    planes: Sequence[np.ndarray],
    matrix: np.ndarray,
    interpolation: Interpolation = "cubic",
    siting: ChromaSiting = "left",
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Warp a planar 4:2:0 frame.

    Args:
        planes: (H, W) and twice (ceil(H/2), ceil(W/2)), uint8 or uint16.
        matrix: (3, 3) luma px of the frame to luma px of the result.
        interpolation: Of pixels.
        siting: As in `chroma_matrix`.

    Returns:
        Planes of the same shapes.
    """
    luma, blue, red = planes
    for_chroma = chroma_matrix(matrix, siting)
    return (
        warp_image(luma, matrix, interpolation),
        warp_image(blue, for_chroma, interpolation),
        warp_image(red, for_chroma, interpolation),
    )


def warp_planes(
    planes: Sequence[np.ndarray], matrix: np.ndarray, interpolation: Interpolation = "cubic"
) -> tuple[np.ndarray, ...]:
    """Warp a frame.

    Args:
        planes: uint8 or uint16: one plane, grey (H, W) or packed color (H, W, 3); or three, as in `warp_yuv420`.
        matrix: (3, 3) px of the frame to px of the result.
        interpolation: Of pixels.

    Returns:
        Planes of the same shapes.
    """
    if len(planes) == 3:
        return warp_yuv420(planes, matrix, interpolation)
    return tuple(warp_image(plane, matrix, interpolation) for plane in planes)

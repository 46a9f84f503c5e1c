"""Pictures through a plane transform, interpolated once, on the planes as they are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import cv2
import numpy as np

Interpolation = Literal["linear", "cubic", "lanczos"]
ChromaSiting = Literal["left", "center"]

_LEAST_MIRRORED_PX = 8
"""OpenCV 5.0 does not come back from mirroring a picture of one pixel."""
_FLAGS = {"linear": cv2.INTER_LINEAR, "cubic": cv2.INTER_CUBIC, "lanczos": cv2.INTER_LANCZOS4}


def interpolation_flag(interpolation: Interpolation) -> int:
    """OpenCV's name for it."""
    return _FLAGS[interpolation]


def warp_image(
    image: np.ndarray, matrix: np.ndarray, interpolation: Interpolation = "cubic", mirrored: bool = False
) -> np.ndarray:
    """A grey (H, W) or packed (H, W, 3) uint8 picture, moved by `matrix` (3, 3) from its px to the result's px.

    What lies outside repeats the border's pixels, so that no rounding shows black, or the picture `mirrored`.
    """
    size, flags = (image.shape[1], image.shape[0]), _FLAGS[interpolation]
    large = min(image.shape[:2]) >= _LEAST_MIRRORED_PX
    border = cv2.BORDER_REFLECT_101 if mirrored and large else cv2.BORDER_REPLICATE
    if np.allclose(matrix[2], (0.0, 0.0, 1.0), atol=1e-12):
        return cv2.warpAffine(image, matrix[:2], size, flags=flags, borderMode=border)
    return cv2.warpPerspective(image, matrix, size, flags=flags, borderMode=border)


def chroma_matrix(matrix: np.ndarray, siting: ChromaSiting = "left") -> np.ndarray:
    """The luma transform `matrix` in samples of a 4:2:0 chroma plane.

    A chroma sample (i, j) lies at luma (2 i, 2 j + 0.5) for ``left`` (MPEG-2, H.264, H.265 unless they say
    otherwise), at (2 i + 0.5, 2 j + 0.5) for ``center`` (JPEG, MPEG-1).
    """
    to_luma = np.array([[2.0, 0.0, 0.0 if siting == "left" else 0.5], [0.0, 2.0, 0.5], [0.0, 0.0, 1.0]])
    return np.linalg.inv(to_luma) @ matrix @ to_luma


def warp_yuv420(
    planes: Sequence[np.ndarray],
    matrix: np.ndarray,
    interpolation: Interpolation = "cubic",
    siting: ChromaSiting = "left",
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Planar 4:2:0 (H, W) and twice (ceil(H/2), ceil(W/2)) uint8, moved by `matrix` (3, 3) from luma px to luma px."""
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
    """A picture as its planes, moved by `matrix` (3, 3): one plane is grey or packed color, three are 4:2:0."""
    if len(planes) == 3:
        return warp_yuv420(planes, matrix, interpolation)
    return tuple(warp_image(plane, matrix, interpolation) for plane in planes)

"""What is shown where a corrected frame does not reach: its mirror image, a blur, or what was seen there before."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import cv2
import numpy as np

from raftline.stabilize.warp.warp import Interpolation, chroma_matrix, warp_image

Border = Literal["mirror", "blur", "fill"]
_BLUR_SHARE = 0.06
"""Reach of the blur, as a share of the plane's longer side."""
_FEATHER_PX = 7


class Borders:
    """Corrected frames of one stream, in order, without a border that shows nothing.

    ``fill`` remembers what was shown and moves it along with the steady picture; what was never seen is mirrored.
    """

    def __init__(self, border: Border, interpolation: Interpolation = "cubic") -> None:
        self._border: Border = border
        self._interpolation: Interpolation = interpolation
        self._memory: list[tuple[np.ndarray, np.ndarray]] = []

    def __call__(
        self, planes: Sequence[np.ndarray], correction: np.ndarray, steady: np.ndarray | None = None
    ) -> tuple[np.ndarray, ...]:
        """`planes` as in `warp_planes`, moved by `correction` (3, 3) px.

        steady: (3, 3) px of the corrected frame before to px of this one; None where a new path begins.
        """
        remembered = self._memory if steady is not None and len(self._memory) == len(planes) else []
        self._memory = []
        shown = []
        for at, plane in enumerate(planes):
            matrix, moved = (each if at == 0 or each is None else chroma_matrix(each) for each in (correction, steady))
            assert matrix is not None
            memory = None
            if remembered and moved is not None and remembered[at][0].shape == plane.shape:
                memory = _moved(remembered[at], moved)
            shown.append(self._shown(plane, matrix, memory))
        return tuple(shown)

    def _shown(self, plane: np.ndarray, matrix: np.ndarray, memory: tuple[np.ndarray, np.ndarray] | None) -> np.ndarray:
        picture = warp_image(plane, matrix, self._interpolation, mirrored=True)
        if self._border == "mirror":
            return picture
        seen = _seen(plane.shape[:2], matrix)
        if self._border == "blur":
            return _blended(picture, _blurred(picture), seen)
        size = (plane.shape[1], plane.shape[0])
        known = cv2.warpPerspective(np.full(size[::-1], 255, np.uint8), matrix, size)
        if memory is not None:
            behind, known_before = memory
            beside = _blended(picture, behind, np.maximum(seen, 255 - known_before))
            picture, known = beside, np.maximum(known, known_before)
        self._memory.append((picture, known))
        return picture


def _moved(memory: tuple[np.ndarray, np.ndarray], matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    picture, known = memory
    size = (picture.shape[1], picture.shape[0])
    return warp_image(picture, matrix, "linear", mirrored=True), cv2.warpPerspective(known, matrix, size)


def _seen(shape: tuple[int, ...], matrix: np.ndarray) -> np.ndarray:
    """uint8 (H, W): 255 where the frame reaches, falling to 0 within it towards its edge."""
    inside = np.zeros(shape[:2], np.uint8)
    edge = min(_FEATHER_PX, (min(shape[:2]) - 1) // 4)
    inside[edge : shape[0] - edge, edge : shape[1] - edge] = 255
    inside = cv2.blur(inside, (2 * edge + 1, 2 * edge + 1)) if edge else inside
    return cv2.warpPerspective(inside, matrix, (shape[1], shape[0]))


def _blurred(picture: np.ndarray) -> np.ndarray:
    height, width = picture.shape[:2]
    reach = max(1, int(_BLUR_SHARE * max(height, width)) // 8)
    small = cv2.resize(picture, (max(1, width // 8), max(1, height // 8)), interpolation=cv2.INTER_AREA)
    small = cv2.blur(small, (2 * reach + 1, 2 * reach + 1), borderType=cv2.BORDER_REPLICATE)
    return cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR)


def _blended(upper: np.ndarray, lower: np.ndarray, share: np.ndarray) -> np.ndarray:
    """`upper` where share is 255, `lower` where it is 0."""
    weight = share.astype(np.float32) / 255
    if upper.ndim == 3:
        weight = weight[..., None]
    return np.rint(upper * weight + lower * (1 - weight)).astype(np.uint8)

"""What fills the output where a corrected frame does not reach: its mirror image, a blur, or earlier frames.

The constants are a matter of looks and were chosen by eye.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from raftline.stabilize.choices import Border, Interpolation
from raftline.stabilize.warp.warp import chroma_matrix, warp_image

_BLUR_SHARE = 0.06
"""Reach of the blur, as a share of the plane's longer side."""
_BLUR_REDUCTION = 8
"""Factor by which a plane is reduced before it is blurred, for speed; nothing of it shows after the blur."""
_FEATHER_PX = 7
"""Width over which a frame's edge blends into what lies behind."""


class Borders:
    """Corrects the frames of one stream, in order, and fills their borders.

    ``fill`` remembers the output and moves it along with the corrected video; what was never seen is mirrored.
    """

    def __init__(self, border: Border, interpolation: Interpolation = "cubic") -> None:
        """Fill borders by ``mirror``, ``blur`` or ``fill``."""
        self._border: Border = border
        self._interpolation: Interpolation = interpolation
        self._memory: list[tuple[np.ndarray, np.ndarray]] = []

    def __call__(
        self, planes: Sequence[np.ndarray], correction: np.ndarray, steady: np.ndarray | None = None
    ) -> tuple[np.ndarray, ...]:
        """Correct a frame.

        Args:
            planes: As in `warp.warp_planes`.
            correction: (3, 3) px of the frame to px of the output.
            steady: (3, 3) px of the corrected frame before to px of this one; None if a new path begins.

        Returns:
            Planes of the same shapes.
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
        image = warp_image(plane, matrix, self._interpolation, mirrored=True)
        if self._border == "mirror":
            return image
        seen = _seen(plane.shape[:2], matrix)
        if self._border == "blur":
            return _blended(image, _blurred(image), seen)
        size = (plane.shape[1], plane.shape[0])
        known = cv2.warpPerspective(np.full(size[::-1], 255, np.uint8), matrix, size)
        if memory is not None:
            behind, known_before = memory
            beside = _blended(image, behind, np.maximum(seen, 255 - known_before))
            image, known = beside, np.maximum(known, known_before)
        self._memory.append((image, known))
        return image


def _moved(memory: tuple[np.ndarray, np.ndarray], matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    image, known = memory
    size = (image.shape[1], image.shape[0])
    return warp_image(image, matrix, "linear", mirrored=True), cv2.warpPerspective(known, matrix, size)


def _seen(shape: tuple[int, ...], matrix: np.ndarray) -> np.ndarray:
    """Return uint8 (H, W): 255 where the frame reaches, falling to 0 towards its edge."""
    inside = np.zeros(shape[:2], np.uint8)
    edge = min(_FEATHER_PX, (min(shape[:2]) - 1) // 4)
    inside[edge : shape[0] - edge, edge : shape[1] - edge] = 255
    inside = cv2.blur(inside, (2 * edge + 1, 2 * edge + 1)) if edge else inside
    return cv2.warpPerspective(inside, matrix, (shape[1], shape[0]))


def _blurred(image: np.ndarray) -> np.ndarray:
    height, width = image.shape[:2]
    reach = max(1, int(_BLUR_SHARE * max(height, width)) // _BLUR_REDUCTION)
    small = cv2.resize(
        image, (max(1, width // _BLUR_REDUCTION), max(1, height // _BLUR_REDUCTION)), interpolation=cv2.INTER_AREA
    )
    small = cv2.blur(small, (2 * reach + 1, 2 * reach + 1), borderType=cv2.BORDER_REPLICATE)
    return cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR)


def _blended(upper: np.ndarray, lower: np.ndarray, share: np.ndarray) -> np.ndarray:
    """Blend images by `share` (H, W) uint8: 255 gives `upper`, 0 `lower`."""
    weight = share.astype(np.float32) / 255
    if upper.ndim == 3:
        weight = weight[..., None]
    return np.rint(upper * weight + lower * (1 - weight)).astype(upper.dtype)

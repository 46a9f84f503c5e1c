"""How well masks agree with the truth: CDnet's F, Jaccard J, and DAVIS's boundary F."""

from __future__ import annotations

from collections.abc import Iterable

import cv2
import numpy as np

_BOUNDARY_RADIUS = 0.008
"""Of the diagonal: how far boundaries may lie apart (Perazzi et al., CVPR 2016)."""


class MaskScores:
    """Sums up over the frames of a clip.

    F is that of all pixels of all frames together, as CDnet counts; J and the boundary F are means over frames, as
    DAVIS counts.
    """

    def __init__(self) -> None:
        self._hit = self._found = self._right = 0
        self._jaccard: list[float] = []
        self._boundary: list[float] = []

    def add(self, found: np.ndarray, truth: np.ndarray, scored: np.ndarray | None = None) -> None:
        """One frame: bool masks (H, W); `scored` says which pixels count, None all of them."""
        if scored is not None:
            found, truth = found & scored, truth & scored
        hit, found_px, right = (int(np.count_nonzero(mask)) for mask in (found & truth, found, truth))
        self._hit, self._found, self._right = self._hit + hit, self._found + found_px, self._right + right
        union = found_px + right - hit
        self._jaccard.append(hit / union if union else 1.0)
        self._boundary.append(boundary_f(found, truth))

    def result(self) -> dict[str, float]:
        """The figures, 0-1."""
        return {
            "F": round(2 * self._hit / max(self._found + self._right, 1), 3),
            "precision": round(self._hit / max(self._found, 1), 3),
            "recall": round(self._hit / max(self._right, 1), 3),
            "J": round(float(np.mean(self._jaccard)), 3),
            "boundary_F": round(float(np.mean(self._boundary)), 3),
        }


def drawn_outside_px(frames: Iterable[tuple[np.ndarray, np.ndarray]], most_px: int = 8) -> int:
    """How far outside of the image's edges a truth is drawn, px: the image is steepest that far inside its outline.

    frames: pairs of uint8 (H, W, 3) and its truth, bool (H, W).
    """
    totals, counts = np.zeros(most_px + 2), np.zeros(most_px + 2)
    for image, truth in frames:
        gray = cv2.GaussianBlur(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), (0, 0), 1).astype(np.float32)
        steep = cv2.magnitude(cv2.Sobel(gray, cv2.CV_32F, 1, 0), cv2.Sobel(gray, cv2.CV_32F, 0, 1))
        inside, outside = (cv2.distanceTransform(side.astype(np.uint8), cv2.DIST_L2, 5) for side in (truth, ~truth))
        # Half a px on either side of an outline belongs to it, and what lies at the image's rim is no edge.
        depth_px = np.where(truth, np.rint(inside), 1 - np.rint(outside))[8:-8, 8:-8]
        near = (depth_px >= 0) & (depth_px <= most_px + 1)
        at = depth_px[near].astype(np.intp)
        totals += np.bincount(at, steep[8:-8, 8:-8][near], most_px + 2)
        counts += np.bincount(at, minlength=most_px + 2)
    mean = totals / np.maximum(counts, 1)
    return int(np.argmax(mean[:-1] + mean[1:]))  # an edge lies between two px


def shrunk(mask: np.ndarray, px: int) -> np.ndarray:
    """A bool mask (H, W) without what lies within `px` of its outline."""
    return cv2.distanceTransform(mask.astype(np.uint8), cv2.DIST_L2, 5) > px


def boundary_f(found: np.ndarray, truth: np.ndarray) -> float:
    """F of the boundary pixels of two bool masks (H, W) that lie within 0.008 of the diagonal of the other's."""
    radius = round(_BOUNDARY_RADIUS * float(np.hypot(*found.shape)))
    disk = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1))
    edges = [_boundary(mask) for mask in (found, truth)]
    if not edges[0].any() or not edges[1].any():
        return float(edges[0].any() == edges[1].any())
    near = [cv2.dilate(edge, disk) for edge in edges]
    precision = np.count_nonzero(edges[0] & near[1]) / np.count_nonzero(edges[0])
    recall = np.count_nonzero(edges[1] & near[0]) / np.count_nonzero(edges[1])
    return 2 * precision * recall / max(precision + recall, 1e-9)


def _boundary(mask: np.ndarray) -> np.ndarray:
    values = mask.astype(np.uint8)
    return values & (1 - np.asarray(cv2.erode(values, np.ones((3, 3), np.uint8), borderValue=1), np.uint8))

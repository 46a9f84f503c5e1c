"""What people use today for masks of what moves, each as its documentation has it."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np

Peer = Callable[[np.ndarray], np.ndarray]
"""uint8 (H, W, 3) RGB frame after frame -> bool (H, W)."""


def mog2() -> Peer:
    """OpenCV's mixture of Gaussians with its defaults, shadows left out."""
    model = cv2.createBackgroundSubtractorMOG2()
    return lambda image: model.apply(image) == 255


def knn() -> Peer:
    """OpenCV's k nearest neighbours with its defaults, shadows left out."""
    model = cv2.createBackgroundSubtractorKNN()
    return lambda image: model.apply(image) == 255


class DisMinusCamera:
    """DIS (medium), less the homography that RANSAC finds in it, above 1 px."""

    def __init__(self) -> None:
        self._dis = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
        self._before: np.ndarray | None = None

    def __call__(self, image: np.ndarray) -> np.ndarray:
        luma = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
        before, self._before = self._before, luma
        if before is None:
            return np.zeros(luma.shape, bool)
        flow = np.asarray(self._dis.calc(before, luma, None))  # pyright: ignore[reportCallIssue, reportArgumentType]
        y, x = np.mgrid[0 : luma.shape[0], 0 : luma.shape[1]].astype(np.float32)
        points = np.stack([x, y], axis=-1)
        every = (slice(4, None, 8), slice(4, None, 8))
        start = points[every].reshape(-1, 1, 2)
        camera, _ = cv2.findHomography(start, start + flow[every].reshape(-1, 1, 2), cv2.RANSAC, 1.0)
        if camera is None:
            return np.zeros(luma.shape, bool)
        explained = cv2.perspectiveTransform(points.reshape(-1, 1, 2), camera).reshape(points.shape) - points
        return np.hypot(*np.moveaxis(flow - explained, -1, 0)) > 1.0


PEERS: dict[str, Callable[[], Peer]] = {"MOG2": mog2, "KNN": knn, "DIS minus camera": DisMinusCamera}

"""Whether a frame moves as one, or parts of it on their own."""

from __future__ import annotations

import functools

import cv2
import numpy as np
import numpy.typing as npt

_STEP_PX = 16
"""Side of the blocks whose flow is looked at: 900 of them at 640x360."""
_AGREES_SHARE = 1 / 640
"""Of the frame's longer side, up to which a block agrees. Chosen by hand: 1 px at 640 px."""
_SAME_SHARE = 0.8
"""Of the blocks that have to agree. Medians: 0.91 to 0.98 on four handheld clips, 0.94 and more on made ones of one
plane; 0.55 where something moves over 60 % of the frame or 42 % of it is nearer."""
_RANSAC_ROUNDS = 200
"""At a share of 0.5, three blocks that agree are missed with a chance of 1e-12."""
_FEW_PX, _NEAR_PX = 4, 0.5
"""Side of the blocks that a first affine motion is found by, and how far they may be off it, px: a quarter of a frame's
size, and 2 px of that. Chosen by hand."""
_LEAST_SLOPE = 1.0
"""Root mean square of the change, grey levels per px along the weaker direction, from which a block's flow tells its
motion. Without it and with a similarity, 14 % of the frames of four handheld clips, 48 % of one of them and all of a
blank wall's were taken to move in parts; with both, and with the fit to all that agree, 2 %."""
_LEAST_BLOCKS = 20
"""Of the textured ones; with fewer all are looked at. Chosen by hand."""
_WINDOW_PX = 5
"""Side of the window in which OpenCV adds up gradients: about that of a block in a frame of a quarter of the size."""
_SLOPE_GAIN = (_WINDOW_PX * 8 / (4 * _WINDOW_PX * 255)) ** 2
"""OpenCV's smaller eigenvalue at a mean squared slope of 1: its window's sum of Sobel's eightfold, by its scale."""


def moves_as_one(flow_px: npt.NDArray[np.float32], step_px: int = 1, luma: npt.NDArray[np.uint8] | None = None) -> bool:
    """Whether an affine motion explains most of the flow.

    Args:
        flow_px: float32 (h, w, 2), flow in px of the frame.
        step_px: px of the frame from one value of the flow to the next.
        luma: uint8 (h, w), the earlier frame at the size of its flow: of that, only what has texture counts. None: all.
    """
    height, width = (side * step_px for side in flow_px.shape[:2])
    size = (max(2, width // _STEP_PX), max(2, height // _STEP_PX))
    blocks = np.asarray(cv2.resize(flow_px, size, interpolation=cv2.INTER_AREA), np.float32)
    here = _places(size)
    there = here + blocks.reshape(-1, 2)
    if luma is not None and (textured := _textured(luma, size)).sum() >= _LEAST_BLOCKS:
        here, there = here[textured], there[textured]
    agrees_px = max(height, width) * _AGREES_SHARE
    found, agree = cv2.estimateAffine2D(
        here, there, method=cv2.RANSAC, ransacReprojThreshold=agrees_px, maxIters=_RANSAC_ROUNDS, refineIters=0
    )
    return found is not None and _share(here, there, agree.ravel() > 0, agrees_px) >= _SAME_SHARE


def affine_motion(flow_px: npt.NDArray[np.float32]) -> npt.NDArray[np.float64] | None:
    """Return the affine motion (3, 3), px to px, that most of the flow, float32 (h, w, 2) px at each px, agrees with.

    None: there is none.
    """
    height, width = flow_px.shape[:2]
    size = (max(2, width // _FEW_PX), max(2, height // _FEW_PX))
    blocks = np.asarray(cv2.resize(flow_px, size, interpolation=cv2.INTER_AREA), np.float32)
    here = (_places(size) / _STEP_PX + 0.5) * np.divide((width, height), size).astype(np.float32) - 0.5
    there = here + blocks.reshape(-1, 2)
    found, _ = cv2.estimateAffine2D(
        here, there, method=cv2.RANSAC, ransacReprojThreshold=_NEAR_PX, maxIters=_RANSAC_ROUNDS
    )
    return None if found is None else np.vstack([found, [0.0, 0.0, 1.0]])


@functools.lru_cache(maxsize=8)
def _places(size: tuple[int, int]) -> npt.NDArray[np.float32]:
    """Where blocks (w, h) lie, row after row: (N, 2) px."""
    rows, columns = np.mgrid[: size[1], : size[0]].astype(np.float32) * _STEP_PX
    return np.stack([columns, rows], axis=-1).reshape(-1, 2)


def _textured(luma: npt.NDArray[np.uint8], size: tuple[int, int]) -> npt.NDArray[np.bool_]:
    """Which blocks of a frame (w, h), row after row, have texture in both directions."""
    weaker = cv2.cornerMinEigenVal(luma, _WINDOW_PX, ksize=3)
    return cv2.resize(weaker, size, interpolation=cv2.INTER_AREA).ravel() > _SLOPE_GAIN * _LEAST_SLOPE**2


def _share(
    here: npt.NDArray[np.float32], there: npt.NDArray[np.float32], agree: npt.NDArray[np.bool_], agrees_px: float
) -> float:
    """Share of the blocks that agree with the affine motion of those that agree with three of them."""
    places = np.empty((len(here), 3))
    places[:, :2], places[:, 2] = here, 1.0
    those = places[agree]
    motion = np.linalg.lstsq(those.T @ those, those.T @ there[agree], rcond=None)[0]
    off = places @ motion - there
    return float((np.einsum("nd,nd->n", off, off) <= agrees_px**2).mean())

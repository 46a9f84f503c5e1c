"""Whether a frame moves as one, or parts of it on their own."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

_STEP_PX = 16
"""Side of the blocks whose flow is looked at: 900 of them at 640x360."""
_AGREES_SHARE = 1 / 640
"""Of the frame's longer side, up to which a block agrees. Chosen by hand: 1 px at 640 px."""
_SAME_SHARE = 0.8
"""Of the blocks that have to agree. Medians: 0.86 to 0.97 on four handheld clips, 0.89 and more on made ones of one
plane; 0.58 where something moves over 60 % of the frame, 0.53 where 42 % of it is nearer."""
_RANSAC_ROUNDS = 200
"""At a share of 0.5, a pair of blocks that agree is missed with a chance of 1e-25."""


def moves_as_one(flow_px: npt.NDArray[np.float32], step_px: int = 1) -> bool:
    """Whether a similarity explains most of the flow.

    Args:
        flow_px: float32 (h, w, 2), flow in px of the frame.
        step_px: px of the frame from one value of the flow to the next.
    """
    height, width = (side * step_px for side in flow_px.shape[:2])
    size = (max(2, width // _STEP_PX), max(2, height // _STEP_PX))
    blocks = np.asarray(cv2.resize(flow_px, size, interpolation=cv2.INTER_AREA), np.float32)
    rows, columns = np.mgrid[: size[1], : size[0]].astype(np.float32) * _STEP_PX
    here = np.stack([columns, rows], axis=-1).reshape(-1, 2)
    there = here + blocks.reshape(-1, 2)
    agrees_px = max(height, width) * _AGREES_SHARE
    found, agree = cv2.estimateAffinePartial2D(
        here, there, method=cv2.RANSAC, ransacReprojThreshold=agrees_px, maxIters=_RANSAC_ROUNDS, refineIters=0
    )
    return found is not None and float(np.mean(agree)) >= _SAME_SHARE

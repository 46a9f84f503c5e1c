"""What is seen of a frame and of the way to it, and how much of the world follows a motion.

Constants were tuned by hand, see `camera_tracker`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from raftline.camera.camera_motion import CameraMotion
from raftline.camera.direct_alignment import following
from raftline.camera.luma_pyramid import LumaPyramid

_SEEN_TEXTURE = 0.1
"""Weight of a cell's texture from which it counts fully."""
_WORLD_TRUST, _WORLD_SHARE = 0.25, 0.1
"""Trust from which a cell takes part where much of the frame moves by itself: a belief of one half, squared; and the
share of the cells, the most trusted ones, that do at least."""


@dataclass(frozen=True)
class Step:
    """What is seen of a frame, and of the way to it."""

    index: int
    """Index of the frame."""
    seconds: float
    """Time since the frame before."""
    flow_px: np.ndarray
    """(ceil(H/8), ceil(W/8), 2) float px: flow into the frame from the one before."""
    texture: np.ndarray
    """(ceil(H/8), ceil(W/8)) >= 0: trust in the flow: texture, confidence, zones."""
    allowed: np.ndarray | None
    """(ceil(H/8), ceil(W/8)) 0-1: cells that may tell the camera's motion; None: all."""
    before: LumaPyramid | None
    """The last frame of known motion."""
    now: LumaPyramid
    """The frame."""
    apart: bool
    """Frames without a motion lie between `before` and the frame."""


def followed(motion: CameraMotion, step: Step, trust: np.ndarray | None) -> float:
    """Return the share of what is the world whose flow follows a motion."""
    shows = world(np.ones(step.texture.shape) if trust is None else trust) * seen(step.texture)
    return float((following(step.flow_px, motion) * shows).sum() / max(float(shows.sum()), 1e-9))


def seen(texture: np.ndarray) -> np.ndarray:
    """Return how far cells (rows, columns) count, 0-1: what has no texture agrees with any motion."""
    return np.minimum(texture / _SEEN_TEXTURE, 1.0)


def world(trust: np.ndarray) -> np.ndarray:
    """Return trust (rows, columns) of what is the world, 0 of all else."""
    return np.where(trust >= min(_WORLD_TRUST, float(np.quantile(trust, 1.0 - _WORLD_SHARE))), trust, 0.0)

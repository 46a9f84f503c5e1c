"""Dense optical flow of video with RAFT, and what follows from it: stabilization, motion masks, motion events.

    import raftline

    flow_px = raftline.estimate_flow(image1, image2)   # of two images
    session = raftline.FlowSession()                   # of a stream of frames
    model = raftline.load_raft()                       # the network
    masks = raftline.MotionMasks()                     # what moves other than the camera, from frames and flow

Whole videos are in `raftline.video`. Images are RGB, uint8, (H, W, 3); flow is (u, v) in px, x right, y down, at the
pixels of the earlier image. Importing this package loads nothing heavy; torch comes with the first of these names that
is used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from raftline import video as video
    from raftline.flow.pair import estimate_flow as estimate_flow
    from raftline.flow.session import FlowSession as FlowSession
    from raftline.masks.motion_masks import MotionMasks as MotionMasks
    from raftline.masks.options import MotionMaskOptions as MotionMaskOptions
    from raftline.raft.weights.loading import load_raft as load_raft

__all__ = ["FlowSession", "MotionMaskOptions", "MotionMasks", "estimate_flow", "load_raft", "video"]

_WHERE = {
    "FlowSession": "raftline.flow.session",
    "MotionMaskOptions": "raftline.masks.options",
    "MotionMasks": "raftline.masks.motion_masks",
    "estimate_flow": "raftline.flow.pair",
    "load_raft": "raftline.raft.weights.loading",
}


def __getattr__(name: str) -> Any:
    if name == "video":
        return importlib.import_module("raftline.video")
    if name in _WHERE:
        return getattr(importlib.import_module(_WHERE[name]), name)
    raise AttributeError(f"module 'raftline' has no attribute {name!r}; it has {', '.join(__all__)}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})

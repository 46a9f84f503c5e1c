"""The stage `stabilization` and its parts."""

from stages.stabilization.moved_frames import MovedFrames
from stages.stabilization.stage import Stabilization

__all__ = ["MovedFrames", "Stabilization"]

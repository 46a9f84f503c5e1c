"""The stage `stabilization` and its parts."""

from stages.stabilization.stage import Stabilization

__all__ = ["Stabilization"]

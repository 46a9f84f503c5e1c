"""The stage `flow` and its parts."""

from stages.flow.stage import OpticalFlow

__all__ = ["OpticalFlow"]

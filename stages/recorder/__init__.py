"""The stage `recorder` and its parts."""

from stages.recorder.stage import Recorder

__all__ = ["Recorder"]

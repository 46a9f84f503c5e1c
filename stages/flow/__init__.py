"""The stage `flow` and its parts."""

from stages.flow.flow_ahead import FlowAhead
from stages.flow.stage import OpticalFlow

__all__ = ["FlowAhead", "OpticalFlow"]

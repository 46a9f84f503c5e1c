"""Presentation times of an output whose input may lack them, change their unit, or start again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from fractions import Fraction

from pipeline.messages import Header


@dataclass(frozen=True)
class TimelineState:
    """What is known after a frame; a small value that can be stored and restored."""

    last: int | None = None
    """pts of the latest frame, in the output's unit."""
    step: int | None = None
    """Difference between the latest two."""
    offset: int = 0
    """Added to the pts of a camera whose clock started again."""

    def to_json(self) -> dict[str, int | None]:
        return asdict(self)

    @classmethod
    def from_json(cls, values: Mapping[str, int | None]) -> TimelineState:
        return cls(last=values["last"], step=values["step"], offset=values["offset"] or 0)


class Timeline:
    """Gives each frame its pts in one unit.

    Time stamps of a file are kept exactly, even those that jump back. A camera that was reconnected may count from 0:
    its time continues where it was. A frame without a time stamp comes one step after the previous one.
    """

    def __init__(self, time_base: Fraction, rate: Fraction, live: bool, state: TimelineState | None = None) -> None:
        self.time_base = time_base
        self.state = state or TimelineState()
        self._live = live
        self._usual_step = max(1, round(1 / (rate * time_base)))

    def next_pts(self, header: Header) -> int:
        """The frame's pts in units of `time_base`."""
        state = self.state
        step = state.step or self._usual_step
        if header.pts is None:
            pts = 0 if state.last is None else state.last + step
        else:
            pts = self.rescaled(header.pts, header.time_base) + state.offset
            if self._live and state.last is not None and pts <= state.last:
                state = replace(state, offset=state.offset + state.last + step - pts)
                pts = state.last + step if state.last is not None else pts
        if state.last is not None and pts > state.last:
            state = replace(state, step=pts - state.last)
        self.state = replace(state, last=pts)
        return pts

    def rescaled(self, units: int, time_base: Fraction) -> int:
        """Exact if the unit is the same or divides evenly, else rounded."""
        return units if time_base == self.time_base else round(units * time_base / self.time_base)

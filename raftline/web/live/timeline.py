"""The time that browsers play: continuous over reconnects, and known for each frame of the pipeline."""

from __future__ import annotations

from collections import OrderedDict, deque
from fractions import Fraction

from raftline.web.live.fragments import TICKS

_KNOWN_FRAMES = 900
"""Frames whose time is remembered, for overlays that come later. Chosen by hand: half a minute at 30 frames/s."""
_STEPS = 16
"""Of which the longest is a frame's duration, since nobody knows when the next one comes. Chosen by hand."""
_LONGEST_STEP = 1.9
"""In durations of the frame before. From 2 on browsers take a step for a break, and wait for a keyframe (Media Source
Extensions, coded frame processing, step 6); what is longer is shortened."""
_FIRST_STEP_SECONDS = 0.2


class Timeline:
    """Places frames on one continuous time, in units of 1/90,000 s from 0."""

    def __init__(self) -> None:
        self._last: int | None = None
        self._raw: Fraction | None = None
        self._steps: deque[int] = deque([round(_FIRST_STEP_SECONDS * TICKS)], _STEPS)
        self._times: OrderedDict[int, int] = OrderedDict()

    def place(self, dts_seconds: Fraction) -> tuple[int, int]:
        """The next frame's decoding time, and its duration.

        Args:
            dts_seconds: by its own clock; steps back, and those after a `cut`, count as a usual step.
        """
        if self._last is None:
            placed = 0
        else:
            step = 0 if self._raw is None else round((dts_seconds - self._raw) * TICKS)
            usual = max(self._steps)
            step = min(step, int(_LONGEST_STEP * usual)) if step > 0 else usual // 2
            self._steps.append(step)
            placed = self._last + step
        self._last, self._raw = placed, dts_seconds
        return placed, max(self._steps)

    def cut(self) -> None:
        """What follows has another clock."""
        self._raw = None

    def know(self, index: int, time: int) -> None:
        """Remember the presentation time of a frame of the pipeline."""
        self._times[index] = time
        while len(self._times) > _KNOWN_FRAMES:
            self._times.popitem(last=False)

    def may_come(self, index: int) -> bool:
        """Whether a frame of the pipeline is newer than all that were sent."""
        return not self._times or index > next(reversed(self._times))

    def time_of(self, index: int) -> int | None:
        """The presentation time of a frame of the pipeline, in units; None if it was not sent."""
        return self._times.get(index)

"""Measures the camera's motion section by section: each begins anew, some seconds before its first frame counts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from pipeline.messages import Flow, Frame
from pipeline.sections import Sections
from raftline.stabilize.path.path_records import PathRecord
from stages.stabilization.measurement import Measurement


class SectionedMeasurement:
    """As `Measurement`, of a file.

    Args:
        new: A measurement that begins.
        sections: When to begin anew.
        first: Section before which nothing is measured; None: there is none.
        end: Section from which on nothing is measured, so that it has no run-up; None: there is none.
    """

    def __init__(
        self, new: Callable[[], Measurement], sections: Sections, first: int | None = None, end: int | None = None
    ) -> None:
        self._new, self._sections, self._first, self._end = new, sections, first, end
        self._now: Measurement | None = None
        """Of the current section; None: it is not to be measured."""
        self._next: Measurement | None = None
        """Of the next section, once its run-up has begun."""
        self._section: int | None = None
        """That of the last frame, or the one before the first; None: frames have no time so far."""
        self._begun = 0
        """The last section whose run-up has begun."""
        self._first_index = 0
        """Of the current section's frames."""

    def __call__(self, message: Flow) -> PathRecord | None:
        """Measure the camera's motion into the frame of a message; None: its section is not to be measured."""
        self._follow(message)
        record = None if self._now is None else self._now(message)
        if self._next is not None:
            self._next(message)
        if record is None or not record.revised:
            return record
        return replace(record, revised=tuple(each for each in record.revised if each[0] >= self._first_index))

    @property
    def frames_needed(self) -> int:
        """As of `Measurement`."""
        return max((each.frames_needed for each in self._measuring), default=0)

    def remember(self, frame: Frame) -> None:
        """As `Measurement.remember`."""
        for each in self._measuring:
            each.remember(frame)

    def gap(self) -> None:
        """As `Measurement.gap`."""
        for each in self._measuring:
            each.gap()

    def state(self) -> dict[str, Any]:
        """As `Measurement.state`."""
        return {
            "now": self._now and self._now.state(),
            "next": self._next and self._next.state(),
            "section": self._section,
            "begun": self._begun,
            "first_index": self._first_index,
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """As `Measurement.restore`."""
        self._now, self._next = (self._restored(state[name]) for name in ("now", "next"))
        if self._now is not None:
            self._counted(self._now)
        self._section, self._begun, self._first_index = (state[each] for each in ("section", "begun", "first_index"))

    def large_state(self) -> dict[str, Any] | None:
        """As `Measurement.large_state`."""
        found = {"now": self._now and self._now.large_state(), "next": self._next and self._next.large_state()}
        return found if any(found.values()) else None

    def restore_large(self, state: Mapping[str, Any]) -> None:
        """As `Measurement.restore_large`."""
        for each, own in ((self._now, state["now"]), (self._next, state["next"])):
            if each is not None and own is not None:
                each.restore_large(own)

    @property
    def _measuring(self) -> list[Measurement]:
        return [each for each in (self._now, self._next) if each is not None]

    def _follow(self, message: Flow) -> None:
        """Begin the sections that begin with a message."""
        number, begun = self._sections.number(message.header), self._sections.begun(message.header)
        if self._now is None and self._first is None:
            self._now = self._counted(self._new())
        if number is None or begun is None:
            return
        if self._section is None:
            self._section = self._begun = number if self._first is None else self._first - 1
        if number > self._section:
            self._now, self._next = self._counted(self._next or self._new()), None
            self._section, self._begun = number, max(self._begun, number)
            self._first_index = message.frame.index
        if begun > self._begun and (self._end is None or begun < self._end):
            self._next, self._begun = self._new(), begun

    def _restored(self, state: Mapping[str, Any] | None) -> Measurement | None:
        if state is None:
            return None
        found = self._new()
        found.restore(state)
        return found

    def _counted(self, measurement: Measurement) -> Measurement:
        measurement.counts = True
        return measurement

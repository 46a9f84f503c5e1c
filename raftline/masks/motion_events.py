"""When there is motion: events with begin, end and peak."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

_MOST_IDS = 200
_MOST_PLACES = 64
"""Both keep an event small, as it travels in a stream's entry and in a snapshot: about 1 and 2 kB of JSON."""
_EVEN_SHARE = 0.9
"""Of the distance in time between places, that a further one has to keep: frames do not come at exact distances."""

Path = tuple[tuple[float, float, float], ...]
"""(seconds, x, y) of each place, px."""


@dataclass(frozen=True)
class OpenEvent:
    """Motion from its begin to what is known of its end."""

    id: int
    begin_seconds: float
    last_seconds: float
    """When motion was last seen, or, of an event that ended, its end."""
    peak_seconds: float
    peak_area: float
    """Share of the frame, 0-1."""
    object_ids: tuple[int, ...] = ()
    """The first 200 of them, in order of appearance."""
    path: Path = ()
    """(seconds, x, y): where the largest moving object was, centre of its box in px; at most 64 of even distances."""
    frames: int = 1
    """In which it moved."""
    uncertain_frames: int = 0
    """Those of them in which it was not certain what moved."""

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> OpenEvent:
        """From what JSON made of the fields of one."""
        lists = {"object_ids": tuple(values["object_ids"]), "path": tuple(map(tuple, values["path"]))}
        return cls(**{**values, **lists})

    @property
    def uncertain(self) -> bool:
        """It was so most of the time."""
        return 2 * self.uncertain_frames > self.frames

    def gone_on(
        self,
        seconds: float,
        area: float,
        object_ids: tuple[int, ...],
        place: tuple[float, float] | None,
        uncertain: bool,
    ) -> OpenEvent:
        """The event with one more frame; arguments as for `EventRecorder.update`."""
        larger = area > self.peak_area
        return replace(
            self,
            last_seconds=seconds,
            peak_seconds=seconds if larger else self.peak_seconds,
            peak_area=area if larger else self.peak_area,
            object_ids=tuple(dict.fromkeys(self.object_ids + object_ids))[:_MOST_IDS],
            path=extended_path(self.path, seconds, place),
            frames=self.frames + 1,
            uncertain_frames=self.uncertain_frames + uncertain,
        )


class EventRecorder:
    """One event for as long as anything moves."""

    def __init__(self, merge_seconds: float, after_seconds: float = 0.0) -> None:
        """Begin with no event.

        Args:
            merge_seconds: Pauses of up to this belong to an event.
            after_seconds: An event lasts this much longer than its last motion.
        """
        self.pause_seconds = max(merge_seconds, after_seconds)
        self.after_seconds = after_seconds
        self._event: OpenEvent | None = None
        self._ended_seconds: float | None = None
        """The end of the event before it."""
        self._next_id = 1

    @property
    def open_event(self) -> OpenEvent | None:
        """The event that goes on."""
        return self._event

    def update(
        self,
        seconds: float,
        area: float,
        object_ids: tuple[int, ...],
        since_seconds: float,
        place: tuple[float, float] | None = None,
        uncertain: bool = False,
        waiting_since: float | None = None,
    ) -> tuple[OpenEvent | None, OpenEvent | None]:
        """Take the next frame.

        Args:
            seconds: Its time.
            area: How much of it moves, as a share; 0: nothing does.
            object_ids: Of the moving objects.
            since_seconds: When the motion began that this frame adds: an event begins there, but not before the end of
                the one before.
            place: Centre of the largest of them, px.
            uncertain: Whether it is uncertain what moves in this frame.
            waiting_since: When motion began that may come to count; an event does not end before that is known. None:
                there is none.

        Returns:
            The event that ended, and the event that began; None for none.
        """
        ended = began = None
        resumes_seconds = since_seconds if area > 0 else seconds
        if waiting_since is not None:
            resumes_seconds = min(resumes_seconds, waiting_since)
        if self._event and resumes_seconds - self._event.last_seconds > self.pause_seconds:
            ended = replace(self._event, last_seconds=self._event.last_seconds + self.after_seconds)
            self._event, self._ended_seconds = None, ended.last_seconds
        if area <= 0:
            return ended, None
        if self._event is None:
            begin = since_seconds if self._ended_seconds is None else max(since_seconds, self._ended_seconds)
            path = extended_path((), seconds, place)
            began = self._event = OpenEvent(
                self._next_id, begin, seconds, seconds, area, object_ids, path, uncertain_frames=int(uncertain)
            )
            self._next_id += 1
            return ended, began
        self._event = self._event.gone_on(seconds, area, object_ids, place, uncertain)
        return ended, None

    def state(self) -> dict[str, Any]:
        """JSON values."""
        event = dict(vars(self._event)) if self._event else None
        return {"event": event, "ended_seconds": self._ended_seconds, "next_id": self._next_id}

    def restore(self, state: dict[str, Any]) -> None:
        self._event = OpenEvent.from_json(state["event"]) if state["event"] else None
        self._ended_seconds, self._next_id = state["ended_seconds"], state["next_id"]


def extended_path(path: Path, seconds: float, place: tuple[float, float] | None) -> Path:
    """The path with one more place.

    From a full path every other place is dropped, and further places are taken as seldom: distances in time stay even.
    """
    if place is None or (path and seconds <= path[-1][0]):
        return path
    if len(path) >= 3 and seconds - path[-1][0] < _EVEN_SHARE * (path[1][0] - path[0][0]):
        return path
    path = path[::2] if len(path) >= _MOST_PLACES else path
    return (*path, (round(seconds, 3), round(place[0], 1), round(place[1], 1)))


class HasPlace(Protocol):
    """What moves."""

    @property
    def box(self) -> tuple[int, int, int, int]:
        """x, y, width, height in px."""
        ...

    @property
    def area_px(self) -> float: ...


def largest_place(moving: Sequence[HasPlace]) -> tuple[float, float] | None:
    """Centre (x, y) of the box of the one with the largest area, px; None if there is none."""
    if not moving:
        return None
    x, y, width, height = max(moving, key=lambda found: found.area_px).box
    return x + (width - 1) / 2, y + (height - 1) / 2

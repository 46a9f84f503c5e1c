"""What ``/api`` answers about events."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, Field

from raftline.event_database import Event

Label = Literal["event", "no event"]


class EventShown(BaseModel):
    """A motion event."""

    number: int
    uid: str
    source: str
    live: bool = Field(description="of a camera")
    at: float = Field(description="begin: s since 1970 for cameras, s from the start of a file")
    until: float | None = Field(description="end, as `at`; null while it goes on")
    begin_seconds: float = Field(description="presentation time of the first frame")
    peak_area: float = Field(description="largest moving area, share of the frame")
    speed_px_s: float | None
    direction_degrees: float | None = Field(description="0 right, 90 down, 180 left, 270 up")
    uncertain: bool
    cut_short: bool
    zones: list[str]
    width: int
    height: int
    path: list[tuple[float, float, float]] = Field(description="(s, x px, y px) of the largest object")
    has_thumbnail: bool
    has_clip: bool
    label: str | None

    @classmethod
    def of(cls, event: Event) -> EventShown:
        """As the page shows it: no paths of files."""
        values = {name: getattr(event, name) for name in cls.model_fields if hasattr(event, name)}
        return cls(**values, has_thumbnail=event.thumbnail is not None, has_clip=event.clip is not None)


class EventPage(BaseModel):
    """Some events, the newest first."""

    events: list[EventShown]
    next: str | None = Field(description="`after` of the next page; null: there is none")


class BarShown(BaseModel):
    """The events that begin in one part of the time."""

    at: float
    events: int
    peak_area: float


class Bars(BaseModel):
    """The timeline: parts of the time in which events begin."""

    begin: float
    seconds: float = Field(description="of each part")
    bars: list[BarShown] = Field(description="parts without events are left out")


class EventFacts(BaseModel):
    """What one may filter by."""

    sources: list[str]
    zones: list[str]
    first: float | None = Field(description="begin of the first event")
    last: float | None


class ClipFacts(BaseModel):
    """The clip that shows an event."""

    there: bool
    begins_seconds: float = Field(default=0.0, description="where in the clip the event begins")


class LabelGiven(BaseModel):
    """What somebody says that an event was."""

    label: Label | None = Field(description="null: take it back")

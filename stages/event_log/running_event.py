"""A motion event that has begun and not ended, and the line that reports it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime, timezone
from typing import Any

from pipeline.messages import MotionEvent
from raftline.masks.motion_events import OpenEvent
from stages.event_log.measures import Measures
from stages.shared.event_uid import event_uid


@dataclass
class RunningEvent:
    """An event between its begin and its end."""

    event: OpenEvent
    begin_ns: int
    """Wall clock, ns since 1970."""
    after_seconds: float = 0.0
    """It lasts this much longer than its last motion."""
    thumbnail: str | None = None
    """Name of its image in the thumbnail folder."""
    thumbnail_area: float = 0.0
    """Share of the frame that moves in that image, 0-1."""
    measures: Measures = field(default_factory=Measures)

    @classmethod
    def begun(cls, event: MotionEvent, begin_ns: int) -> RunningEvent:
        """The event of its first mask, whose frame is yet to be counted."""
        return cls(replace(_open(event), frames=0), begin_ns, event.after_seconds)

    def ended(self, event: MotionEvent) -> RunningEvent:
        """This event as its last mask reports it."""
        return replace(self, event=_open(event))

    @classmethod
    def only_ended(cls, event: MotionEvent, begin_ns: int) -> RunningEvent:
        """An event of which nothing but its last mask was seen."""
        return cls(_open(event), begin_ns)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> RunningEvent:
        event, measures = OpenEvent.from_json(values["event"]), Measures.from_json(values["measures"])
        return cls(**{**values, "event": event, "measures": measures})

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    def begin(self, source: str, live: bool) -> dict[str, Any]:
        """What is known of the event when it begins; `EventLog` describes the keys."""
        event = self.event
        begin = self.begin_ns if live else round(event.begin_seconds, 6)
        values = {
            "source": source,
            "id": event.id,
            "uid": event_uid(source, begin, event.id),
            "begin_seconds": round(event.begin_seconds, 6),
        }
        return values | {"begin_time": utc(self.begin_ns)} if live else values

    def line(self, source: str, live: bool, end_seconds: float, uncertain: bool, cut_short: bool) -> dict[str, Any]:
        """What the log says of the event; `EventLog` describes the keys."""
        event = self.event
        return self.begin(source, live) | {
            "end_seconds": round(end_seconds, 6),
            "duration_seconds": round(end_seconds - event.begin_seconds, 6),
            "peak_seconds": round(event.peak_seconds, 6),
            "peak_area": round(event.peak_area, 6),
            "object_ids": list(event.object_ids),
            "path": [list(place) for place in event.path],
            "speed_px_s": self.measures.speed_px_s,
            "direction_degrees": self.measures.direction_degrees,
            "zones": list(self.measures.zones),
            "uncertain": uncertain,
            "cut_short": cut_short,
        }


def utc(wall_ns: int) -> str:
    """ISO 8601, to the millisecond."""
    time = datetime.fromtimestamp(wall_ns // 1_000_000 / 1000, timezone.utc)
    return time.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _open(event: MotionEvent) -> OpenEvent:
    return OpenEvent(
        event.id,
        event.begin_seconds,
        event.begin_seconds if event.end_seconds is None else event.end_seconds,
        event.peak_seconds,
        event.peak_area,
        event.object_ids,
        event.path,
    )

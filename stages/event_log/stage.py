"""Writes motion events as lines of JSON, and a picture of each."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timezone
from typing import Any, Literal

import numpy as np
from pydantic import Field, field_validator

from pipeline import stage
from pipeline.messages import Data, EndOfStream, Gap, Header, Mask, Message, MotionEvent
from raftline.masks.motion_events import OpenEvent, largest_place
from stages.event_log.line_file import LineFile
from stages.event_log.thumbnails import EventThumbnails, check_folder

_LARGER = 1.1
"""A thumbnail is made again when the motion covers so much more than in the one before."""


@dataclass
class _Open:
    """An event that has begun and not ended."""

    event: OpenEvent
    begin_ns: int
    thumbnail: str | None = None
    """Name of its picture in the folder of them."""
    thumbnail_area: float = 0.0
    """Share of the frame that moves in it."""


class EventLog(stage.Stage):
    """Writes one line per motion event, when it ends, and says the same on its stream.

    A line is an object with: ``source``; ``id``; ``begin_seconds``, ``end_seconds`` and ``peak_seconds``,
    presentation times in s of the first frame, the last, and the one with the largest moving area;
    ``duration_seconds``; ``peak_area``, that area as a share of the frame, 0-1; ``object_ids``; ``path``, [s, x, y] of
    its largest object, px, at most 64 places; ``uncertain``, true where most of its masks are; ``cut_short``, true
    where the source ended before the motion did; with the option `thumbnails`, ``thumbnail``, the path, from the log's
    folder, of a picture of about the peak; for cameras ``begin_time`` and ``end_time``, wall clock, ISO 8601 UTC.

    On the stream each line is a `Data` of kind ``motion_events``, its values ``{"events": [line]}``: more than one line
    where the end of the source cuts several short.

    A file's log appears when it is complete, and is empty where nothing moved. A camera's grows under its final
    name from the start (``appear: at_once``), line by line, and later runs add to it.
    """

    class Options(stage.Options):
        path: str = Field("{source}.motion.jsonl", description="file to write; {source} and {stage} are filled in")
        appear: Literal["auto", "complete", "at_once"] = Field(
            "auto",
            description="complete: the file appears when the source ends; at_once: it grows under its name, and later "
            "runs add to it; auto: at_once for live sources",
        )
        thumbnails: str | None = Field(
            None,
            description="folder for one JPEG per event, named by its id (of cameras by its begin, UTC, too); {source} "
            "and {stage} are filled in; null: none",
        )
        thumbnail_px: int = Field(640, ge=16, le=8192, description="longer side of these pictures at most, px")
        thumbnails_kept: int = Field(1000, ge=1, description="pictures in the folder at most; the oldest are removed")

        @field_validator("thumbnails")
        @classmethod
        def _names_a_folder(cls, folder: str | None) -> str | None:
            return None if folder is None else check_folder(folder)

    reads = (Mask,)
    writes = Data

    def __init__(self, options: Options, context: stage.Context) -> None:
        super().__init__(options, context)
        self._header: Header | None = None
        """Of the last mask; nothing was said under it yet while there is something `_untold`."""
        self._untold: list[dict[str, Any]] = []
        self._begun = False
        self._open: dict[int, _Open] = {}
        self._last_seconds = 0.0
        self._last_ns = 0
        self._last_id = 0
        self._thumbnails: EventThumbnails | None = None

    def open(self) -> None:
        live = self.context.source.live
        visible = self.options.appear == "at_once" or (self.options.appear == "auto" and live)
        log = self.context.output(self.options.path)
        self._folder = log.path.parent
        self._lines = LineFile(log, visible)
        options = self.options
        if options.thumbnails is not None:
            self._thumbnails = EventThumbnails(
                self.context, options.thumbnails, options.thumbnail_px, options.thumbnails_kept
            )

    def restore(self, snapshot: Mapping[str, Any]) -> None:
        self._lines.resume(snapshot["length"])
        self._begun = True
        begun = [_Open(**{**values, "event": OpenEvent.from_json(values["event"])}) for values in snapshot["open"]]
        self._open = {each.event.id: each for each in begun}
        self._last_seconds, self._last_ns = snapshot["last_seconds"], snapshot["last_ns"]
        self._last_id = snapshot["last_id"]
        self._untold = snapshot["untold"]
        if header := snapshot["header"]:
            self._header = Header.from_json(header)

    def snapshot(self) -> Mapping[str, Any] | None:
        if not self._begun:
            return None
        return {
            "length": self._lines.length,
            "open": [asdict(begun) for begun in self._open.values()],
            "last_seconds": self._last_seconds,
            "last_ns": self._last_ns,
            "last_id": self._last_id,
            "untold": self._untold,
            "header": self._header and self._header.to_json(),
        }

    def process(self, message: Mask) -> Iterable[Message]:
        self._begin()
        yield from self._told()
        self._header = message.header
        seconds = message.header.pts_seconds
        self._last_seconds = self._last_seconds if seconds is None else seconds
        self._last_ns = message.header.arrival_ns
        for event in message.events:
            self._last_id = max(self._last_id, event.id)
            if event.end_seconds is None:
                begun = replace(_known(event), frames=0)  # this frame is counted like those that follow
                self._open[event.id] = _Open(begun, message.header.arrival_ns)
            else:
                self._write_ended(event)
        if self._open:
            self._follow(message)
        else:
            yield from self._told()

    def gap(self, gap: Gap) -> Iterable[Message]:
        return self._told()

    def flush(self, end: EndOfStream) -> Iterable[Message]:
        self._begin()
        if end.reason == "failed":
            self._lines.discard()
            self._remove_thumbnails(0)
            return
        for begun in list(self._open.values()):
            self._write(begun, self._last_seconds, begun.event.uncertain, cut_short=True)
        self._lines.finish()
        self._remove_thumbnails(self._last_id)
        yield from self._told()

    def _told(self) -> Iterable[Message]:
        """Says what was written, under the last mask's header.

        While another event goes on this waits for the next message: the end may come instead, cut that one short, and
        a header serves once.
        """
        if self._untold and self._header:
            yield Data(self._header, "motion_events", {"events": self._untold})
            self._untold = []

    def _begin(self) -> None:
        if not self._begun:
            self._lines.begin()
            self._begun = True

    def _follow(self, message: Mask) -> None:
        """Keep the peak of what goes on: an event that the end of the source cuts short is told by nobody else."""
        place = largest_place(message.objects)
        area = float(np.count_nonzero(np.asarray(message.mask)) / (message.frame.width * message.frame.height))
        ids = tuple(moving.id for moving in message.objects)
        for begun in self._open.values():
            if area > 0:
                begun.event = begun.event.gone_on(self._last_seconds, area, ids, place, message.uncertain)
            if self._thumbnails and area > _LARGER * begun.thumbnail_area:
                begun.thumbnail = begun.thumbnail or self._thumbnails.name(begun.event.id, begun.begin_ns)
                begun.thumbnail_area = area
                self._thumbnails.write(begun.thumbnail, message)

    def _remove_thumbnails(self, last_id: int) -> None:
        """Those of a file that are of no event of this run; a camera's stay."""
        if self._thumbnails and not self.context.source.live:
            self._thumbnails.keep_only(last_id)

    def _write_ended(self, event: MotionEvent) -> None:
        begun = self._open.pop(event.id, None)
        told = replace(begun, event=_known(event)) if begun else _Open(_known(event), self._last_ns)
        end_seconds = self._last_seconds if event.end_seconds is None else event.end_seconds
        self._write(told, end_seconds, event.uncertain, cut_short=False)

    def _write(self, begun: _Open, end_seconds: float, uncertain: bool, cut_short: bool) -> None:
        event = begun.event
        line = {
            "source": self.context.source.name,
            "id": event.id,
            "begin_seconds": round(event.begin_seconds, 6),
            "end_seconds": round(end_seconds, 6),
            "duration_seconds": round(end_seconds - event.begin_seconds, 6),
            "peak_seconds": round(event.peak_seconds, 6),
            "peak_area": round(event.peak_area, 6),
            "object_ids": list(event.object_ids),
            "path": [list(place) for place in event.path],
            "uncertain": uncertain,
            "cut_short": cut_short,
        }
        if self._thumbnails:
            picture = self._thumbnails.path(begun.thumbnail) if begun.thumbnail else None
            line["thumbnail"] = None if picture is None else os.path.relpath(picture, self._folder)
        if self.context.source.live:
            line |= {"begin_time": _iso(begun.begin_ns), "end_time": _iso(self._last_ns)}
        self._lines.append(json.dumps(line))
        self._untold.append(line)
        self.context.count("events")


def _known(event: MotionEvent) -> OpenEvent:
    return OpenEvent(
        event.id,
        event.begin_seconds,
        event.begin_seconds if event.end_seconds is None else event.end_seconds,
        event.peak_seconds,
        event.peak_area,
        event.object_ids,
        event.path,
    )


def _iso(wall_ns: int) -> str:
    moment = datetime.fromtimestamp(wall_ns // 1_000_000 / 1000, timezone.utc)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")

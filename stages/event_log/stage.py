"""Logs motion events as lines of JSON, with an image of each."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterable, Mapping
from typing import Any, Literal

import numpy as np
from pydantic import Field, field_validator

from pipeline import stage
from pipeline.messages import Data, EndOfStream, Gap, Header, Mask, Message, MotionEvent
from raftline.event_database import NAME
from raftline.masks.motion_events import largest_place
from stages.event_log.measures import cells_in_motion
from stages.event_log.rows import EventRows
from stages.event_log.running_event import RunningEvent, utc
from stages.event_log.thumbnails import EventThumbnails, check_folder
from stages.shared.line_file import LineFile
from stages.shared.output_errors import writing

_LARGER = 1.1
"""A thumbnail is replaced once the moving area is this many times that of the one before. Chosen by hand: close to the
peak, without writing one for every frame on the way there."""


class EventLog(stage.Stage):
    """Writes one line of JSON per motion event, when the event ends.

    Keys of a line:

    - ``source``, ``id``: the id counts the events of a run; ``uid``: a UUID that no other event has, the same each time
      that a file is looked through
    - ``begin_seconds``, ``end_seconds``, ``peak_seconds``: presentation time of the first frame, the last frame, and
      the frame with the largest moving area, in s; ``duration_seconds``: from begin to end
    - ``peak_area``: the largest moving area, as a share of the frame, 0-1
    - ``object_ids``: ids of the moving objects
    - ``path``: [s, x px, y px] of the largest object, at most 64 points
    - ``speed_px_s``, ``direction_degrees``: mean of what moved, after the camera's motion; 0 right, 90 down; null: no
      object was seen to move
    - ``zones``: names of the zones (the option `zones` of `motion_mask`) in which something moved
    - ``uncertain``: true if most of its masks are
    - ``cut_short``: true if something still moved in the source's last frame
    - ``thumbnail``: path of an image close to the peak, relative to the log; only with the option `thumbnails`
    - ``begin_time``, ``end_time``: wall clock, ISO 8601 in UTC; only for cameras

    The same lines go to the stage's stream, as `Data` of kind ``motion_events`` with the values ``{"begun": [...],
    "events": [line], "folder": "..."}``. ``begun`` holds the first keys (``source`` to ``begin_seconds``,
    ``begin_time``) of events that begin; ``folder`` is what ``thumbnail`` is relative to. Where the end of the source
    cuts several events short, one `Data` holds them all.

    The log of a file appears when it is complete, and is empty if nothing moved. The log of a camera is there from the
    start and grows line by line; later runs append to it. All events also go to a database, for the page and
    ``raftline events``: from their begin on, and once each.
    """

    class Options(stage.Options):
        path: str = Field(
            "{source}.motion.jsonl", description="file to write; {source} and {stage} are replaced by their names"
        )
        appear: Literal["auto", "complete", "at_once"] = Field(
            "auto",
            description="when the file appears; complete: when the source ends; at_once: at the start, and later runs "
            "append to it; auto: at_once for cameras, complete for files",
        )
        thumbnails: str | None = Field(
            None,
            description="folder for one JPEG per event, close to its peak; named by the event's id, for cameras also "
            "by its begin (UTC); {source} and {stage} are replaced by their names; null: no images",
        )
        database: str | None = Field(
            NAME, description="SQLite file of the events of all sources, in the folder of `path`; null: none"
        )
        thumbnail_px: int = Field(640, ge=16, le=8192, description="longest side of a thumbnail, in px")
        thumbnails_kept: int = Field(
            1000, ge=1, description="largest number of thumbnails in the folder; the oldest are deleted"
        )

        @field_validator("database")
        @classmethod
        def _is_a_name(cls, name: str | None) -> str | None:
            if name is not None and ("/" in name or not name.strip(".")):
                raise ValueError(f"the name of a file, such as {NAME}; it lies in the folder of `path`")
            return name

        @field_validator("thumbnails")
        @classmethod
        def _names_a_folder(cls, folder: str | None) -> str | None:
            return None if folder is None else check_folder(folder)

    reads = (Mask,)
    writes = Data
    takes_10_bits = True
    work = 0.3
    snapshot_bytes = 1_000_000  # events that are open, each with a path of up to 64 points

    def __init__(self, options: Options, context: stage.Context) -> None:
        super().__init__(options, context)
        self._header: Header | None = None
        """Of the last mask. It is free to publish under as long as there is something to publish."""
        self._begun: list[dict[str, Any]] = []
        """Events that began, to be published."""
        self._unpublished: list[dict[str, Any]] = []
        self._lines: LineFile | None = None
        self._running: dict[int, RunningEvent] = {}
        self._last_seconds = 0.0
        self._last_ns = 0
        self._last_id = 0
        self._thumbnails: EventThumbnails | None = None
        self._rows: EventRows | None = None

    def open(self) -> None:
        options, live = self.options, self.context.source.live
        self._output = self.context.output(options.path)
        self._at_once = options.appear == "at_once" or (options.appear == "auto" and live)
        self._path = self._output.path if self._at_once else self._output.part
        if options.thumbnails is not None:
            self._thumbnails = EventThumbnails(
                self.context, options.thumbnails, options.thumbnail_px, options.thumbnails_kept
            )
        if options.database is not None:
            self._rows = EventRows(self._output.path.parent / options.database, self.context.source.name, live)

    def close(self) -> None:
        if self._rows is not None:
            self._rows.close()

    def restore(self, snapshot: Mapping[str, Any]) -> None:
        if not self._at_once:
            self._output.take_back()
        self._lines = LineFile.resumed(self._path, snapshot["length"], in_place=self._at_once)
        running = [RunningEvent.from_json(values) for values in snapshot["open"]]
        self._running = {each.event.id: each for each in running}
        self._last_seconds, self._last_ns = snapshot["last_seconds"], snapshot["last_ns"]
        self._last_id = snapshot["last_id"]
        self._begun, self._unpublished = snapshot["untold_begun"], snapshot["untold"]
        if header := snapshot["header"]:
            self._header = Header.from_json(header)

    def snapshot(self) -> Mapping[str, Any] | None:
        if self._lines is None:
            return None
        return {
            "length": self._lines.length,
            "open": [event.to_json() for event in self._running.values()],
            "last_seconds": self._last_seconds,
            "last_ns": self._last_ns,
            "last_id": self._last_id,
            "untold_begun": self._begun,
            "untold": self._unpublished,
            "header": self._header and self._header.to_json(),
        }

    def process(self, message: Mask) -> Iterable[Message]:
        yield from self._told(message)
        if self._running:
            self._follow(message)
        else:
            yield from self._published()

    def recycled(self, message: Mask) -> Iterable[Message]:
        yield from self._told(message)
        if not self._running:
            yield from self._published()

    def _told(self, message: Mask) -> Iterable[Message]:
        """Take what a mask tells of events."""
        self._begun_log()
        yield from self._published()
        self._header = message.header
        seconds = message.header.pts_seconds
        self._last_seconds = self._last_seconds if seconds is None else seconds
        self._last_ns = message.header.arrival_ns
        for event in message.events:
            self._last_id = max(self._last_id, event.id)
            if event.end_seconds is None:
                self._running[event.id] = running = RunningEvent.begun(event, self._last_ns)
                self._begun.append(running.begin(self.context.source.name, self.context.source.live))
                if self._rows:
                    self._rows.put_begun(running, (message.frame.width, message.frame.height))
            else:
                self._write_ended(event)

    def gap(self, gap: Gap) -> Iterable[Message]:
        return self._published()

    def flush(self, end: EndOfStream) -> Iterable[Message]:
        log = self._begun_log()
        if end.reason == "failed":
            self._output.discard()  # lines that appeared at once may have been read already, and stay
            self._remove_thumbnails(0)
            self._end_rows(failed=True)
            return
        for running in self._running.values():
            moved_seconds = running.event.last_seconds
            end_seconds = min(moved_seconds + running.after_seconds, self._last_seconds)
            self._write(running, end_seconds, running.event.uncertain, cut_short=moved_seconds >= self._last_seconds)
        if self._at_once:
            with writing(self._output.part):
                log.path.touch()  # it may have been rotated away
                shutil.copyfile(log.path, self._output.part)
        self._output.finish()
        self._end_rows(failed=False)
        self._remove_thumbnails(self._last_id)
        yield from self._published()

    def _end_rows(self, failed: bool) -> None:
        if self._rows:
            self._rows.end(failed)

    def _begun_log(self) -> LineFile:
        if self._lines is None:
            self._lines = LineFile.extended(self._path) if self._at_once else LineFile.new(self._path)
            if self._rows:
                self._rows.begin()
        return self._lines

    def _published(self) -> Iterable[Message]:
        """Publish what was written, under the last mask's header.

        While another event runs this waits for the next message: that may be the end, which cuts the event short, and
        a header serves for one message only.
        """
        if self._header and (self._begun or self._unpublished):
            values = {"begun": self._begun, "events": self._unpublished, "folder": str(self._output.path.parent)}
            yield Data(self._header, "motion_events", values, once=True)
            self._begun, self._unpublished = [], []

    def _follow(self, message: Mask) -> None:
        """Keep end and peak of the running events: nobody else reports one that has not ended with the source."""
        moving = [found for found in message.objects if found.moves]
        place = largest_place(moving)
        mask = np.asarray(message.mask)
        area = float(np.count_nonzero(mask) / (message.frame.width * message.frame.height))
        cells = cells_in_motion(mask)
        ids = tuple(found.id for found in moving)
        stands = bool(message.objects) and not moving
        for running in self._running.values():
            if area > 0 and not stands:
                running.event = running.event.gone_on(self._last_seconds, area, ids, place, message.uncertain)
                running.measures.add(message, cells)
            if self._thumbnails and area > _LARGER * running.thumbnail_area:
                is_first, running.thumbnail_area = running.thumbnail is None, area
                running.thumbnail = running.thumbnail or self._thumbnails.name(running.event.id, running.begin_ns)
                self._thumbnails.write(running.thumbnail, message)
                if is_first and self._rows:
                    size = (message.frame.width, message.frame.height)
                    self._rows.put_begun(running, size, self._thumbnail_of(running))

    def _thumbnail_of(self, event: RunningEvent) -> str | None:
        """Path of an event's image, relative to the log."""
        if self._thumbnails is None or event.thumbnail is None:
            return None
        return os.path.relpath(self._thumbnails.path(event.thumbnail), self._output.path.parent)

    def _remove_thumbnails(self, last_id: int) -> None:
        """Remove those of a file that belong to no event of this run; a camera's stay."""
        if self._thumbnails and not self.context.source.live:
            self._thumbnails.keep_only(last_id)

    def _write_ended(self, event: MotionEvent) -> None:
        running = self._running.pop(event.id, None)
        ended = running.ended(event) if running else RunningEvent.only_ended(event, self._last_ns)
        end_seconds = self._last_seconds if event.end_seconds is None else event.end_seconds
        self._write(ended, end_seconds, event.uncertain, cut_short=False)

    def _write(self, ended: RunningEvent, end_seconds: float, uncertain: bool, cut_short: bool) -> None:
        live = self.context.source.live
        line = ended.line(self.context.source.name, live, end_seconds, uncertain, cut_short)
        if self._thumbnails:
            line["thumbnail"] = self._thumbnail_of(ended)
        if live:
            line["end_time"] = utc(self._last_ns)
        self._begun_log().append(json.dumps(line))
        if self._rows:
            self._rows.put_ended(ended, line)
        self._unpublished.append(line)
        self.context.count("events")

"""Writes events to the database beside the log."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from pipeline.errors import OutputError
from raftline.event_database import DatabaseError, Event, EventDatabase
from stages.event_log.running_event import RunningEvent


class EventRows:
    """The events of one source in a database. Raises `OutputError` where it cannot be written."""

    def __init__(self, path: Path, source: str, live: bool) -> None:
        """
        Args:
            path: of the database, which is made if it is not there.
            source: name of the source.
            live: whether it is a camera.
        """
        self._source, self._live = source, live
        with _told():
            path.parent.mkdir(parents=True, exist_ok=True)
            self._database = EventDatabase.open(path)

    def begin(self) -> None:
        """The source begins, and was not taken over from a worker that died."""
        with _told():
            self._database.begin_source(self._source, self._live)

    def put_begun(self, running: RunningEvent, size: tuple[int, int], thumbnail: str | None = None) -> None:
        """An event has begun, in a frame of this width and height; or has got its image."""
        event = self._event(running, running.begin(self._source, self._live), size)
        with _told():
            self._database.put(replace(event, thumbnail=thumbnail))

    def put_ended(self, running: RunningEvent, line: dict[str, Any]) -> None:
        """An event has ended, and `line` is what the log says of it."""
        begun = self._event(running, line, running.measures.size)
        values: dict[str, Any] = {
            **vars(begun),
            "until": begun.at + line["duration_seconds"],  # frames may arrive late, all at once
            "end_seconds": line["end_seconds"],
            "uncertain": bool(line["uncertain"]),
            "cut_short": line["cut_short"],
            "thumbnail": line.get("thumbnail"),
            "features": _features(running, line),
        }
        with _told():
            self._database.put(Event(**values))

    def end(self, failed: bool) -> None:
        """The source has ended. Of a file, what this run found stands in place of what an earlier one did."""
        if self._live:
            return
        with _told():
            if failed:
                self._database.fail_source(self._source)
            else:
                self._database.end_source(self._source)

    def close(self) -> None:
        """Close the database."""
        self._database.close()

    def _event(self, running: RunningEvent, line: dict[str, Any], size: tuple[int, int]) -> Event:
        event, measures = running.event, running.measures
        return Event(
            uid=line["uid"],
            source=self._source,
            live=self._live,
            at=running.begin_ns / 1e9 if self._live else event.begin_seconds,
            begin_seconds=event.begin_seconds,
            peak_seconds=event.peak_seconds,
            peak_area=event.peak_area,
            width=size[0],
            height=size[1],
            speed_px_s=measures.speed_px_s,
            direction_degrees=measures.direction_degrees,
            zones=measures.zones,
            path=event.path,
            cells=measures.cell_bytes,
        )


def _features(running: RunningEvent, line: dict[str, Any]) -> dict[str, Any]:
    measures = running.measures
    return {
        "duration_seconds": line["duration_seconds"],
        "frames": measures.frames,
        "objects": len(running.event.object_ids),
        "most_objects_at_once": measures.objects,
        "fastest_px_s": round(measures.fastest_px_s, 1),
        "largest_box_px": list(measures.box),
        "uncertain_frames": running.event.uncertain_frames,
    }


@contextmanager
def _told() -> Iterator[None]:
    try:
        yield
    except (DatabaseError, OSError) as error:
        raise OutputError(
            f"{error}; free some space, write elsewhere (-o DIR), or do without it (the option database: null)"
        ) from error

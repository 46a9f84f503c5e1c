"""Records what a camera sent, around its motion events, without encoding."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from typing import Any, Literal

from av.error import FFmpegError
from pydantic import Field, field_validator

from pipeline import stage
from pipeline.messages import EndOfStream, Gap, Mask, Message
from stages.recorder.camera_recording import CameraRecording
from stages.recorder.retention import Limits, Retention
from stages.shared.event_uid import event_uid
from stages.shared.name_templates import check_fields

_PACKETS = "packets"
"""Folder of the run in which the decoder keeps the packets."""
_FOR_EVER_NS = 1 << 62
_UNWRITTEN_NS = 1_500_000_000
"""A worker that is killed takes its last fragment with it, of a second. Chosen by hand."""
_LOOK_SECONDS = 600.0
"""Between two looks for clips that are too old, while nothing is recorded. Chosen by hand."""
_RETRY_SECONDS = 30.0
"""After a failure to write. Chosen by hand."""


class Recorder(stage.Stage):
    """Writes clips of a camera: MP4 files of the packets it sent, from before each event of motion until after it.

    Nothing is decoded or encoded. The pictures before an event come from the ring of packets that the decoder keeps
    (its option `packet_ring`), so `before_seconds` cannot be more than that holds. A clip begins at the keyframe
    before, and an edit list says where to begin to show it.

    While it is recorded, a clip is called ``NAME.growing.mp4`` and can be played: a power cut costs about a second.
    ``NAME.json`` beside it tells the source, begin and end by the wall clock, and the uids of its events, as in the
    event log. An empty file ``NAME.mp4.keep`` protects a clip from being deleted.

    Files, and cameras whose packets another machine decodes, are not recorded; the status says so.
    """

    class Options(stage.Options):
        folder: str = Field(
            "{source}.recordings", description="folder for the clips; {source} and {stage} are replaced by their names"
        )
        record: Literal["events", "always"] = Field(
            "events", description="events: a clip around each event of motion; always: everything, clip after clip"
        )
        before_seconds: float = Field(5.0, ge=0, description="time recorded before an event, in s")
        after_seconds: float = Field(5.0, ge=0, description="time recorded after an event, in s")
        longest_seconds: float = Field(
            300.0, ge=2, description="length of a clip, in s; at the next keyframe another one begins"
        )
        keep_days: float | None = Field(14.0, gt=0, description="age at which a clip is deleted, in days; null: never")
        keep_still_days: float | None = Field(
            None, ge=0, description="the same for clips without motion, with record: always; null: as keep_days"
        )
        keep_mb: float | None = Field(
            10_000.0, gt=0, description="most space for the clips of one camera, in MB; null: any"
        )
        least_free_mb: float = Field(
            2000.0, ge=0, description="space to leave free on the disk, in MB: for it the oldest clips are deleted"
        )

        @field_validator("folder")
        @classmethod
        def _is_a_folder_for_each(cls, folder: str) -> str:
            check_fields(folder, ("source", "stage"), "source", "sources would mix their clips; add {source}")
            return folder

    reads = (Mask,)
    takes_10_bits = True
    work = 0.1

    def __init__(self, options: Any, context: stage.Context) -> None:
        super().__init__(options, context)
        self._running: dict[int, str] = {}
        """Uid of each event that goes on, by its id."""
        self._events: list[str] = []
        """Uids of the events in the clip that is open."""
        self._until_ns = 0
        self._look_at = self._retry_at = 0.0
        self._recording: CameraRecording | None = None

    def open(self) -> None:
        options, context = self.options, self.context
        ring = context.run_folder(_PACKETS) if context.source.live else None
        if ring is None:
            context.status(recording="none: only cameras are recorded, by the machine that decodes them")
            return
        # One output stands for all: a camera's clips are too many to be listed in the run's summary.
        folder = context.output(f"{options.folder}/{{source}}.mp4").path.parent
        most_bytes = None if options.keep_mb is None else int(options.keep_mb * 1e6)
        limits = Limits(options.keep_days, options.keep_still_days, most_bytes, int(options.least_free_mb * 1e6))
        self._retention = Retention(folder, limits)
        self._recording = CameraRecording(context, ring, folder, options.longest_seconds)
        self._count("clips", self._recording.recover())

    def restore(self, snapshot: Mapping[str, Any]) -> None:
        self._running = {int(id): uid for id, uid in snapshot["running"].items()}
        self._events, self._until_ns = list(snapshot["events"]), snapshot["until_ns"]
        if self._recording is not None and snapshot["recorded_ns"] is not None:
            self._recording.begin(snapshot["recorded_ns"] - _UNWRITTEN_NS)

    def snapshot(self) -> Mapping[str, Any] | None:
        if self._recording is None:
            return None
        return {
            "running": self._running,
            "events": self._events,
            "until_ns": self._until_ns,
            "recorded_ns": self._recording.recorded_ns,
        }

    def process(self, message: Mask) -> Iterable[Message]:
        if self._recording is not None:
            self._follow(message)
            self._work(self._recording, message.header.arrival_ns)
        return ()

    def recycled(self, message: Mask) -> Iterable[Message]:
        return self.process(message)  # it looks at no pixels

    def gap(self, gap: Gap) -> Iterable[Message]:
        if self._recording is not None:
            self._work(self._recording, gap.header.arrival_ns)
        return ()

    def flush(self, end: EndOfStream) -> Iterable[Message]:
        if self._recording is not None:
            self._until_ns = _FOR_EVER_NS if self._wanted else self._until_ns
            self._running = {}
            self._work(self._recording, _FOR_EVER_NS, ended=True)
        return ()

    def close(self) -> None:
        if self._recording is not None:
            self._recording.abandon()

    def _follow(self, message: Mask) -> None:
        """Note which events begin and end."""
        header = message.header
        for event in message.events:
            seconds = event.begin_seconds if event.end_seconds is None else event.end_seconds
            ago = 0.0 if header.pts_seconds is None else max(0.0, header.pts_seconds - seconds)
            at_ns = header.arrival_ns - round(ago * 1e9)
            if event.end_seconds is None:
                self._begin(event.id, header.arrival_ns, at_ns)
            else:
                if event.id not in self._running:  # its begin came too late to this stage, and was dropped
                    before_ns = round((event.end_seconds - event.begin_seconds) * 1e9)
                    self._begin(event.id, header.arrival_ns, at_ns - before_ns)
                self._running.pop(event.id, None)
                self._until_ns = max(self._until_ns, at_ns + int(self.options.after_seconds * 1e9))

    def _begin(self, id: int, told_ns: int, at_ns: int) -> None:
        uid = event_uid(self.context.source.name, told_ns, id)
        self._running[id] = uid
        self._events.append(uid)
        self._until_ns = max(self._until_ns, at_ns)
        if self._recording is not None and not self._recording.recording:
            self._start(self._recording, at_ns - int(self.options.before_seconds * 1e9))

    def _start(self, recording: CameraRecording, from_ns: int) -> None:
        if time.monotonic() < self._retry_at:
            return
        if not self._retention.has_room():
            self._delete_old()
        if self._retention.has_room():
            recording.begin(from_ns)
            self.context.status(recording="yes")
        else:
            self._fail(f"less than {self.options.least_free_mb:g} MB (least_free_mb) are free on the disk")

    @property
    def _wanted(self) -> bool:
        """Whether whatever comes is to be recorded."""
        return self.options.record == "always" or bool(self._running)

    def _work(self, recording: CameraRecording, now_ns: int, ended: bool = False) -> None:
        """Copy what has come, and end the clip if it is time."""
        wanted = self._wanted and not ended
        try:
            if wanted and not recording.recording:
                self._start(recording, now_ns)
            finished = recording.copy(_FOR_EVER_NS if wanted else self._until_ns, tuple(self._events))
            if not wanted and recording.recording and (ended or now_ns > self._until_ns):
                finished += recording.end()
                self._events = []
            if finished:
                self._events = [uid for uid in self._events if uid in self._running.values()]
                self._count("clips", finished)
        except (OSError, FFmpegError) as error:
            recording.abandon()
            self._fail(getattr(error, "strerror", None) or str(error))
        if time.monotonic() > self._look_at:
            self._delete_old()

    def _fail(self, why: str) -> None:
        self._retry_at = time.monotonic() + _RETRY_SECONDS
        self._events = list(self._running.values())
        self.context.log.warning("%s: nothing is recorded: %s", self.context.source.display, why)
        self.context.status(recording=f"no: {why}")
        self.context.count("recording_failures")

    def _count(self, name: str, by: int) -> None:
        if by:
            self.context.count(name, by)
            self._delete_old()

    def _delete_old(self) -> None:
        self._look_at = time.monotonic() + _LOOK_SECONDS
        deleted = self._retention.apply()
        if deleted:
            self.context.count("clips_deleted", deleted)

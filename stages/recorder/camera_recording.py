"""The clips of one camera: from its packets, which a ring keeps, to files."""

from __future__ import annotations

import contextlib
import itertools
import os
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

from av.error import FFmpegError, InvalidDataError

from pipeline.stage import Context
from raftline.packet_ring import Packet, RingReader
from stages.recorder.finished_clip import finish_clip
from stages.recorder.growing_clip import SUFFIX, GrowingClip, is_recordable
from stages.recorder.record_file import Record, clip_name, growing


@dataclass
class _Open:
    """The clip that is recorded."""

    clip: GrowingClip
    path: Path
    """Of the finished file."""
    record: Record
    begun: bool = False
    """Its first picture to show has come."""


class CameraRecording:
    """Copies what the ring holds from one moment to another into clips.

    Raises OSError or `av.error.FFmpegError` where a file cannot be written.
    """

    def __init__(self, context: Context, ring: Path, folder: Path, longest_seconds: float) -> None:
        """
        Args:
            context: of the stage.
            ring: folder of the camera's packets.
            folder: of the clips.
            longest_seconds: of one clip; a longer one goes on in the next.
        """
        self._context, self._ring, self._folder, self._longest_seconds = context, ring, folder, longest_seconds
        self._reader = RingReader(ring)
        self._open: _Open | None = None
        self._from_ns: int | None = None

    @property
    def recording(self) -> bool:
        """Whether it was told to `begin`, and not to end since."""
        return self._from_ns is not None

    @property
    def recorded_ns(self) -> int | None:
        """Arrival of the last packet in the clip that is open."""
        return self._open.clip.last_ns if self._open else None

    def begin(self, from_ns: int) -> None:
        """Record what came from `from_ns` on (wall clock, ns since 1970), as far back as the ring reaches."""
        self._from_ns = from_ns
        self._reader.seek(from_ns)

    def copy(self, until_ns: int, events: tuple[str, ...]) -> int:
        """Copy what has come, up to a moment. `events` are in the clip. Returns how many clips that finished."""
        finished = 0
        while self._from_ns is not None and (records := self._reader.read()):
            for record in records:
                if isinstance(record, Packet) and record.arrival_ns <= until_ns:
                    finished += self._add(record)
        if self._open is not None and self._open.record.events != events:
            self._open.record = replace(self._open.record, events=events)
            self._open.record.write(self._open.path)
        return finished

    def abandon(self) -> None:
        """Stop at once: the disk is full, or gone. What is in the file is finished by `recover`."""
        open, self._open, self._from_ns = self._open, None, None
        self._reader.close()
        if open is not None:
            with contextlib.suppress(OSError, FFmpegError):
                open.clip.close()

    def end(self) -> int:
        """End the clip. Returns 1 if there was one."""
        self._from_ns = None
        self._reader.close()
        return self._finish()

    def recover(self) -> int:
        """Finish the clips that a run left that was killed. Returns how many."""
        left = [path for path in self._folder.glob(f"*{SUFFIX}") if self._open is None or path != self._open.clip.path]
        recovered = 0
        for path in left:
            finished = path.with_name(path.name[: -len(SUFFIX)] + ".mp4")
            try:
                recovered += self._finish_file(Record.read(finished), finished)
            except (OSError, ValueError, FFmpegError, IndexError):  # not even one fragment was whole
                for each in (path, _part(finished), finished.with_suffix(".json")):
                    each.unlink(missing_ok=True)
        return recovered

    def _add(self, packet: Packet) -> int:
        finished = 0
        if self._open is not None and self._must_change(self._open, packet):
            self._from_ns = max(self._from_ns or 0, self._open.clip.last_ns + 1)
            finished = self._finish()
        if self._open is None:
            self._open = self._new(packet) if packet.is_keyframe else None
        open = self._open
        if open is None:
            return finished
        at = open.clip.add(packet)
        if not open.begun and packet.arrival_ns >= (self._from_ns or 0):
            open.begun = True
            open.record = replace(open.record, begin_seconds=float(at), begin_ns=packet.arrival_ns)
            open.record.write(open.path)
        return finished

    def _must_change(self, open: _Open, packet: Packet) -> bool:
        """Whether the packet belongs into another file: of another connection, or since this one is long enough."""
        long = packet.arrival_ns - open.clip.first_ns >= self._longest_seconds * 1e9
        return packet.stream != open.clip.stream or (long and packet.is_keyframe)

    def _new(self, keyframe: Packet) -> _Open | None:
        """The clip that begins with a keyframe; None if it cannot be recorded."""
        stream, source = keyframe.stream, self._context.source.name
        if not is_recordable(stream.codec):
            self._context.status(recording=f"not possible: an MP4 holds no {stream.codec}")
            return None
        path = self._free(clip_name(source, max(keyframe.arrival_ns, self._from_ns or 0)))
        try:
            clip = GrowingClip(growing(path), keyframe)
        except (InvalidDataError, IndexError):  # a damaged picture; the next one will do
            growing(path).unlink(missing_ok=True)
            return None
        record = Record(source, keyframe.arrival_ns, 0.0, stream.codec, stream.width, stream.height)
        record.write(path)
        return _Open(clip, path, record)

    def _free(self, name: str) -> Path:
        """A clip's file, under the first name that is free."""
        self._folder.mkdir(parents=True, exist_ok=True)
        path = self._folder / name
        for number in itertools.count(2):
            if not path.exists() and not growing(path).exists():
                break
            path = self._folder / f"{name.removesuffix('.mp4')}_{number}.mp4"
        return path

    def _finish(self) -> int:
        if self._open is None:
            return 0
        open, self._open = self._open, None
        open.clip.close()
        return self._finish_file(replace(open.record, end_ns=open.clip.last_ns), open.path)

    def _finish_file(self, record: Record, path: Path) -> int:
        file, part = growing(path), _part(path)
        seconds = finish_clip(file, part, Fraction(record.begin_seconds))
        end_ns = record.end_ns or record.begin_ns + int(seconds * 1e9)
        replace(record, end_ns=end_ns).write(path)
        os.replace(part, path)
        with contextlib.suppress(OSError):
            file.unlink()
        return 1


def _part(path: Path) -> Path:
    return path.with_name(path.name + ".part")

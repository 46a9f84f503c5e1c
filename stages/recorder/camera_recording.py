"""The clips of one camera: from its packets, which a ring keeps, to files."""

from __future__ import annotations

import contextlib
import itertools
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

from av.error import FFmpegError, InvalidDataError

from pipeline.stage import Context, Output
from raftline.packet_ring import Packet, RingReader
from stages.recorder.finished_clip import finish_clip
from stages.recorder.growing_clip import SUFFIX, GrowingClip, is_recordable
from stages.recorder.record_file import Record, clip_name, growing


@dataclass
class _Open:
    """The clip that is recorded."""

    clip: GrowingClip
    output: Output
    record: Record
    begun: bool = False
    """Its first picture to show has come."""


class CameraRecording:
    """Copies what the ring holds from one moment to another into clips.

    Raises OSError or `av.error.FFmpegError` where a file cannot be written.
    """

    def __init__(self, context: Context, ring: Path, folder: str, longest_seconds: float) -> None:
        """
        Args:
            context: of the stage.
            ring: folder of the camera's packets.
            folder: template of the clips' folder.
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
            self._open.record.write(self._open.output.path)
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

    def recover(self, folder: Path) -> int:
        """Finish the clips that a run left that was killed. Returns how many."""
        left = [path for path in folder.glob(f"*{SUFFIX}") if self._open is None or path != self._open.clip.path]
        recovered = 0
        for path in left:
            output = self._context.output(f"{self._folder}/{_template(path.name[: -len(SUFFIX)])}.mp4")
            try:
                recovered += self._finish_file(Record.read(output.path), output)
            except (OSError, ValueError, FFmpegError, IndexError):  # not even one fragment was whole
                for each in (path, output.part, output.path.with_suffix(".json")):
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
            open.record.write(open.output.path)
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
        output = self._output(clip_name("{source}", max(keyframe.arrival_ns, self._from_ns or 0)))
        try:
            clip = GrowingClip(growing(output.path), keyframe)
        except (InvalidDataError, IndexError):  # a damaged picture; the next one will do
            growing(output.path).unlink(missing_ok=True)
            return None
        record = Record(source, keyframe.arrival_ns, 0.0, stream.codec, stream.width, stream.height)
        record.write(output.path)
        return _Open(clip, output, record)

    def _output(self, name: str) -> Output:
        """A clip's file, under the first name that is free."""
        stem = name.removesuffix(".mp4")
        for number in itertools.count(1):
            output = self._context.output(f"{self._folder}/{stem}{f'_{number}' if number > 1 else ''}.mp4")
            if not output.path.exists() and not growing(output.path).exists():
                break
        return output

    def _finish(self) -> int:
        if self._open is None:
            return 0
        open, self._open = self._open, None
        open.clip.close()
        return self._finish_file(replace(open.record, end_ns=open.clip.last_ns), open.output)

    def _finish_file(self, record: Record, output: Output) -> int:
        file = growing(output.path)
        seconds = finish_clip(file, output.part, Fraction(record.begin_seconds))
        end_ns = record.end_ns or record.begin_ns + int(seconds * 1e9)
        replace(record, end_ns=end_ns).write(output.path)
        output.finish()
        with contextlib.suppress(OSError):
            file.unlink()
        return 1


def _template(text: str) -> str:
    """A name as a template of itself."""
    return text.replace("{", "{{").replace("}", "}}")

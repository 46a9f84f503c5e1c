"""From packets to decoded frames, past damage.

A packet that cannot be decoded is counted (``corrupt_packets``) and skipped. A packet of which the container holds only
a part is counted (``incomplete_packets``) and decoded as far as possible. A container that fails before its end is
counted (``truncated``) and ends like any other.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import av
import av.error
from av.container import InputContainer
from av.video.stream import VideoStream

from stages.decoder.containers import POLL_SECONDS, Limits, SourceSilent

_BROKEN_READS = 32
"""Consecutive reads that may fail before a container counts as truncated. Chosen by hand."""


class PacketReader:
    """Decodes one video stream of one container, to its end or the point where it is cut off."""

    def __init__(
        self,
        container: InputContainer,
        stream: VideoStream,
        limits: Limits,
        count: Callable[[str], None],
        display: str,
        threads: int = 0,
        frame_threads: bool = True,
        on_packet: Callable[[av.Packet[Any]], None] = lambda packet: None,
    ) -> None:
        """
        Args:
            threads: 0 for one per core.
            frame_threads: decode several frames at once, which adds delay; else only the slices of one.
            on_packet: called with each packet before it is decoded.
        """
        self._container = container
        self._stream = stream
        self._limits = limits
        self._count = count
        self._display = display
        self._frame_threads = frame_threads
        self._on_packet = on_packet
        self._context: Any = stream.codec_context
        self._context.thread_type = "AUTO" if frame_threads else "SLICE"
        self._context.thread_count = threads
        self._context.options = {**(self._context.options or {}), **limits.options}
        self.lost_in_flight = False
        """Whether frames after a damaged packet at the very end were lost. Happens with frame threads only.

        PyAV drops what a decoder still holds when flushing it raises an error.
        """
        self.truncated = False
        """Whether the container failed before its end."""
        self._owed = 0
        """Packets whose frames should be shown, less frames and errors so far."""
        self._last_owed_pts: int | None = None
        self._last_pts: int | None = None

    def frames(
        self, silence_seconds: float | None = None, stopped: Callable[[], bool] = lambda: False
    ) -> Iterator[av.VideoFrame]:
        """Frames in order of presentation.

        Args:
            silence_seconds: how long a camera may send nothing; None for files.
            stopped: called between reads; true ends the iteration at once.

        Raises:
            InputError: a frame is larger than the limit.
            SourceSilent: nothing arrived for `silence_seconds`.
        """
        for packet in self._read(silence_seconds, stopped):
            if packet.size:
                self._on_packet(packet)
                self._expect(packet)
                if packet.is_corrupt:
                    self._count("incomplete_packets")
                yield from self._decode(packet)
            elif packet.dts is None:  # PyAV's last packet. An empty packet in the file would end the decoder too.
                yield from self._flush(packet)

    def _read(self, silence_seconds: float | None, stopped: Callable[[], bool]) -> Iterator[av.Packet[Any]]:
        packets = self._container.demux(self._stream)
        failures = 0
        heard = time.monotonic()
        while not stopped():
            asked = time.monotonic()
            try:
                packet = next(packets)
            except StopIteration:
                return
            except av.error.ExitError:  # The poll of a camera timed out; its connection is intact.
                if _is_silent(heard, silence_seconds):
                    raise SourceSilent(f"nothing arrived for {silence_seconds:g} s") from None
                packets = self._container.demux(self._stream)
                continue
            except av.error.FFmpegError:
                failures += 1
                if silence_seconds is not None or failures > _BROKEN_READS:
                    self._count("truncated")
                    self.truncated = True
                    return
                packets = self._container.demux(self._stream)
                continue
            failures = 0
            now = time.monotonic()
            if silence_seconds is None or now - asked < POLL_SECONDS:  # else it was cut short, and FFmpeg held this
                heard = now
            silent = _is_silent(heard, silence_seconds)
            yield packet
            if silent:
                raise SourceSilent(f"nothing arrived for {silence_seconds:g} s")

    def _decode(self, packet: av.Packet[Any]) -> list[Any]:
        try:
            frames = packet.decode()
        except av.error.FFmpegError:
            self._limits.check(self._context.width, self._context.height, self._display)
            self._owed -= 1
            self._count("corrupt_packets")
            return []
        return self._checked(frames)

    def _flush(self, packet: av.Packet[Any]) -> list[Any]:
        """The frames the decoder still holds. Damage met here is counted in the second decoding that follows."""
        try:
            frames = self._checked(packet.decode())
        except av.error.FFmpegError:
            frames = []
            self.lost_in_flight = self._frame_threads
        if self._frame_threads and self._lacks_its_end():
            self.lost_in_flight = True
        return frames

    def _expect(self, packet: av.Packet[Any]) -> None:
        """Note that a frame should come of the packet, unless an edit list leaves it out."""
        if packet.is_discard:
            return
        self._owed += 1
        if packet.pts is not None:
            self._last_owed_pts = max(
                packet.pts, self._last_owed_pts if self._last_owed_pts is not None else packet.pts
            )

    def _lacks_its_end(self) -> bool:
        """Whether frames are missing, and the last one is.

        Frames that are missing elsewhere were never there to be shown: of a file that was cut without encoding it anew,
        a decoder leaves out those that refer to what was cut off, and VP8 has packets that show nothing.
        """
        if self._last_owed_pts is None or self._last_pts is None:
            return self._owed > 0 and self._context.name != "vp8"
        return self._owed > 0 and self._last_pts < self._last_owed_pts

    def _checked(self, frames: list[Any]) -> list[Any]:
        for frame in frames:
            self._limits.check(frame.width, frame.height, self._display)
            self._last_pts = _later(self._last_pts, frame.pts)
        self._owed -= len(frames)
        return frames


def _is_silent(heard: float, silence_seconds: float | None) -> bool:
    return silence_seconds is not None and time.monotonic() - heard > silence_seconds


def _later(pts: int | None, other: int | None) -> int | None:
    return max((each for each in (pts, other) if each is not None), default=None)

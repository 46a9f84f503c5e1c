"""A clip while it is recorded: fragments of a second, so that it can be played at any time, and after a power cut."""

from __future__ import annotations

import io
import os
from fractions import Fraction
from pathlib import Path
from typing import Any

import av

from raftline.packet_ring import ContainerTimes, Packet, Stream

SUFFIX = ".growing.mp4"
_FRAGMENT_SECONDS = 1.0
"""What a power cut costs. Chosen by hand."""
_FORMATS = {"h264": "h264", "hevc": "hevc", "mjpeg": "mjpeg", "mpeg4": "m4v"}
"""FFmpeg's demuxers of bare packets, by codec."""
_TAGS = {"hevc": "hvc1"}
"""Names of codecs in MP4, where FFmpeg's own choice is one that browsers and Apple do not play."""


class GrowingClip:
    """Writes the packets of one connection to a fragmented MP4, as they are.

    Raises OSError or `av.error.FFmpegError` where that fails.
    """

    def __init__(self, path: Path, keyframe: Packet) -> None:
        """
        Args:
            path: of the file.
            keyframe: the first packet, which is not written yet.
        """
        self.path = path
        self.stream = keyframe.stream
        self.first_ns = self.last_ns = keyframe.arrival_ns
        """Arrival of the first and the last packet."""
        self._times = ContainerTimes(self.stream.time_base)
        self._synced_ns = keyframe.arrival_ns
        self._file = io.FileIO(path, "w")
        try:
            self._container: Any = av.open(self._file, "w", format="mp4", options=_options())
            self._track: Any = self._container.add_stream_from_template(track_of(self.stream, keyframe.data))
            self._track.time_base = self.stream.time_base
            if self.stream.codec in _TAGS:
                self._track.codec_tag = _TAGS[self.stream.codec]
        except BaseException:
            self._file.close()
            raise

    def add(self, packet: Packet) -> Fraction:
        """Write a packet. Returns its presentation time, in s from the beginning of the file."""
        pts, dts = self._times.place(packet)
        written: Any = av.Packet(packet.data)
        written.pts, written.dts, written.time_base = pts, dts, self.stream.time_base
        written.stream, written.is_keyframe = self._track, packet.is_keyframe
        self._container.mux(written)
        self.last_ns = packet.arrival_ns
        if self.last_ns - self._synced_ns > _FRAGMENT_SECONDS * 1e9:
            self._synced_ns = self.last_ns
            os.fdatasync(self._file.fileno())
        return pts * self.stream.time_base

    def close(self) -> None:
        """End the file."""
        try:
            self._container.close()
        finally:
            self._file.close()


def is_recordable(codec: str) -> bool:
    """Whether packets of this codec go into a clip."""
    return codec in _FORMATS


def track_of(stream: Stream, keyframe: bytes) -> Any:
    """A stream of FFmpeg's that describes a ring's packets.

    Raises:
        av.error.InvalidDataError, IndexError: the packet is damaged.
    """
    sets = b"" if keyframe.startswith(stream.extradata) else stream.extradata
    return av.open(io.BytesIO(sets + keyframe), format=_FORMATS[stream.codec]).streams.video[0]


def _options() -> dict[str, str]:
    microseconds = str(int(_FRAGMENT_SECONDS * 1e6))
    return {"movflags": "empty_moov+default_base_moof", "frag_duration": microseconds, "flush_packets": "1"}

"""Keeps the packets of a camera as it sent them, beside the decoder."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Any

import av
from av.bitstream import BitStreamFilterContext
from av.error import FFmpegError
from av.video.stream import VideoStream
from pydantic import Field

from pipeline.messages import Frame, Gap
from pipeline.stage import Context, Options
from raftline.packet_ring import PacketRing, Stream
from raftline.packet_ring.parameter_sets import is_annex_b

FOLDER = "packets"
"""Of `pipeline.stage.Context.run_folder`; what shows or records a camera reads it."""
_RAW = frozenset(("rawvideo", "wrapped_avframe", "v210"))
"""Codecs that do not compress: a webcam's pixels would fill the ring within a second."""
_WITH_LENGTHS = frozenset(("h264", "hevc"))
"""Codecs whose units have start codes in some containers, and their length in others."""
_MOST_EARLY = 64
"""Packets that may come before the first frame tells its size. Chosen by hand."""


class PacketRingOptions(Options):
    """How many of a camera's packets to keep."""

    seconds: float = Field(default=30.0, ge=0, description="time that is kept, in s; 0: keep no packets")
    max_mb: int = Field(default=64, ge=1, description="most memory for it, in MB per camera; it limits the time")


class PacketTap:
    """Writes the packets of one camera into its ring, and what frame each became."""

    def __init__(self, ring: PacketRing, log: logging.Logger, count: Callable[[str, int], None]) -> None:
        self._ring, self._log, self._count = ring, log, count
        self._connection: VideoStream | None = None
        self._begun = False
        self._early: list[tuple[int, av.Packet[Any]]] = []
        self._to_start_codes: BitStreamFilterContext | None = None
        self._lost = 0

    @classmethod
    def of(cls, options: PacketRingOptions, context: Context) -> PacketTap | None:
        """The tap of a source; None if its packets are not kept."""
        most_bytes = options.max_mb * 1_000_000
        folder = context.run_folder(FOLDER, most_bytes) if options.seconds else None
        if folder is None:
            return None
        return cls(PacketRing(folder, options.seconds, most_bytes), context.log, context.count)

    def connect(self, connection: VideoStream) -> None:
        """The packets of a new connection follow."""
        raw = connection.codec_context.name in _RAW
        self._connection, self._begun, self._early = (None if raw else connection), False, []

    def packet(self, packet: av.Packet[Any]) -> None:
        """Keep a packet."""
        if self._connection is None:
            return
        now_ns = time.time_ns()
        if self._begun:
            self._keep(now_ns, packet)
            return
        self._early = [*self._early[-_MOST_EARLY:], (now_ns, packet)]
        self._begin(self._connection)

    def shown(self, frame: av.VideoFrame, message: Frame | Gap) -> None:
        """Note which message a frame became."""
        pts, units = frame.pts, frame.time_base
        connection = self._connection
        if connection is not None and not self._begun:
            self._begin(connection)
        if not (self._begun and connection and isinstance(message, Frame)) or message.header.pts is None:
            return
        if pts is not None and units is not None and connection.time_base is not None and units != connection.time_base:
            pts = round(pts * units / connection.time_base)
        self._ring.shown(pts, message.index, message.header.pts, message.header.time_base)

    def close(self) -> None:
        """Close the ring's file; the packets stay for their readers."""
        self._ring.close()

    def _begin(self, connection: VideoStream) -> None:
        """Write what came so far, if the size is known: some cameras tell it with the first frame alone."""
        context, time_base = connection.codec_context, connection.time_base
        if not (context.width and time_base and self._early):
            return
        extradata = bytes(context.extradata or b"")
        self._to_start_codes = None
        if context.name in _WITH_LENGTHS and not is_annex_b(extradata):  # from FLV or MP4; RTSP has start codes
            self._to_start_codes = BitStreamFilterContext(f"{context.name}_mp4toannexb", connection)
            extradata = b""  # each keyframe brings its parameter sets now
        self._ring.begin(Stream(context.name, extradata, context.width, context.height, time_base, self._early[0][0]))
        for arrival_ns, packet in self._early:
            self._keep(arrival_ns, packet)
        self._begun, self._early = True, []

    def _keep(self, arrival_ns: int, packet: av.Packet[Any]) -> None:
        for each in [packet] if self._to_start_codes is None else self._with_start_codes(packet):
            self._ring.packet(each.pts, each.dts, arrival_ns, each.is_keyframe, bytes(each))
        if self._ring.lost > self._lost:
            if not self._lost:
                self._log.warning("there is no room for the packets of the camera: recordings and live views lack some")
            self._count("packets_not_kept", self._ring.lost - self._lost)
            self._lost = self._ring.lost

    def _with_start_codes(self, packet: av.Packet[Any]) -> list[Any]:
        """The packet for a ring, which has one form of units alone; empty where it is damaged."""
        assert self._to_start_codes is not None
        copy = av.Packet(bytes(packet))  # the filter takes what it is given, and the decoder needs it, too
        copy.pts, copy.dts, copy.time_base, copy.is_keyframe = (
            packet.pts,
            packet.dts,
            packet.time_base,
            packet.is_keyframe,
        )
        try:
            return list(self._to_start_codes.filter(copy))
        except FFmpegError:
            return []

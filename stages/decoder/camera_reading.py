"""The messages of a camera: its frames, and a gap wherever they do not continue those before."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from fractions import Fraction

import av

from pipeline.messages import Frame, Gap, Header
from pipeline.stage import Context
from stages.decoder.camera_times import CameraTimes
from stages.decoder.cameras import Camera, CameraSettings, Reconnected, webcam_options
from stages.decoder.containers import Limits
from stages.decoder.frame_messages import FrameMessages
from stages.decoder.hardware import VideoHardware
from stages.decoder.inputs import RTSP, kind_of
from stages.decoder.options import DecoderOptions
from stages.decoder.packet_tap import PacketTap
from stages.decoder.timestamps import PresentationTimes

_LOST_SECONDS = 1
"""Leaps in a camera's time up to this length are not reported as lost frames. Chosen by hand."""
_LOST_STEPS = 5
"""Nor are leaps of up to this many usual steps, for cameras with few frames per second. Chosen by hand."""


class CameraReading:
    """Reads a camera for as long as it is not stopped."""

    def __init__(
        self,
        context: Context,
        options: DecoderOptions,
        messages: FrameMessages,
        stopped: threading.Event,
        delivered: Header | None,
    ) -> None:
        """`delivered`: header of the last frame before a restart."""
        self._context, self._messages, self._delivered = context, messages, delivered
        self._tap = PacketTap.of(options.packet_ring, context)
        settings = camera_settings(options, context)
        self._camera = Camera(settings, stopped, context.log, messages.count, context.status, self._tap)

    def read(self) -> Iterator[Frame | Gap]:
        """Raises `InputError` as `Camera.frames`."""
        messages, camera, tap = self._messages, self._camera, self._tap
        times: CameraTimes | None = None
        gap: Reconnected | None = None
        if messages.index:
            times, gap = self._times_before_restart()
        for frame in camera.frames():
            if isinstance(frame, Reconnected):
                gap = frame
                continue
            if times is None:
                times = camera.times(frame.time_base)
            if gap is not None:
                times.resume(gap.gap_seconds)
                yield self._gap(gap, times.time_base)
                gap = None
                messages.forget_size()
            yield from self._lost_frames(frame, times)
            for message in messages.of(frame, times, camera.ntp_ns(frame)):
                if tap is not None:
                    tap.shown(frame, message)
                yield message

    def close(self) -> None:
        """Close the connection, and what keeps its packets."""
        self._camera.close()
        if self._tap is not None:
            self._tap.close()

    def _times_before_restart(self) -> tuple[CameraTimes | None, Reconnected]:
        last = self._delivered
        if last is None or last.pts is None:
            return None, Reconnected(0.0, "")
        times = self._camera.times(last.time_base)
        times.last = round(last.pts * last.time_base / times.time_base)
        return times, Reconnected(max(0.0, (time.time_ns() - last.arrival_ns) / 1e9), "")

    def _gap(self, gap: Reconnected, time_base: Fraction) -> Gap:
        header = self._context.header(None, time_base)
        if gap.detail:
            return Gap(header, "reconnect", gap.detail, gap.gap_seconds)
        return Gap(header, "restart", "the decoder was restarted")

    def _lost_frames(self, frame: av.VideoFrame, times: PresentationTimes) -> Iterator[Gap]:
        """A gap where a camera's clock leaps forward: the frames between never arrived."""
        leap = times.leap(frame.pts, frame.time_base)
        if leap > max(_LOST_SECONDS, _LOST_STEPS * times.step * times.time_base):
            self._messages.count("lost_frames")
            header = self._context.header(None, times.time_base)
            yield Gap(header, "lost_frames", f"{float(leap):.1f} s without a frame", float(leap))


def camera_settings(options: DecoderOptions, context: Context) -> CameraSettings:
    """How the options say that a camera is to be reached."""
    return CameraSettings(
        address=context.source.input,
        display=context.source.display,
        limits=Limits(*options.max_size),
        transport=options.transport,
        ca_file=options.tls_ca,
        webcam=webcam_options(options.webcam_size, options.webcam_fps, options.webcam_format),
        threads=options.threads or context.threads,
        connect_timeout_seconds=options.connect_timeout_seconds,
        read_timeout_seconds=options.read_timeout_seconds,
        first_connection_seconds=options.first_connection_seconds if context.source.once else None,
        reconnect_max_seconds=options.reconnect_max_seconds,
        deinterlace=options.deinterlace == "auto",
        hardware=VideoHardware(options.hwaccel, context) if kind_of(context.source.input) is RTSP else None,
    )

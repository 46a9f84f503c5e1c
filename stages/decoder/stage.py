"""Decoder: files, folders of images, RTSP cameras and webcams become frames."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal

import av
from pydantic import Field

from pipeline.errors import InputError
from pipeline.input_paths import local_path, scheme_of
from pipeline.messages import Frame, Gap
from pipeline.stage import Context, Options, Source
from stages.decoder.camera_times import CameraTimes
from stages.decoder.cameras import Camera, CameraSettings, Reconnected, webcam_options
from stages.decoder.containers import Limits, check_file, open_file, stream_to_decode
from stages.decoder.frame_messages import FrameMessages
from stages.decoder.images import list_images, read_image
from stages.decoder.interlacing import Deinterlacer
from stages.decoder.packet_tap import PacketRingOptions, PacketTap
from stages.decoder.packets import PacketReader
from stages.decoder.suffixes import left_out
from stages.decoder.timestamps import PresentationTimes
from stages.shared.frame_rate import exact_rate

_LOST_SECONDS = 1
"""Leaps in a camera's time up to this length are not reported as lost frames. Chosen by hand."""
_LOST_STEPS = 5
"""Nor are leaps of up to this many usual steps, for cameras with few frames per second. Chosen by hand."""
_RTP_CLOCK_HZ = 90_000
"""Of video in MPEG transport streams and RTP (RFC 3551, section 5), for streams that tell no time base."""


class Decoder(Source):
    """Decodes a video file, a folder of images, an ``rtsp://`` camera or a webcam (``/dev/video0``).

    Frames come upright, with the color matrix, the range and the time stamps of the container. Time stamps that do
    not grow are repaired and counted. ``docs/conventions.md`` has the details.
    """

    class Options(Options):
        max_size: tuple[int, int] = Field(
            (8192, 8192),
            description="largest frame accepted, [width, height] in px; checked before memory is allocated",
        )
        threads: int = Field(
            0, ge=0, le=64, description="number of decoding threads; 0: the stage's share of the cores"
        )
        video_stream: int | None = Field(
            None, ge=0, description="which video stream of a file to decode, counted from 0; null: the best one"
        )
        deinterlace: Literal["auto", "off"] = Field(
            "auto",
            description="auto: make whole frames of interlaced ones (bwdif), if the stream or a file's frames tell "
            "that they are; off: take frames as they are",
        )
        bit_depth: Literal[8, 10] = Field(
            10,
            description="most bits per sample. 10: video of more than 8 bits keeps 10; 8: half the memory, for when "
            "only motion matters",
        )
        fps: float = Field(25.0, gt=0, le=1000, description="frame rate of a folder of images, in frames per second")
        transport: Literal["auto", "tcp", "udp", "udp_multicast"] = Field(
            "auto",
            description="transport of RTSP cameras; auto: tcp, and udp where the camera refuses that; "
            "udp: less delay, but packets may get lost",
        )
        connect_timeout_seconds: float = Field(
            10.0, gt=0, description="longest time one attempt to connect to a camera may take, in seconds"
        )
        read_timeout_seconds: float = Field(
            10.0, gt=0, description="reconnect to a camera that has sent nothing for this long, in seconds"
        )
        first_connection_seconds: float = Field(
            30.0,
            ge=0,
            description="how long to keep trying to reach a camera at the start, in seconds, where the run says once: "
            "true; else a camera is tried for ever",
        )
        reconnect_max_seconds: float = Field(
            30.0,
            gt=0,
            description="longest pause between two attempts to connect to a camera, in seconds; ten minutes where it "
            "refuses the user or the password",
        )
        packet_ring: PacketRingOptions = Field(
            PacketRingOptions(),
            description="cameras only: how many of the packets that the camera sent are kept beside the decoder, for "
            "the live view and for recordings; keys: seconds, max_mb",
        )
        webcam_size: tuple[int, int] | None = Field(
            None, description="frame size to request from a webcam, [width, height] in px; null: its default"
        )
        webcam_fps: float | None = Field(
            None, gt=0, description="frame rate to request from a webcam, in frames per second; null: its default"
        )
        webcam_format: str | None = Field(
            None,
            pattern="^[a-z0-9_]+$",
            description="pixel format or codec to request from a webcam, such as mjpeg; null: its default",
        )

    def __init__(self, options: Any, context: Context) -> None:
        super().__init__(options, context)
        self._display = context.source.display
        self._limits = Limits(*options.max_size)
        self._hint = (
            f"they may be damaged, or larger than {options.max_size[0]}x{options.max_size[1]} px (option max_size)"
        )
        self._threads = options.threads or context.threads
        self._stopped = threading.Event()
        self._messages = FrameMessages(context, 0, most_bits=options.bit_depth)
        self._container: Any = None
        self._tap: PacketTap | None = None
        self._frame_count: int | None = None

    @classmethod
    def is_live(cls, input: str) -> bool:
        return re.match(r"(?i)rtsps?://", input) is not None or re.match(r"/dev/video\d+$", input) is not None

    @classmethod
    def check_input(cls, input: str, display: str) -> None:
        if cls.is_live(input):
            return
        path = _path(input, display)
        if not path.is_dir():
            check_file(path, display)

    @classmethod
    def left_out(cls, path: str) -> str | None:
        return left_out(path)

    def read(self, start_index: int) -> Iterator[Frame | Gap]:
        input = self.context.source.input
        if self.is_live(input):
            self._messages = FrameMessages(self.context, start_index, start_index, self.options.bit_depth)
            return self._read_camera()
        self._messages = FrameMessages(self.context, start_index, most_bits=self.options.bit_depth)
        path = _path(input, self._display)
        return self._read_folder(path) if path.is_dir() else self._read_file(path)

    def frame_count(self) -> int | None:
        return self._frame_count

    def stop(self) -> None:
        self._stopped.set()

    def close(self) -> None:
        if self._container is not None:
            self._container.close()
            self._container = None
        if self._tap is not None:
            self._tap.close()

    def _read_file(self, path: Path) -> Iterator[Frame | Gap]:
        reader = yield from self._decode_file(path, frame_threads=True)
        if reader.lost_in_flight and not self._stopped.is_set():
            self.context.log.warning(
                "%s is damaged at its end: decoding it again without frame threads, to get the frames after the damage",
                self._display,
            )
            self._messages.decode_again()
            yield from self._decode_file(path, frame_threads=False)
        if self._messages.index == 0 and not self._stopped.is_set():
            raise InputError(f"{self._display}: none of its frames could be decoded; {self._hint}")

    def _decode_file(self, path: Path, frame_threads: bool) -> Iterator[Frame | Gap]:
        self.close()
        self._container = open_file(path, self._display, self._limits)
        stream = stream_to_decode(self._container, self._display, self.options.video_stream, self._limits)
        self._frame_count = stream.frames or None
        reader = PacketReader(
            self._container,
            stream,
            self._limits,
            self._messages.count,
            self._display,
            self._threads,
            frame_threads,
        )
        time_base = stream.time_base or Fraction(1, _RTP_CLOCK_HZ)
        times = PresentationTimes(time_base, stream.guessed_rate or stream.average_rate)
        frames: Iterator[av.VideoFrame] = reader.frames(stopped=self._stopped.is_set)
        if self.options.deinterlace == "auto":
            frames = Deinterlacer(self._say_deinterlacing, look=True).frames(frames)
        for frame in frames:
            if self._stopped.is_set():
                break
            yield from self._messages.of(frame, times, stream_index=stream.index)
        return reader

    def _say_deinterlacing(self, text: str) -> None:
        self.context.status(deinterlace=text)

    def _read_folder(self, path: Path) -> Iterator[Frame | Gap]:
        paths = list_images(path, self._display)
        self._frame_count = len(paths)
        rate = exact_rate(self.options.fps)
        times = PresentationTimes(1 / rate, rate)
        for position, image in enumerate(paths):
            if self._stopped.is_set():
                return
            frame = read_image(image, self._display, self._limits)
            if frame is None:
                self.context.log.warning(
                    "%s: %s was skipped: it cannot be decoded, or is larger than max_size", self._display, image.name
                )
                self._messages.count("corrupt_packets")
                continue
            frame.pts, frame.time_base, frame.duration = position, times.time_base, 1
            yield from self._messages.of(frame, times)
        if self._messages.index == 0:
            raise InputError(f"{self._display}: none of its {len(paths)} images could be decoded; {self._hint}")

    def _read_camera(self) -> Iterator[Frame | Gap]:
        messages = self._messages
        tap = self._tap = PacketTap.of(self.options.packet_ring, self.context)
        settings, log = self._camera_settings(), self.context.log
        camera = Camera(settings, self._stopped, log, messages.count, self.context.status, tap)
        self._container = camera
        times: CameraTimes | None = None
        gap: Reconnected | None = None
        if messages.index:
            times, gap = self._times_before_restart()
        for frame in camera.frames():
            if isinstance(frame, Reconnected):
                gap = frame
                continue
            time_base = frame.time_base or Fraction(1, _RTP_CLOCK_HZ)
            if times is None:
                times = CameraTimes(time_base)
            if gap is not None:
                times.resume(gap.gap_seconds)
                yield self._camera_gap(gap, time_base)
                gap = None
                messages.forget_size()
            yield from self._lost_frames(frame, times)
            for message in messages.of(frame, times, camera.ntp_ns(frame)):
                if tap is not None:
                    tap.shown(frame, message)
                yield message

    def _times_before_restart(self) -> tuple[CameraTimes | None, Reconnected]:
        last = self.delivered
        if last is None or last.pts is None:
            return None, Reconnected(0.0, "")
        times = CameraTimes(last.time_base)
        times.last = last.pts
        return times, Reconnected(max(0.0, (time.time_ns() - last.arrival_ns) / 1e9), "")

    def _camera_gap(self, gap: Reconnected, time_base: Fraction) -> Gap:
        header = self.context.header(None, time_base)
        if gap.detail:
            return Gap(header, "reconnect", gap.detail, gap.gap_seconds)
        return Gap(header, "restart", "the decoder was restarted")

    def _lost_frames(self, frame: av.VideoFrame, times: PresentationTimes) -> Iterator[Gap]:
        """A gap where a camera's clock leaps forward: the frames between never arrived."""
        leap = times.leap(frame.pts, frame.time_base)
        if leap > max(_LOST_SECONDS, _LOST_STEPS * times.step * times.time_base):
            self._messages.count("lost_frames")
            header = self.context.header(None, times.time_base)
            yield Gap(header, "lost_frames", f"{float(leap):.1f} s without a frame", float(leap))

    def _camera_settings(self) -> CameraSettings:
        options = self.options
        return CameraSettings(
            address=self.context.source.input,
            display=self._display,
            limits=self._limits,
            transport=options.transport,
            webcam=webcam_options(options.webcam_size, options.webcam_fps, options.webcam_format),
            threads=self._threads,
            connect_timeout_seconds=options.connect_timeout_seconds,
            read_timeout_seconds=options.read_timeout_seconds,
            first_connection_seconds=options.first_connection_seconds if self.context.source.once else None,
            reconnect_max_seconds=options.reconnect_max_seconds,
            deinterlace=options.deinterlace == "auto",
        )


def _path(input: str, display: str) -> Path:
    """Path of a file or folder. Raises `InputError` for a URL of another kind."""
    path = local_path(input)
    if path is None:
        raise InputError(
            f"{display}: {scheme_of(input)}:// is not a supported input; "
            "allowed are rtsp://, rtsps://, video files, folders of images and /dev/video0. Download the file first"
        )
    return path

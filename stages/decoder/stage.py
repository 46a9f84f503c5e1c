"""Decoder: files, folders of images, cameras and streams become frames."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

import av.error
from av.container import InputContainer

from pipeline.errors import InputError
from pipeline.input_paths import local_path, scheme_of
from pipeline.messages import Frame, Gap
from pipeline.sections import Sections
from pipeline.segments import CutsFiles, Span
from pipeline.stage import Context, Source
from stages.decoder.camera_reading import CameraReading
from stages.decoder.containers import (
    Limits,
    SourceSilent,
    can_open,
    check_file,
    open_file,
    open_pipe,
    open_url,
    stream_to_decode,
)
from stages.decoder.file_reading import FileReading
from stages.decoder.frame_messages import FrameMessages
from stages.decoder.hardware import VideoHardware
from stages.decoder.images import list_images, read_image
from stages.decoder.inputs import ALLOWED, HTTP_FILE, PIPE, SRT, fault_of, kind_of
from stages.decoder.options import DecoderOptions
from stages.decoder.spans import sections_of, spans_of
from stages.decoder.standard_input import StandardInput, nothing_is_piped
from stages.decoder.suffixes import left_out
from stages.decoder.timestamps import PresentationTimes
from stages.shared.frame_rate import exact_rate
from stages.shared.media_files import reason

T = TypeVar("T")
_NOT_THE_SAME = ("repaired_pts", "corrupt_packets", "incomplete_packets", "truncated")
"""Counts of what depends on all that was decoded before."""


class Decoder(Source, CutsFiles):
    """Decodes a video file, a folder of images, a camera (``rtsp://``, ``/dev/video0``) or a stream.

    Streams are MJPEG and HLS over HTTP, RTMP, SRT and MPEG-TS over UDP; a video file is read over HTTP, too, and ``-``
    is standard input. Frames come upright, with the color matrix, the range and the time stamps of the container. Time
    stamps that do not grow are repaired and counted. ``docs/conventions.md`` has the details.
    """

    class Options(DecoderOptions):
        pass

    def __init__(self, options: Any, context: Context) -> None:
        super().__init__(options, context)
        self._display = context.source.display
        self._limits = Limits(*options.max_size)
        self._stopped = threading.Event()
        self._messages = FrameMessages(context, 0, most_bits=options.bit_depth)
        self._reading: FileReading | CameraReading | None = None
        self._frame_count: int | None = None

    @classmethod
    def is_live(cls, input: str) -> bool:
        kind = kind_of(input)
        return kind is not None and kind.live

    @classmethod
    def check_input(cls, input: str, display: str) -> None:
        kind = kind_of(input)
        if kind is PIPE and nothing_is_piped():
            raise InputError(
                "-: nothing is piped into this program; pipe in a video, such as: "
                "ffmpeg -i INPUT -c copy -f matroska - | raftline run CONFIG -i -"
            )
        if kind is SRT and not can_open("srt"):
            raise InputError(
                f"{display}: the FFmpeg of this installation of PyAV was built without SRT; install a PyAV that was "
                "built against an FFmpeg with libsrt, or let FFmpeg pass the stream on: ffmpeg -i 'srt://...' -c copy "
                "-f mpegts udp://127.0.0.1:5000, and give udp://127.0.0.1:5000 here"
            )
        if kind is not None and (fault := fault_of(input, kind)) is not None:
            raise InputError(f"{display}: {fault}")
        if kind is None:
            path = _path(input, display)
            if not path.is_dir():
                check_file(path, display)

    @classmethod
    def left_out(cls, path: str) -> str | None:
        return left_out(path)

    @classmethod
    def cut(cls, options: DecoderOptions, input: str, seconds: float) -> list[Span]:
        return cls._cut(options, input, spans_of, seconds)

    @classmethod
    def cut_sections(cls, options: DecoderOptions, input: str, sections: Sections) -> list[tuple[int, Span]]:
        return cls._cut(options, input, sections_of, sections)

    @classmethod
    def _cut(cls, options: DecoderOptions, input: str, how: Callable[..., list[T]], by: Any) -> list[T]:
        if kind_of(input) is not None or options.span is not None:
            return []
        path = local_path(input)
        if path is None or path.is_dir():
            return []
        limits = Limits(*options.max_size)
        with open_file(path, input, limits) as container:
            return how(container, stream_to_decode(container, input, options.video_stream, limits), by)

    @classmethod
    def of_span(cls, span: Span, told: Mapping[str, Any]) -> Mapping[str, Any] | None:
        odd = {name for name in told.get("counts", {}) if name in _NOT_THE_SAME}
        if odd or "deinterlace" in told.get("status", {}):
            return None
        return {"span": list(span), "deinterlace": "off"} if told else {"span": list(span)}

    def read(self, start_index: int) -> Iterator[Frame | Gap]:
        input, options = self.context.source.input, self.options
        kind = kind_of(input)
        if kind is not None and kind.live:
            self._messages = FrameMessages(self.context, start_index, start_index, options.bit_depth)
            reading = CameraReading(self.context, options, self._messages, self._stopped, self.delivered)
            self._reading = reading
            return reading.read()
        self._messages = FrameMessages(self.context, start_index, most_bits=options.bit_depth)
        if kind is PIPE:
            return self._read_pipe(start_index)
        if kind is HTTP_FILE:
            return self._read_file(self._open_http, silence_seconds=options.read_timeout_seconds)
        path = _path(input, self._display)
        if path.is_dir():
            return self._read_folder(path)
        hardware = VideoHardware(self.options.hwaccel, self.context)
        return self._read_file(lambda: open_file(path, self._display, self._limits, hardware.accel), hardware=hardware)

    def frame_count(self) -> int | None:
        return self._reading.frame_count if isinstance(self._reading, FileReading) else self._frame_count

    def stop(self) -> None:
        self._stopped.set()

    def close(self) -> None:
        if self._reading is not None:
            self._reading.close()

    def _read_file(self, *how: Any, **more: Any) -> Iterator[Frame | Gap]:
        reading = self._reading = FileReading(self.context, self.options, self._messages, self._stopped, *how, **more)
        return reading.read()

    def _read_pipe(self, start_index: int) -> Iterator[Frame | Gap]:
        if start_index:
            raise InputError("-: its worker died, and what is piped in cannot be read a second time; run it again")
        piped = StandardInput(self._stopped)
        return self._read_file(lambda: open_pipe(piped, self._display, self._limits), again=False)

    def _open_http(self) -> InputContainer:
        url, options = self.context.source.input, self.options
        poll_seconds = options.read_timeout_seconds
        try:
            return open_url(HTTP_FILE, url, options.connect_timeout_seconds, self._limits, options.tls_ca, poll_seconds)
        except (av.error.FFmpegError, OSError, SourceSilent) as error:
            why = str(error) if isinstance(error, SourceSilent) else reason(error)
            raise InputError(
                f"{self._display}: no video: {why}; check the address, and the user and the password if it needs them"
            ) from None

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
            width, height = self.options.max_size
            raise InputError(
                f"{self._display}: none of its {len(paths)} images could be decoded; they may be damaged, or larger "
                f"than {width}x{height} px (option max_size)"
            )


def _path(input: str, display: str) -> Path:
    """Path of a file or folder. Raises `InputError` for a URL of another kind."""
    path = local_path(input)
    if path is None:
        raise InputError(
            f"{display}: {scheme_of(input)}:// is not a supported input; allowed are {ALLOWED}. "
            "Or download the file first"
        )
    return path

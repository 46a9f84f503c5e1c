"""Decoder: files, folders of pictures, RTSP cameras and webcams become frames."""

from __future__ import annotations

import re
import threading
import time
from collections import Counter
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal

import av
from pydantic import Field

from pipeline.errors import InputError
from pipeline.messages import Frame, Gap
from pipeline.stage import Context, Options, Source
from stages.decoder.cameras import Camera, CameraSettings, Reconnected, webcam_options
from stages.decoder.containers import Limits, best_video_stream, check_file, open_file
from stages.decoder.images import list_images, read_image
from stages.decoder.packets import PacketReader
from stages.decoder.pixel_formats import Picture, PictureReader
from stages.decoder.timestamps import PresentationTimes

_LOST_SECONDS = 1
_LOST_STEPS = 5


class Decoder(Source):
    """Frames of a file, a folder of pictures, an ``rtsp://`` camera or a webcam (``/dev/video0``).

    Upright, in the colors' own matrix and range, with the container's own times where those grow. See
    ``docs/conventions.md`` for what is done to a frame and what is not.
    """

    class Options(Options):
        max_size: tuple[int, int] = Field(
            (8192, 8192), description="largest frame, [width, height] in px; checked before memory is taken"
        )
        threads: int = Field(0, ge=0, le=64, description="decoding threads, 0 for one per core")
        video_stream: int | None = Field(
            None, ge=0, description="which of the file's video streams, from 0; empty: the best one"
        )
        fps: float = Field(25.0, gt=0, le=1000, description="frames per second of a folder of pictures")
        transport: Literal["tcp", "udp"] = Field("tcp", description="how RTSP cameras send: tcp | udp")
        connect_timeout_seconds: float = Field(
            10.0, gt=0, description="how long one attempt to reach a camera may take, in seconds"
        )
        read_timeout_seconds: float = Field(
            10.0, gt=0, description="how long a camera may say nothing before it is reached anew, in seconds"
        )
        first_connection_seconds: float = Field(
            30.0, ge=0, description="how long to try to reach a camera for the first time, in seconds"
        )
        reconnect_max_seconds: float = Field(
            30.0, gt=0, description="longest pause between two attempts to reach a camera again, in seconds"
        )
        webcam_size: tuple[int, int] | None = Field(
            None, description="picture size to ask a webcam for, [width, height] in px"
        )
        webcam_fps: float | None = Field(None, gt=0, description="frame rate to ask a webcam for, in 1/s")
        webcam_format: str | None = Field(
            None, pattern="^[a-z0-9_]+$", description="pixel format or codec to ask a webcam for, such as mjpeg"
        )

    def __init__(self, options: Any, context: Context) -> None:
        super().__init__(options, context)
        self._display = context.source.display
        self._limits = Limits(*options.max_size)
        self._perhaps = f"damaged, or larger than {options.max_size[0]}x{options.max_size[1]} px (option max_size)"
        self._stopped = threading.Event()
        self._pictures = PictureReader()
        self._container: Any = None
        self._frame_count: int | None = None
        self._index = 0
        self._start_index = 0
        self._count_from = 0
        self._seen: Counter[str] = Counter()
        self._counted: Counter[str] = Counter()
        self._size: tuple[int, int] | None = None

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

    def read(self, start_index: int) -> Iterator[Frame | Gap]:
        input = self.context.source.input
        self._start_index = self._count_from = start_index
        if self.is_live(input):
            return self._read_camera()
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

    def _read_file(self, path: Path) -> Iterator[Frame | Gap]:
        reader = yield from self._decode_file(path, frame_threads=True)
        if reader.lost_in_flight and not self._stopped.is_set():
            self.context.log.warning(
                "%s is damaged at its end: decoding it again without frame threads, for the frames behind the damage",
                self._display,
            )
            self._start_index, self._index, self._size = max(self._index, self._start_index), 0, None
            self._seen.clear()
            yield from self._decode_file(path, frame_threads=False)
        if self._index == 0 and not self._stopped.is_set():
            raise InputError(f"{self._display}: no frame of its video could be decoded; {self._perhaps}")

    def _decode_file(self, path: Path, frame_threads: bool) -> Iterator[Frame | Gap]:
        self.close()
        self._container = open_file(path, self._display, self._limits)
        stream = best_video_stream(self._container, self._display, self.options.video_stream, self._limits)
        self._frame_count = stream.frames or None
        reader = PacketReader(
            self._container, stream, self._limits, self._count, self._display, self.options.threads, frame_threads
        )
        times = PresentationTimes(_time_base(stream), stream.guessed_rate or stream.average_rate)
        for frame in reader.frames(stopped=self._stopped.is_set):
            yield from self._frames(frame, times)
        return reader

    def _read_folder(self, path: Path) -> Iterator[Frame | Gap]:
        paths = list_images(path, self._display)
        self._frame_count = len(paths)
        rate = Fraction(self.options.fps).limit_denominator(1001)
        times = PresentationTimes(1 / rate, rate)
        for position, image in enumerate(paths):
            if self._stopped.is_set():
                return
            frame = read_image(image, self._display, self._limits)
            if frame is None:
                self.context.log.warning(
                    "%s: %s is not a picture that can be read, or is larger than max_size; left out",
                    self._display,
                    image.name,
                )
                self._count("corrupt_packets")
                continue
            frame.pts, frame.time_base, frame.duration = position, times.time_base, 1
            yield from self._frames(frame, times)
        if self._index == 0:
            raise InputError(f"{self._display}: none of its {len(paths)} pictures could be decoded; {self._perhaps}")

    def _read_camera(self) -> Iterator[Frame | Gap]:
        camera = Camera(self._camera_settings(), self._stopped, self.context.log, self._count, self.context.status)
        self._container = camera
        self._index = self._start_index
        times: PresentationTimes | None = None
        gap: Reconnected | None = None
        if self._start_index:
            times, gap = self._times_before_restart()
        for frame in camera.frames():
            if isinstance(frame, Reconnected):
                gap = frame
                continue
            time_base = frame.time_base or Fraction(1, 90000)
            if times is None:
                times = PresentationTimes(time_base, None)
            if gap is not None:
                times.resume(gap.gap_seconds)
                yield self._camera_gap(gap, time_base)
                gap = self._size = None
            yield from self._lost_frames(frame, times)
            yield from self._frames(frame, times, camera.ntp_ns(frame))

    def _times_before_restart(self) -> tuple[PresentationTimes | None, Reconnected]:
        last = self.delivered
        if last is None or last.pts is None:
            return None, Reconnected(0.0, "")
        times = PresentationTimes(last.time_base, None)
        times.last = last.pts
        return times, Reconnected(max(0.0, (time.time_ns() - last.arrival_ns) / 1e9), "")

    def _camera_gap(self, gap: Reconnected, time_base: Fraction) -> Gap:
        header = self.context.header(None, time_base)
        if gap.detail:
            return Gap(header, "reconnect", gap.detail, gap.gap_seconds)
        return Gap(header, "restart", "the decoder was started again")

    def _lost_frames(self, frame: av.VideoFrame, times: PresentationTimes) -> Iterator[Gap]:
        """A camera's clock that leaps forward tells of frames that never came."""
        leap = times.leap(frame.pts, frame.time_base)
        if leap > max(_LOST_SECONDS, _LOST_STEPS * times.step * times.time_base):
            self._count("lost_frames")
            yield Gap(
                self.context.header(None, times.time_base),
                "lost_frames",
                f"{float(leap):.1f} s without a frame",
                float(leap),
            )

    def _frames(
        self, frame: av.VideoFrame, times: PresentationTimes, ntp_ns: int | None = None
    ) -> Iterator[Frame | Gap]:
        """The frame as a message, and before it a gap if its size is new; neither before the start index."""
        repaired = times.repaired
        pts = times.place(frame.pts, frame.time_base)
        if times.repaired > repaired:
            self._count("repaired_pts")
        size, before = (frame.width, frame.height), self._size
        self._size = size
        if self._index >= self._start_index:
            header = self.context.header(pts, times.time_base, ntp_ns=ntp_ns)
            if before not in (None, size):
                detail = f"{before[0]}x{before[1]} became {size[0]}x{size[1]}"
                yield Gap(self.context.header(None, times.time_base), "size_change", detail)
            picture = self._picture(frame)
            yield Frame(header, self._index, *picture, duration=frame.duration or None)
        self._index += 1

    def _picture(self, frame: av.VideoFrame) -> Picture:
        known = self._pictures.unknown_matrix is None
        picture = self._pictures.read(frame)
        matrix = self._pictures.unknown_matrix
        if known and matrix is not None:
            told = f"matrix {matrix} of ITU-T H.273 is not known; shown as {picture.color_space}"
            self.context.log.warning("%s: %s", self._display, told)
            self.context.status(colors=told)
        return picture

    def _camera_settings(self) -> CameraSettings:
        options = self.options
        return CameraSettings(
            address=self.context.source.input,
            display=self._display,
            limits=self._limits,
            transport=options.transport,
            webcam=webcam_options(options.webcam_size, options.webcam_fps, options.webcam_format),
            threads=options.threads,
            connect_timeout_seconds=options.connect_timeout_seconds,
            read_timeout_seconds=options.read_timeout_seconds,
            first_connection_seconds=options.first_connection_seconds,
            reconnect_max_seconds=options.reconnect_max_seconds,
        )

    def _count(self, name: str) -> None:
        """Counts nothing twice, neither what was counted before a restart nor what a second decoding meets again."""
        self._seen[name] += 1
        if self._seen[name] > self._counted[name]:
            self._counted[name] = self._seen[name]
            if self._index >= self._count_from:
                self.context.count(name)


def _path(input: str, display: str) -> Path:
    """Of a file or folder. Raises `InputError` for an address of another kind."""
    scheme = re.match(r"([A-Za-z][A-Za-z0-9+.-]+)://", input)
    if scheme and scheme[1].lower() != "file":
        raise InputError(
            f"{display}: {scheme[1]}:// is not a kind of input; "
            "allowed are rtsp://, rtsps://, video files, folders of pictures, /dev/video0. Download the file first"
        )
    return Path(input[len("file://") :] if scheme else input).expanduser()


def _time_base(stream: Any) -> Fraction:
    return stream.time_base or Fraction(1, 90000)

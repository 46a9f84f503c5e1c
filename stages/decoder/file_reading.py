"""Frames of a video that has an end: a file of this machine, one that is read over HTTP, or what is piped in."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from fractions import Fraction
from typing import Any

import av
from av.container import InputContainer

from pipeline.errors import InputError
from pipeline.messages import Frame, Gap
from pipeline.stage import Context
from stages.decoder.containers import Limits, SourceSilent, stream_to_decode
from stages.decoder.frame_messages import FrameMessages
from stages.decoder.hardware import VideoHardware
from stages.decoder.interlacing import Deinterlacer
from stages.decoder.options import DecoderOptions
from stages.decoder.packets import PacketReader
from stages.decoder.spans import in_span, move_to
from stages.decoder.timestamps import PresentationTimes

_CLOCK_HZ = 90_000
"""Of video in MPEG transport streams and RTP (RFC 3551, section 5), for streams that tell no time base."""


class FileReading:
    """Decodes a video from its first frame to its last.

    Args:
        open: Opens it, each time anew.
        again: Whether it can be read a second time, which frames after damage at its end may need.
        silence_seconds: How long a server may send nothing; None for what is on this machine.
        hardware: What it was opened for; None: the CPU.
    """

    def __init__(
        self,
        context: Context,
        options: DecoderOptions,
        messages: FrameMessages,
        stopped: threading.Event,
        open: Callable[[], InputContainer],
        again: bool = True,
        silence_seconds: float | None = None,
        hardware: VideoHardware | None = None,
    ) -> None:
        self._hardware = hardware
        self._context, self._options, self._messages, self._stopped = context, options, messages, stopped
        self._display = context.source.display
        self._limits = Limits(*options.max_size)
        self._open, self._again, self._silence_seconds = open, again, silence_seconds
        self._container: InputContainer | None = None
        self.frame_count: int | None = None
        """As the container tells; None if it does not."""

    def read(self) -> Iterator[Frame | Gap]:
        """Raises `InputError` if it cannot be opened, or has no frame."""
        reader = yield from self._decoded(frame_threads=True)
        if reader.lost_in_flight and self._again and not self._stopped.is_set():
            self._context.log.warning(
                "%s is damaged at its end: decoding it again without frame threads, to get the frames after the damage",
                self._display,
            )
            self._messages.decode_again()
            yield from self._decoded(frame_threads=False)
        if self._messages.index == 0 and not self._stopped.is_set():
            width, height = self._options.max_size
            raise InputError(
                f"{self._display}: none of its frames could be decoded; they may be damaged, or larger than "
                f"{width}x{height} px (option max_size)"
            )

    def close(self) -> None:
        if self._container is not None:
            self._container.close()
            self._container = None

    def _decoded(self, frame_threads: bool) -> Iterator[Frame | Gap]:
        self.close()
        self._container = self._open()
        stream = stream_to_decode(self._container, self._display, self._options.video_stream, self._limits)
        span = self._options.span
        self.frame_count = stream.frames or None if span is None else None
        if span is not None:
            move_to(self._container, stream, span[0])
        threads = self._options.threads or self._context.threads
        reader = PacketReader(
            self._container,
            stream,
            self._limits,
            self._messages.count,
            self._display,
            threads if self._hardware is None else self._hardware.threads(stream, threads),
            frame_threads,
        )
        time_base = stream.time_base or Fraction(1, _CLOCK_HZ)
        times = PresentationTimes(time_base, stream.guessed_rate or stream.average_rate)
        frames: Iterator[av.VideoFrame] = reader.frames(self._silence_seconds, self._stopped.is_set)
        if self._options.deinterlace == "auto":
            frames = Deinterlacer(self._say_deinterlacing, look=True).frames(frames)
        if span is not None:
            frames = in_span(frames, time_base, span[1], span[2])
        try:
            for frame in frames:
                if self._stopped.is_set():
                    break
                yield from self._messages.of(frame, times, stream_index=stream.index)
        except SourceSilent as error:
            raise InputError(self._cut_off(str(error))) from None
        if self._silence_seconds is not None and reader.truncated:
            raise InputError(self._cut_off("the connection broke"))
        return reader

    def _cut_off(self, why: str) -> str:
        return f"{self._display}: {why}, after {self._messages.index} frames; run it again, or download the file first"

    def _say_deinterlacing(self, text: Any) -> None:
        self._context.status(deinterlace=text)

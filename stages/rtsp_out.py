"""Publishes video to an RTSP server, such as MediaMTX or go2rtc, which hands it to any number of viewers."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable
from fractions import Fraction
from typing import Any

import av
import numpy as np
from av.error import FFmpegError
from pydantic import Field, field_validator

from pipeline import stage
from pipeline.messages import EndOfStream, Frame, Gap, Message, Stabilized
from pipeline.redaction import redact
from stages.shared.color import rgb
from stages.shared.growing_pause import GrowingPause

_CLOCK_HZ = 90_000
"""Of RTP's video formats (RFC 6184, section 8.2.1)."""
_FIRST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS = 1.0, 30.0
"""Between two tries to connect; each is twice the one before. Chosen by hand."""
_CLOSE_SECONDS = 3.0
_KEYFRAME_EVERY = 30
"""Frames from one that stands alone to the next: a viewer who comes waits for it. Chosen by hand."""


class RtspOut(stage.Stage):
    """Publishes what it reads to an RTSP server, as H.264 over TCP, for as long as the run goes.

    The server's own URL is what viewers open. Where the server or the network is slow, or away, the newest frame is
    sent and the others are left out (``frames_left_out``); the stages before never wait. A file is sent at its own
    speed.
    """

    class Options(stage.Options):
        url: str = Field(
            ..., description="rtsp://[USER:PASSWORD@]HOST[:PORT]/PATH of the server; {source} is replaced by its name"
        )
        max_side_px: int = Field(1280, ge=64, le=8192, description="larger frames are scaled down to this side, px")
        bitrate_kbps: int = Field(2000, ge=50, le=100_000, description="highest rate of the stream, kbit/s")

        @field_validator("url")
        @classmethod
        def _is_rtsp(cls, url: str) -> str:
            if not url.startswith(("rtsp://", "rtsps://")):
                raise ValueError(f"must begin with rtsp:// or rtsps://, found {redact(url)!r}")
            return url

    reads = (Frame, Stabilized)
    writes = None

    def open(self) -> None:
        self._url = self.options.url.replace("{source}", self.context.source.name)
        self._waiting: tuple[np.ndarray, float] | None = None
        self._changed = threading.Condition()
        self._closed = False
        self._left_out = 0
        self._begin: tuple[float, float] | None = None
        self._thread = threading.Thread(target=self._run, name=f"rtsp out {self.context.source.name}", daemon=True)
        self._thread.start()

    def process(self, message: Frame | Stabilized) -> Iterable[Message]:
        frame = message.frame if isinstance(message, Stabilized) else message
        seconds = message.header.pts_seconds
        seconds = time.monotonic() if seconds is None else seconds
        image = rgb(frame, self._size(frame.height, frame.width))
        if not self.context.source.live:
            self._keep_pace(seconds)
        with self._changed:
            self._left_out += self._waiting is not None
            self._waiting = (np.array(image), seconds)
            left_out, self._left_out = self._left_out, 0
            self._changed.notify()
        if left_out:
            self.context.count("frames_left_out", left_out)
        return ()

    def gap(self, gap: Gap) -> Iterable[Message]:
        self._begin = None
        return ()

    def flush(self, end: EndOfStream) -> Iterable[Message]:
        deadline = time.monotonic() + _CLOSE_SECONDS
        with self._changed:
            while self._waiting is not None and time.monotonic() < deadline:
                self._changed.wait(0.05)
        return ()

    def close(self) -> None:
        if not hasattr(self, "_thread"):
            return
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._thread.join(_CLOSE_SECONDS)

    def _size(self, height: int, width: int) -> tuple[int, int]:
        """Height and width, even, within the limit."""
        scale = min(1.0, self.options.max_side_px / max(height, width))
        return max(2, int(height * scale) // 2 * 2), max(2, int(width * scale) // 2 * 2)

    def _keep_pace(self, seconds: float) -> None:
        now = time.monotonic()
        if self._begin is None:
            self._begin = now, seconds
        time.sleep(max(0.0, self._begin[0] + seconds - self._begin[1] - now))

    def _run(self) -> None:
        pause = GrowingPause(_FIRST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS)
        while not self._closed:
            try:
                self._publish()
            except (FFmpegError, OSError) as error:
                seconds = pause.failed()
                self._say(redact(f"{self._url}: {error.strerror or error}"), first=pause.failures == 1)
                with self._changed:
                    self._changed.wait_for(lambda: self._closed, seconds)
            else:
                pause.reset()

    def _say(self, trouble: str, first: bool) -> None:
        self.context.status(receiver=trouble)
        if first:
            self.context.log.warning("%s; trying until it answers", trouble)

    def _publish(self) -> None:
        """Send until the size changes or the stage is closed."""
        first = self._next()
        if first is None:
            return
        shape = first[0].shape
        options = {"rtsp_transport": "tcp"}
        with av.open(self._url, "w", format="rtsp", options=options) as server:
            encoder = self._encoder(server, shape)
            begin, last = first[1], -1
            self.context.status(receiver="")
            taken: tuple[np.ndarray, float] | None = first
            while taken is not None:
                image, seconds = taken
                if image.shape != shape:
                    return
                last = max(last + 1, round((seconds - begin) * _CLOCK_HZ))
                frame = av.VideoFrame.from_ndarray(image, format="rgb24")
                frame.pts, frame.time_base = last, Fraction(1, _CLOCK_HZ)
                server.mux(encoder.encode(frame))
                taken = self._next()
            server.mux(encoder.encode(None))

    def _encoder(self, server: Any, shape: tuple[int, ...]) -> Any:
        encoder = server.add_stream("libx264", rate=30)
        encoder.height, encoder.width, encoder.pix_fmt = shape[0], shape[1], "yuv420p"
        encoder.time_base = Fraction(1, _CLOCK_HZ)
        encoder.codec_context.time_base = Fraction(1, _CLOCK_HZ)
        rate = f"{self.options.bitrate_kbps}k"
        encoder.options = {"preset": "ultrafast", "tune": "zerolatency", "maxrate": rate, "bufsize": rate}
        encoder.options |= {"g": str(_KEYFRAME_EVERY), "threads": str(self.context.threads)}
        return encoder

    def _next(self) -> tuple[np.ndarray, float] | None:
        """The newest frame, when there is one; None when the stage is closed."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting is not None or self._closed)
            taken, self._waiting = self._waiting, None
            self._changed.notify()
            return taken

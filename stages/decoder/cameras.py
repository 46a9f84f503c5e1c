"""Cameras: connect, and reconnect after a loss for as long as it takes."""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Union

import av
import av.error
from av.container import InputContainer

from pipeline.errors import InputError
from stages.decoder.containers import Limits, SourceSilent, best_video_stream, open_rtsp, open_webcam, reason
from stages.decoder.packets import PacketReader
from stages.decoder.rtsp_probe import wait_for_answer

_FIRST_PAUSE_SECONDS = 0.5
"""Before the first new attempt; doubled with each that fails. Chosen by hand."""
_MOST_DOUBLINGS = 16
"""Keeps the power finite; half a second doubled so often is far beyond any `reconnect_max_seconds`."""
_JITTER = (0.5, 1.0)
"""Share of the pause that is waited, drawn anew each time, so that cameras lost together do not come back in step."""
_REFUSALS = (
    av.error.HTTPBadRequestError,
    av.error.HTTPUnauthorizedError,
    av.error.HTTPForbiddenError,
    av.error.HTTPNotFoundError,
    av.error.ProtocolNotFoundError,
)


@dataclass(frozen=True)
class CameraSettings:
    """How to reach a camera."""

    address: str
    """``rtsp://``, ``rtsps://`` or ``/dev/video0``. May hold a password."""
    display: str
    """The address without its password."""
    limits: Limits
    transport: str = "tcp"
    webcam: tuple[tuple[str, str], ...] = ()
    """Options of FFmpeg's v4l2 demuxer: ``video_size``, ``framerate``, ``input_format``."""
    threads: int = 0
    connect_timeout_seconds: float = 10.0
    read_timeout_seconds: float = 10.0
    first_connection_seconds: float = 30.0
    reconnect_max_seconds: float = 30.0


@dataclass(frozen=True)
class Reconnected:
    """The camera is back: the frames that follow do not continue those before."""

    gap_seconds: float
    """From the last frame before the loss to the first one after it."""
    detail: str
    """Why the camera was lost."""


class Camera:
    """The frames of one camera, over as many connections as it needs."""

    def __init__(
        self,
        settings: CameraSettings,
        stopped: threading.Event,
        log: logging.Logger,
        count: Callable[[str], None],
        status: Callable[..., None],
    ) -> None:
        self._settings = settings
        self._stopped = stopped
        self._log = log
        self._count = count
        self._status = status
        self._container: InputContainer | None = None
        self._heard: float | None = None
        self._failures = 0

    def frames(self) -> Iterator[Union[av.VideoFrame, Reconnected]]:
        """Frames as they arrive, with a `Reconnected` before the first one after a loss. Ends only when stopped.

        Raises:
            InputError: the camera could not be reached within ``first_connection_seconds``, or refuses the connection.
        """
        began = time.monotonic()
        lost = ""
        while not self._stopped.is_set():
            try:
                for frame in self._connection():
                    if lost:
                        yield Reconnected(time.monotonic() - (self._heard or began), lost)
                        self._count("reconnects")
                        self._status(camera="connected")
                    lost, self._failures, self._heard = "", 0, time.monotonic()
                    yield frame
                trouble = "the camera ended the stream"
            except (SourceSilent, av.error.FFmpegError, OSError) as error:
                trouble = str(error) if isinstance(error, SourceSilent) else reason(error)
                if self._heard is None and isinstance(error, _REFUSALS):
                    raise InputError(self._refused(trouble)) from None
            finally:
                self.close()
            if self._stopped.is_set():
                return
            if self._heard is None and time.monotonic() - began > self._settings.first_connection_seconds:
                raise InputError(self._unreachable(trouble))
            lost = lost or (trouble if self._heard is not None else "")
            self._pause(trouble)

    def ntp_ns(self, frame: av.VideoFrame) -> int | None:
        """The sender's wall clock at this frame, in ns since 1970, from RTCP sender reports; None without them."""
        origin_us = getattr(self._container, "start_time_realtime", None)  # PyAV 18 and later
        if not origin_us or frame.pts is None or frame.time_base is None:
            return None
        return origin_us * 1000 + round(frame.pts * frame.time_base * 1_000_000_000)

    def close(self) -> None:
        """Close the connection."""
        if self._container is not None:
            self._container.close()
            self._container = None

    def _connection(self) -> Iterator[av.VideoFrame]:
        settings = self._settings
        if _is_rtsp(settings.address):
            wait_for_answer(settings.address, settings.connect_timeout_seconds, self._stopped)
        if self._stopped.is_set():
            return iter(())
        self._container = self._open()
        stream = best_video_stream(self._container, settings.display, None, settings.limits)
        # Each frame thread would add a frame of delay.
        reader = PacketReader(
            self._container,
            stream,
            settings.limits,
            self._count,
            settings.display,
            settings.threads,
            frame_threads=False,
        )
        return reader.frames(settings.read_timeout_seconds, self._stopped.is_set)

    def _open(self) -> InputContainer:
        settings = self._settings
        timeout = settings.connect_timeout_seconds
        if _is_rtsp(settings.address):
            return open_rtsp(settings.address, settings.transport, timeout, settings.limits)
        if self._heard is None and not Path(settings.address).exists():
            found = ", ".join(sorted(str(path) for path in Path("/dev").glob("video*"))) or "none"
            raise InputError(f"{settings.display}: no such camera; found {found}. Plug it in, or name another device")
        return open_webcam(settings.address, dict(settings.webcam), timeout, settings.limits)

    def _pause(self, trouble: str) -> None:
        """Wait before the next attempt: longer each time, with jitter."""
        growing = _FIRST_PAUSE_SECONDS * 2 ** min(self._failures, _MOST_DOUBLINGS)
        seconds = min(self._settings.reconnect_max_seconds, growing) * random.uniform(*_JITTER)
        self._failures += 1
        self._status(camera=f"lost: {trouble}")
        self._log.warning("%s: %s; trying again in %.1f s", self._settings.display, trouble, seconds)
        self._stopped.wait(seconds)

    def _refused(self, trouble: str) -> str:
        return (
            f"{self._settings.display}: the camera refused the connection ({trouble}); "
            "check the path, the user and the password in the URL"
        )

    def _unreachable(self, trouble: str) -> str:
        return (
            f"{self._settings.display}: no frame within {self._settings.first_connection_seconds:g} s ({trouble}); "
            "check that the camera is on and that the address is right, or raise the option first_connection_seconds"
        )


def _is_rtsp(address: str) -> bool:
    return address.lower().startswith("rtsp")


def webcam_options(size: tuple[int, int] | None, fps: float | None, format: str | None) -> tuple[tuple[str, str], ...]:
    """What to request from a webcam, as options of FFmpeg's v4l2 demuxer."""
    requested: dict[str, Any] = {
        "video_size": f"{size[0]}x{size[1]}" if size else None,
        "framerate": f"{fps:g}" if fps else None,
        "input_format": format,
    }
    return tuple((name, value) for name, value in requested.items() if value is not None)

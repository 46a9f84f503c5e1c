"""Cameras: connect, and reconnect after a loss for as long as it takes."""

from __future__ import annotations

import errno
import logging
import random
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from fractions import Fraction
from pathlib import Path
from typing import Any, Union

import av
import av.error
from av.container import InputContainer

from pipeline.errors import InputError
from stages.decoder.camera_times import ArrivalTimes, CameraTimes
from stages.decoder.connection_probe import wait_for_answer, wait_for_restart
from stages.decoder.containers import Limits, SourceSilent, open_rtsp, open_url, open_webcam, stream_to_decode
from stages.decoder.hardware import VideoHardware
from stages.decoder.inputs import HLS, RTSP, WEBCAM, kind_of
from stages.decoder.interlacing import Deinterlacer
from stages.decoder.pacing import paced
from stages.decoder.packet_tap import PacketTap
from stages.decoder.packets import PacketReader
from stages.shared.growing_pause import GrowingPause
from stages.shared.media_files import reason

_FIRST_PAUSE_SECONDS = 0.5
"""Before the first new attempt; doubled with each that fails. Chosen by hand."""
_REFUSED_PAUSE_SECONDS = (15.0, 600.0)
"""The first and the longest pause where the camera refuses the user or the password, so that it locks nobody out:
cameras do so after five to ten wrong attempts within some minutes. Chosen by hand."""
_EARLY_TRIES, _EARLY_WITHIN_SECONDS = 2, 600.0
"""A camera that refused the password and restarts is tried again at once, so often within so long: with the doubled
pauses after them these are no more tries in five minutes than without. Chosen by hand."""
_CLOCK_HZ = 90_000
"""Of video in MPEG transport streams and RTP (RFC 3551, section 5), for streams that tell no time base."""
_JITTER = (0.5, 1.0)
"""Share of the pause that is waited, drawn anew each time, so that cameras lost together do not come back in step."""
_CREDENTIALS_REFUSED = (av.error.HTTPUnauthorizedError, av.error.HTTPForbiddenError)
_REFUSALS = (
    *_CREDENTIALS_REFUSED,
    av.error.HTTPBadRequestError,
    av.error.HTTPNotFoundError,
    av.error.ProtocolNotFoundError,
)


@dataclass(frozen=True)
class CameraSettings:
    """How to reach a camera."""

    address: str
    """A URL, or ``/dev/video0``. May hold a password."""
    display: str
    """The address without its password."""
    limits: Limits
    transport: str = "auto"
    """``tcp``, ``udp``, ``udp_multicast``; ``auto``: tcp, and udp where the camera refuses that."""
    ca_file: str | None = None
    """Certificates (PEM) of which the camera's must be signed by one; None: it is not checked."""
    webcam: tuple[tuple[str, str], ...] = ()
    """Options of FFmpeg's v4l2 demuxer: ``video_size``, ``framerate``, ``input_format``."""
    threads: int = 0
    connect_timeout_seconds: float = 10.0
    read_timeout_seconds: float = 10.0
    first_connection_seconds: float | None = None
    """Give up on a camera that has not come until then; None: never."""
    reconnect_max_seconds: float = 4.0
    deinterlace: bool = True
    """Whether to make whole frames of what the stream calls interlaced."""
    hardware: VideoHardware | None = None
    """What decodes an RTSP camera; None: the CPU."""


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
        tap: PacketTap | None = None,
    ) -> None:
        self._settings = settings
        self._stopped = stopped
        self._log = log
        self._count = count
        self._status = status
        self._tap = tap
        self._container: InputContainer | None = None
        self._heard: float | None = None
        self._pauses = GrowingPause(_FIRST_PAUSE_SECONDS, settings.reconnect_max_seconds)
        self._refused_pauses = GrowingPause(*_REFUSED_PAUSE_SECONDS)
        self._early_tries: deque[float] = deque(maxlen=_EARLY_TRIES)
        self._kind = kind_of(settings.address) or RTSP
        self._transport = "tcp" if settings.transport == "auto" else settings.transport

    def frames(self) -> Iterator[Union[av.VideoFrame, Reconnected]]:
        """Frames as they arrive, with a `Reconnected` before the first one after a loss. Ends only when stopped.

        Raises:
            InputError: where ``first_connection_seconds`` are given, the camera could not be reached within them, or
                refuses the connection.
        """
        began = time.monotonic()
        lost = ""
        limit_seconds = self._settings.first_connection_seconds
        while not self._stopped.is_set():
            refused = False
            try:
                for frame in self._connection():
                    if lost:
                        yield Reconnected(time.monotonic() - (self._heard or began), lost)
                        self._count("reconnects")
                    if self._away or self._heard is None:
                        self._status(camera="connected", since=_clock_time(), trouble="", next_try="")
                        self._pauses.reset()
                        self._refused_pauses.reset()
                        self._early_tries.clear()  # a login that succeeds ends a camera's count of failed ones
                    lost, self._heard = "", time.monotonic()
                    yield frame
                trouble = "the camera ended the stream"
            except (SourceSilent, av.error.FFmpegError, OSError) as error:
                trouble = str(error) if isinstance(error, SourceSilent) else reason(error)
                if self._heard is None and limit_seconds is not None and isinstance(error, _REFUSALS):
                    raise InputError(self._refused(trouble)) from None
                if isinstance(error, _CREDENTIALS_REFUSED):
                    refused = True
            finally:
                self.close()
            if self._stopped.is_set():
                return
            if self._heard is None and limit_seconds is not None and time.monotonic() - began > limit_seconds:
                raise InputError(self._unreachable(trouble))
            lost = lost or (trouble if self._heard is not None else "")
            self._pause(trouble, refused)

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
        wait_for_answer(settings.address, settings.connect_timeout_seconds, self._stopped)
        if self._stopped.is_set():
            return iter(())
        self._container = self._open()
        stream = stream_to_decode(self._container, settings.display, None, settings.limits)
        if self._tap is not None:
            self._tap.connect(stream)
        # Each frame thread would add a frame of delay.
        reader = PacketReader(
            self._container,
            stream,
            settings.limits,
            self._count,
            settings.display,
            settings.threads if settings.hardware is None else settings.hardware.threads(stream, settings.threads),
            frame_threads=False,
            **({} if self._tap is None else {"on_packet": self._tap.packet}),
        )
        frames = reader.frames(settings.read_timeout_seconds, self._stopped.is_set)
        if self._kind.paced:
            frames = paced(frames, self._stopped)
        if not settings.deinterlace:
            return frames
        return Deinterlacer(lambda text: self._status(deinterlace=text), look=False).frames(frames)

    def times(self, time_base: Fraction | None) -> CameraTimes:
        """Presentation times for its frames; `time_base` is what they are given in, if that is known."""
        if self._kind.timed_by_arrival:
            return ArrivalTimes()
        return CameraTimes(time_base or Fraction(1, _CLOCK_HZ))

    def _open(self) -> InputContainer:
        settings, timeout = self._settings, self._settings.connect_timeout_seconds
        if self._kind is RTSP:
            return self._open_rtsp(timeout)
        if self._kind is not WEBCAM:
            # FFmpeg gives up on a playlist whenever a read is cut short.
            poll_seconds = settings.read_timeout_seconds if self._kind is HLS else None
            opened = open_url(self._kind, settings.address, timeout, settings.limits, settings.ca_file, poll_seconds)
            return self._live_alone(opened)
        if self._heard is None and not Path(settings.address).exists():
            found = ", ".join(sorted(str(path) for path in Path("/dev").glob("video*"))) or "none"
            raise InputError(f"{settings.display}: no such camera; found {found}. Plug it in, or name another device")
        return open_webcam(settings.address, dict(settings.webcam), timeout, settings.limits)

    def _live_alone(self, container: InputContainer) -> InputContainer:
        """Refuse a playlist that has an end."""
        seconds = (container.duration or 0) / 1e6
        if self._kind is HLS and seconds and self._heard is None:
            container.close()
            raise InputError(
                f"{self._settings.display}: this playlist is a recording of {seconds:.0f} s, and "
                "playlists are read live; download it first: ffmpeg -i URL -c copy recording.mkv"
            )
        return container

    def _open_rtsp(self, timeout_seconds: float) -> InputContainer:
        """Connect; with ``auto`` by UDP, then and from now on, where the camera refuses TCP (461 in RFC 2326)."""
        settings = self._settings
        try:
            return self._open_rtsp_by(self._transport, timeout_seconds)
        except av.error.FFmpegError as error:
            if settings.transport != "auto" or self._transport != "tcp" or error.errno != errno.EPROTONOSUPPORT:
                raise
        self._transport = "udp"
        self._status(transport="udp: the camera refuses tcp")
        return self._open_rtsp_by(self._transport, timeout_seconds)

    def _open_rtsp_by(self, transport: str, timeout_seconds: float) -> InputContainer:
        settings = self._settings
        accel = None if settings.hardware is None else settings.hardware.accel
        return open_rtsp(
            settings.address, transport, timeout_seconds, settings.limits, ca_file=settings.ca_file, hardware=accel
        )

    def _pause(self, trouble: str, refused: bool) -> None:
        """Wait before the next attempt: longer each time, with jitter; far longer where the password is refused."""
        if not self._away:
            self._status(camera="lost" if self._heard is not None else "not seen yet", since=_clock_time())
        seconds = (self._refused_pauses if refused else self._pauses).failed() * random.uniform(*_JITTER)
        self._status(trouble=trouble, next_try=_clock_time(seconds))
        self._log.warning("%s: %s; trying again in %.1f s", self._settings.display, trouble, seconds)
        if not (refused and self._may_try_early()):
            self._stopped.wait(seconds)
        elif wait_for_restart(self._settings.address, seconds, self._stopped):
            self._early_tries.append(time.monotonic())
            self._log.info("%s: the camera was away and is back: trying now", self._settings.display)
        if not self._stopped.is_set():
            self._status(next_try="")

    def _may_try_early(self) -> bool:
        tries = self._early_tries
        return len(tries) < _EARLY_TRIES or time.monotonic() - tries[0] > _EARLY_WITHIN_SECONDS

    @property
    def _away(self) -> bool:
        return bool(self._pauses.failures or self._refused_pauses.failures)

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


def _clock_time(in_seconds: float = 0.0) -> str:
    """Now, or later, as people read it: ``2026-03-01T08:15:00+01:00``."""
    return (datetime.now() + timedelta(seconds=in_seconds)).astimezone().isoformat(timespec="seconds")


def webcam_options(size: tuple[int, int] | None, fps: float | None, format: str | None) -> tuple[tuple[str, str], ...]:
    """What to request from a webcam, as options of FFmpeg's v4l2 demuxer."""
    requested: dict[str, Any] = {
        "video_size": f"{size[0]}x{size[1]}" if size else None,
        "framerate": f"{fps:g}" if fps else None,
        "input_format": format,
    }
    return tuple((name, value) for name, value in requested.items() if value is not None)

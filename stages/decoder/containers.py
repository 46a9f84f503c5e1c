"""Open what a decoder reads: checked files, cameras, and the stream to decode."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import av.error
from av.codec.hwaccel import HWAccel
from av.container import InputContainer
from av.video.stream import VideoStream

from pipeline.errors import InputError
from stages.decoder.inputs import PIPE, RTSP, InputKind
from stages.decoder.standard_input import StandardInput
from stages.shared.media_files import best_video_stream, open_media, reason, verified, video_streams


class SourceSilent(Exception):
    """A camera sent nothing within its timeout."""


@dataclass(frozen=True)
class Limits:
    """The largest frame that a container may hold."""

    max_width: int = 8192
    max_height: int = 8192

    @property
    def options(self) -> dict[str, str]:
        """FFmpeg's own check, which it makes before it allocates a frame."""
        return {"max_pixels": str(self.max_width * self.max_height)}

    def check(self, width: int, height: int, display: str) -> None:
        """Raise `InputError` for a larger frame."""
        if width > self.max_width or height > self.max_height:
            raise InputError(
                f"{display}: frames are {width}x{height} px, the limit is {self.max_width}x{self.max_height} px; "
                "raise the decoder's option max_size if the machine has enough memory"
            )


def open_file(path: Path, display: str, limits: Limits, hardware: HWAccel | None = None) -> InputContainer:
    """Open a video file or a single image, for `hardware` to decode, or the CPU.

    Raises:
        InputError: missing, unreadable, empty, or not a video.
    """
    check_file(path, display)
    try:
        return open_media(path, limits.options, hardware)
    except (av.error.FFmpegError, OSError, ValueError) as error:
        raise InputError(
            f"{display}: no video: {reason(error)}; {_found(path)}. "
            "Allowed are video files (mp4, mov, mkv, webm, avi, ts, ...), images, folders of images, rtsp:// and "
            "/dev/video0. An MP4 whose recording was cut off has no index and must be repaired first"
        ) from None


def check_file(path: Path, display: str) -> None:
    """Raise `InputError` for a path that cannot be a video file."""
    try:
        if not path.exists():
            raise InputError(f"{display}: no such file or folder; check the path (looked for {path.absolute()})")
        if not path.is_file():
            raise InputError(
                f"{display}: neither a file nor a folder; give a video file, a folder of images, or a camera"
            )
        with path.open("rb") as file:
            if not file.read(1):
                raise InputError(f"{display}: the file is empty (0 bytes); give a file that contains video")
    except OSError as error:
        raise InputError(f"{display}: cannot be read ({error.strerror}); check its permissions") from None


def open_rtsp(
    url: str,
    transport: str,
    timeout_seconds: float,
    limits: Limits,
    media: str = "video",
    ca_file: str | None = None,
    hardware: HWAccel | None = None,
) -> InputContainer:
    """Connect to a camera. Waits at most `timeout_seconds` for the connection, and as long again for the first frames.

    Raises:
        SourceSilent: nothing arrived in time.
        av.error.FFmpegError: anything else; its text may hold the URL's password, see `reason`.
    """
    options = {
        "rtsp_transport": transport,
        "allowed_media_types": media,
        "protocol_whitelist": RTSP.protocols,
        "timeout": str(int(timeout_seconds * 1e6)),
        **_LEAST_PROBING,
        **verified(ca_file),
        **limits.options,
    }
    return _open_live(url, options, timeout_seconds, hardware=hardware)


def open_url(
    kind: InputKind,
    url: str,
    timeout_seconds: float,
    limits: Limits,
    ca_file: str | None = None,
    poll_seconds: float | None = None,
) -> InputContainer:
    """Open a stream or a file by its URL, with no more protocols and formats than its kind needs.

    Args:
        kind: Of the URL.
        url: May hold a password.
        timeout_seconds: Longest wait for the connection and the first frames.
        limits: Of its frames.
        ca_file: Certificates (PEM) of which the server's must be signed by one; None: it is not checked.
        poll_seconds: Longest time that one read may block; None: `POLL_SECONDS`.

    Raises:
        As `open_rtsp`.
    """
    allowed = {"protocol_whitelist": kind.protocols, "format_whitelist": kind.formats}
    options = {**allowed, **kind.options, **verified(ca_file), **limits.options}
    return _open_live(
        url, {**_LITTLE_PROBING, **options} if kind.live else options, timeout_seconds, None, poll_seconds
    )


def open_pipe(file: StandardInput, display: str, limits: Limits) -> InputContainer:
    """Open a video that is piped in, and read once from its begin to its end.

    Raises:
        InputError: empty, or not a video.
    """
    options = {"protocol_whitelist": PIPE.protocols, "format_whitelist": PIPE.formats, **limits.options}
    try:
        return av.open(file, "r", None, options, metadata_errors="replace", buffer_size=_PIPE_BUFFER_BYTES)
    except (av.error.FFmpegError, OSError, ValueError) as error:
        found = f"{file.taken} bytes" if file.taken else "nothing"
        raise InputError(
            f"{display}: no video: {reason(error)}; found {found}. Pipe in MPEG-TS, Matroska, Y4M or another format "
            "that can be read from begin to end; an MP4 needs its index at the begin (ffmpeg -movflags faststart)"
        ) from None


def can_open(protocol: str) -> bool:
    """Whether this build of FFmpeg has a protocol."""
    try:
        av.open(f"{protocol}:", options={"protocol_whitelist": protocol}, timeout=1.0).close()
    except av.error.ProtocolNotFoundError:
        return False
    except (av.error.FFmpegError, OSError, ValueError):
        pass  # there is no such host; the protocol is known
    return True


def open_webcam(device: str, options: dict[str, str], timeout_seconds: float, limits: Limits) -> InputContainer:
    """Open a camera of this machine (v4l2). Raises as `open_rtsp`."""
    return _open_live(device, {**options, **limits.options}, timeout_seconds, format="v4l2")


def stream_to_decode(container: InputContainer, display: str, index: int | None, limits: Limits) -> VideoStream:
    """The video stream to decode: the one at `index`, or the best. Cover art does not count.

    Raises:
        InputError: there is none, its codec is unknown, or its frames are too large.
    """
    streams = video_streams(container)
    if not streams:
        kinds = sorted({stream.type for stream in container.streams} - {"video"}) or ["nothing"]
        raise InputError(f"{display}: contains no video (found: {', '.join(kinds)}); give a file or camera with video")
    if index is not None and index >= len(streams):
        raise InputError(
            f"{display}: no video stream {index}; it has {len(streams)}, numbered from 0; change option video_stream"
        )
    stream: Any = streams[index] if index is not None else best_video_stream(container)
    if stream.codec_context is None:
        raise InputError(f"{display}: no decoder for its video codec; convert the video, for instance to H.264")
    limits.check(stream.codec_context.width, stream.codec_context.height, display)
    return stream


def _open_live(
    name: str,
    options: dict[str, str],
    timeout_seconds: float,
    format: str | None = None,
    poll_seconds: float | None = None,
    hardware: HWAccel | None = None,
) -> InputContainer:
    timeout = (timeout_seconds, poll_seconds or POLL_SECONDS)
    try:
        return av.open(name, format=format, options=options, timeout=timeout, hwaccel=hardware)
    except av.error.ExitError:
        raise SourceSilent(f"nothing arrived within {timeout_seconds:g} s") from None


POLL_SECONDS = 2.5
"""Longest time that one read may block, so that a stop is noticed. FFmpeg forgets the times of a camera's next frames
whenever a read ends without one: it must be longer than a slow camera's step. Chosen by hand."""
_LEAST_PROBING = {"fpsprobesize": "0", "analyzeduration": "1", "probesize": "32"}
"""FFmpeg would watch the stream for five seconds, to guess its rate; frames tell that. Measured with a camera of 1, 2
and 25 frames/s: open after 2, 1 and 0.15 s instead of 7, 6 and 1.3."""
_LITTLE_PROBING = {"fpsprobesize": "0", "analyzeduration": "500000"}
"""As above, for streams whose header alone does not describe them. Half a second, chosen by hand. Measured with
FFmpeg's own senders: open after 0.6 s over UDP instead of 1.2, and after 0.8 s by RTMP instead of 5.2."""
_PIPE_BUFFER_BYTES = 1 << 20
"""Read at once from a pipe, whose frames may not be compressed. Chosen by hand."""

_MAGIC: tuple[tuple[bytes, str], ...] = (
    (b"#EXTM3U", "a playlist, which could lead to other files"),
    (b"ffconcat", "a playlist, which could lead to other files"),
    (b"%PDF", "a PDF document"),
    (b"PK\x03\x04", "a zip archive or an office document"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive"),
    (b"Rar!", "a rar archive"),
    (b"\x7fELF", "a program"),
    (b"<!DOCTYPE html", "a web page"),
    (b"<html", "a web page"),
)
"""How files begin that are given in place of videos. A web page is what a failed download leaves."""
_HEAD_BYTES = 4096
"""Read to tell what a file is. Chosen by hand."""


def _found(path: Path) -> str:
    """What the file is, as far as its beginning tells, for an error."""
    with path.open("rb") as file:
        head = file.read(_HEAD_BYTES)
    return f"found {_kind(head)}, {path.stat().st_size} bytes"


def _kind(head: bytes) -> str:
    begin = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    for magic, kind in _MAGIC:
        if begin[: len(magic)].lower() == magic.lower():
            return kind
    if b"<MPD" in head:
        return "a playlist, which could lead to other files"
    if not head.strip(b"\0"):
        return "zeros, as an unfinished download leaves them"
    if b"ftyp" in head[:12]:
        return "an MP4 or QuickTime file that is damaged or cut off"
    if _is_text(head):
        return "a text file"
    return "data of no video format that FFmpeg knows"


def _is_text(head: bytes) -> bool:
    try:
        text = head[: max(1, len(head) - 3)].decode()  # 3: a character may be cut in two
    except UnicodeDecodeError:
        return False
    return all(letter.isprintable() or letter.isspace() for letter in text)

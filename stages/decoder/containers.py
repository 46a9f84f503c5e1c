"""Open containers, with no more protocols and formats than the input needs.

A file must not lead to other files or to the network: playlists and concatenation scripts are not among the formats,
and ``file`` is the only protocol.
"""

from __future__ import annotations

import errno
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import av.error
from av.container import InputContainer
from av.stream import Disposition
from av.video.stream import VideoStream

from pipeline.errors import InputError

FILE_FORMATS = (
    "aa,aac,ac3,aiff,apng,asf,asf_o,au,av1,avi,avs,bink,caf,cavsvideo,dirac,dnxhd,dv,eac3,evc,flac,flv,gif,gxf,h261,h263,h264,"
    "hevc,ivf,kux,live_flv,lxf,m4v,matroska,webm,mjpeg,mjpeg_2000,mov,mp4,m4a,3gp,3g2,mj2,mp3,mpeg,mpegts,mpegvideo,mpjpeg,"
    "mxf,nsv,nut,obu,ogg,pmp,r3d,rm,roq,smjpeg,swf,vc1,vc1test,viv,vvc,w64,wav,wtv,wv,yuv4mpegpipe"
)
"""Demuxers that read one file and nothing else; the audio ones so that the error for an audio file is right."""
IMAGE_FORMATS = (
    "bmp_pipe,dpx_pipe,exr_pipe,gif,hdr_pipe,jpeg_pipe,jpegls_pipe,jpegxl_pipe,j2k_pipe,pam_pipe,pbm_pipe,pcx_pipe,pgm_pipe,"
    "pgmyuv_pipe,pgx_pipe,phm_pipe,pfm_pipe,png_pipe,ppm_pipe,psd_pipe,qoi_pipe,sgi_pipe,sunrast_pipe,tiff_pipe,webp_pipe,"
    "xbm_pipe,xpm_pipe,xwd_pipe"
)
RTSP_PROTOCOLS = "rtsp,rtsps,rtp,rtcp,srtp,tcp,udp,tls,http,https"


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


def open_file(path: Path, display: str, limits: Limits) -> InputContainer:
    """Open a video file or a single image.

    Raises:
        InputError: missing, unreadable, empty, or not a video.
    """
    check_file(path, display)
    options = {
        "protocol_whitelist": "file",
        "format_whitelist": f"{FILE_FORMATS},{IMAGE_FORMATS}",
        **limits.options,
    }
    try:
        # Without "file:" FFmpeg would take a name with a colon for a protocol.
        return av.open(f"file:{path.absolute()}", options=options)
    except (av.error.FFmpegError, ValueError) as error:
        raise InputError(
            f"{display}: not a readable video ({reason(error)}); found {_kind(path)}. "
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


def open_rtsp(url: str, transport: str, timeout_seconds: float, limits: Limits, media: str = "video") -> InputContainer:
    """Connect to a camera. Waits at most `timeout_seconds` for the connection, and as long again for the first frames.

    Raises:
        SourceSilent: nothing arrived in time.
        av.error.FFmpegError: anything else; its text may hold the URL's password, see `reason`.
    """
    options = {
        "rtsp_transport": transport,
        "allowed_media_types": media,
        "protocol_whitelist": RTSP_PROTOCOLS,
        "timeout": str(int(timeout_seconds * 1e6)),
        **limits.options,
    }
    return _open_live(url, options, timeout_seconds)


def open_webcam(device: str, options: dict[str, str], timeout_seconds: float, limits: Limits) -> InputContainer:
    """Open a camera of this machine (v4l2). Raises as `open_rtsp`."""
    return _open_live(device, {**options, **limits.options}, timeout_seconds, format="v4l2")


def best_video_stream(container: InputContainer, display: str, index: int | None, limits: Limits) -> VideoStream:
    """The video stream to decode: the one at `index`, or the best. Cover art does not count.

    Raises:
        InputError: there is none, its codec is unknown, or its frames are too large.
    """
    streams = [stream for stream in container.streams.video if not stream.disposition & Disposition.attached_pic]
    if not streams:
        kinds = sorted({stream.type for stream in container.streams} - {"video"}) or ["nothing"]
        raise InputError(f"{display}: contains no video (found: {', '.join(kinds)}); give a file or camera with video")
    if index is not None and index >= len(streams):
        raise InputError(
            f"{display}: no video stream {index}; it has {len(streams)}, numbered from 0; change option video_stream"
        )
    best = container.streams.best("video")
    stream: Any = streams[index] if index is not None else best if best in streams else streams[0]
    if stream.codec_context is None:
        raise InputError(f"{display}: no decoder for its video codec; convert the video, for instance to H.264")
    limits.check(stream.codec_context.width, stream.codec_context.height, display)
    return stream


def reason(error: Exception) -> str:
    """FFmpeg's error message without the file name or URL, which may hold a password."""
    if isinstance(error, OSError) and error.errno == errno.EIO:
        return "input/output error"
    text = getattr(error, "strerror", None)
    return str(text or type(error).__name__).lower()


def _open_live(name: str, options: dict[str, str], timeout_seconds: float, format: str | None = None) -> InputContainer:
    try:
        return av.open(name, format=format, options=options, timeout=(timeout_seconds, _POLL_SECONDS))
    except av.error.ExitError:
        raise SourceSilent(f"nothing arrived within {timeout_seconds:g} s") from None


_POLL_SECONDS = 0.5
"""Longest time that one read may block, so that a stop is noticed. A run is expected to stop within a second."""


def _kind(path: Path) -> str:
    with path.open("rb") as file:
        head = file.read(64)
    if head.startswith((b"#EXTM3U", b"ffconcat")) or b"<MPD" in head:
        return "a playlist, which could lead to other files"
    return f"{path.stat().st_size} bytes that start with {head[:16]!r}"

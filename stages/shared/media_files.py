"""Open video files, with no more protocols and formats than they need.

A file must not lead to other files or to the network: playlists and concatenation scripts are not among the formats,
and ``file`` is the only protocol; for a file that is read over HTTP it is HTTP's.
"""

from __future__ import annotations

import errno
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import av.error
from av.codec.hwaccel import HWAccel
from av.container import InputContainer
from av.stream import Disposition
from av.video.stream import VideoStream

VIDEO_FORMATS = (
    "asf,asf_o,av1,avi,avs,bink,cavsvideo,dirac,dnxhd,dv,evc,flv,gif,gxf,h261,h263,h264,hevc,ivf,kux,live_flv,lxf,m4v,"
    "matroska,webm,mjpeg,mov,mp4,m4a,3gp,3g2,mj2,mpeg,mpegts,mpegvideo,mpjpeg,mxf,nsv,nut,obu,ogg,pmp,r3d,rm,roq,smjpeg,"
    "swf,vc1,vc1test,vivo,vvc,wtv,yuv4mpegpipe"
)
"""Demuxers of video that read one file and nothing else."""
AUDIO_FORMATS = "aa,aac,ac3,aiff,au,caf,eac3,flac,mp3,w64,wav,wv"
"""Taken too, so that the error for a file of sound is right."""
HTTP_PROTOCOLS = "http,https,httpproxy,tcp,tls"
HTTP_FILE_OPTIONS = {"reconnect": "1", "reconnect_on_network_error": "1", "reconnect_delay_max": "5"}
"""FFmpeg's, for a file that is read in place over HTTP."""
_HTTP_TIMEOUT_SECONDS = 10.0
"""Of a connection, and of one read. Chosen by hand: as the decoder's."""
IMAGE_FORMATS = (
    "apng,bmp_pipe,dpx_pipe,exr_pipe,gif,hdr_pipe,jpeg_pipe,jpegls_pipe,jpegxl_pipe,j2k_pipe,mjpeg_2000,pam_pipe,pbm_pipe,"
    "pcx_pipe,pgm_pipe,pgmyuv_pipe,pgx_pipe,phm_pipe,pfm_pipe,png_pipe,ppm_pipe,psd_pipe,qoi_pipe,sgi_pipe,sunrast_pipe,"
    "tiff_pipe,webp_pipe,xbm_pipe,xpm_pipe,xwd_pipe"
)


@dataclass(frozen=True)
class RemoteFile:
    """A file that is read in place over HTTP."""

    url: str
    """May hold a password."""
    ca_file: str | None = None
    """Certificates (PEM) of which the server's must be signed by one; None: it is not checked."""


def open_media(
    source: Path | RemoteFile, options: dict[str, str] | None = None, hardware: HWAccel | None = None
) -> InputContainer:
    """Open a video file or a single image, and nothing else that it may point to.

    Args:
        source: The file.
        options: Of FFmpeg, besides those that keep it to this file.
        hardware: What decodes its video; None: the CPU.

    Raises:
        OSError, av.error.FFmpegError, ValueError: The file cannot be opened, or is of none of the formats.
    """
    given = {"format_whitelist": f"{VIDEO_FORMATS},{AUDIO_FORMATS},{IMAGE_FORMATS}", **(options or {})}
    if isinstance(source, RemoteFile):
        given |= {"protocol_whitelist": HTTP_PROTOCOLS, **HTTP_FILE_OPTIONS, **verified(source.ca_file)}
        return av.open(source.url, "r", options=given, metadata_errors="replace", timeout=_HTTP_TIMEOUT_SECONDS)
    given = {"protocol_whitelist": "file", **given}
    return av.open(ffmpeg_name(source), "r", options=given, metadata_errors="replace", hwaccel=hardware)


def verified(ca_file: str | None) -> dict[str, str]:
    """FFmpeg's options that make it check a server's certificate by those in `ca_file`."""
    return {} if ca_file is None else {"ca_file": ca_file, "tls_verify": "1"}


def ffmpeg_name(path: Path) -> str:
    """The name by which FFmpeg opens exactly this file: it takes ``10:30.mp4`` for a protocol, ``-`` for an option."""
    return f"file:{path.absolute()}"


def video_streams(container: InputContainer) -> list[VideoStream]:
    """The streams that hold video, in order; cover art is none."""
    return [stream for stream in container.streams.video if not stream.disposition & Disposition.attached_pic]


def best_video_stream(container: InputContainer) -> VideoStream | None:
    """The stream that FFmpeg thinks best of `video_streams`, or their first; None if there are none."""
    streams = video_streams(container)
    best: Any = container.streams.best("video")
    return best if best in streams else next(iter(streams), None)


def reason(error: Exception) -> str:
    """FFmpeg's error message without the file name or URL, which may hold a password."""
    if isinstance(error, OSError) and error.errno == errno.EIO:
        return "input/output error"
    text = getattr(error, "strerror", None)
    return str(text or type(error).__name__).lower()

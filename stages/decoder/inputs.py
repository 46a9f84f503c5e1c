"""Kinds of input, and what FFmpeg may open for each: protocols and formats by name, and nothing else.

So a playlist, or a server that answers with something else than was asked for, leads to no file and to no other
protocol. The address alone tells the kind: nothing is asked of the network before the input is read.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from urllib.parse import urlsplit

from pipeline.input_paths import STANDARD_INPUT, scheme_of
from pipeline.stage import VIDEO_SUFFIXES
from stages.shared.media_files import HTTP_FILE_OPTIONS, HTTP_PROTOCOLS, VIDEO_FORMATS

_PLAYLIST_SUFFIX = ".m3u8"
_TLS_TCP = "tcp,tls"


@dataclass(frozen=True)
class InputKind:
    """What is read in one way."""

    called: str
    """For messages."""
    schemes: tuple[str, ...]
    protocols: str
    """FFmpeg's, that may be used for it."""
    formats: str
    """FFmpeg's demuxers that may read it; those of its parts among them."""
    live: bool = True
    """Cannot be paused or read a second time, and has no end."""
    paced: bool = False
    """Comes in bursts, ahead of its time: frames are shown at the pace of their time stamps."""
    timed_by_arrival: bool = False
    """Has no time stamps of its own."""
    options: dict[str, str] = field(default_factory=dict)
    """Further ones of FFmpeg."""


RTSP = InputKind(
    "RTSP camera", ("rtsp", "rtsps"), "rtsp,rtsps,rtp,rtcp,srtp,udp,http,https,tcp,tls", "rtsp,sdp,rtp,mpegts"
)
WEBCAM = InputKind("webcam", (), "", "v4l2")
HTTP_STREAM = InputKind("stream over HTTP", ("http", "https"), HTTP_PROTOCOLS, "mpjpeg,mjpeg", timed_by_arrival=True)
HLS = InputKind("HLS playlist", ("http", "https"), f"{HTTP_PROTOCOLS},crypto", "hls,mpegts,mov,mp4", paced=True)
RTMP = InputKind("RTMP stream", ("rtmp", "rtmps"), f"rtmp,rtmps,{_TLS_TCP}", "flv,live_flv")
SRT = InputKind("SRT stream", ("srt",), "srt,udp", "mpegts")
UDP = InputKind("MPEG-TS over UDP", ("udp",), "udp", "mpegts", options={"overrun_nonfatal": "1"})
HTTP_FILE = InputKind(
    "file over HTTP",
    ("http", "https"),
    HTTP_PROTOCOLS,
    VIDEO_FORMATS,
    live=False,
    options=HTTP_FILE_OPTIONS,
)
PIPE = InputKind("standard input", (), "", VIDEO_FORMATS, live=False)

_BY_SCHEME = {scheme: kind for kind in (RTSP, RTMP, SRT, UDP) for scheme in kind.schemes}
ALLOWED = (
    "video files, folders of images, rtsp:// and rtsps://, /dev/video0, http:// and https:// (a video file, an HLS "
    "playlist .m3u8, or MJPEG), rtmp:// and rtmps://, udp:// (MPEG-TS), srt://, and - for standard input"
)
"""What an input may be, for errors."""


def kind_of(input: str) -> InputKind | None:
    """The kind of an input; None for a path, and for a URL of another scheme.

    Over HTTP the suffix of the path tells: ``.m3u8`` is a playlist, a video's is a file, anything else MJPEG.
    """
    if input == STANDARD_INPUT:
        return PIPE
    if re.fullmatch(r"/dev/video\d+", input):
        return WEBCAM
    scheme = scheme_of(input)
    if scheme in ("http", "https"):
        suffix = _suffix(input)
        return HLS if suffix == _PLAYLIST_SUFFIX else HTTP_FILE if suffix in VIDEO_SUFFIXES else HTTP_STREAM
    return _BY_SCHEME.get(scheme or "")


def fault_of(url: str, kind: InputKind) -> str | None:
    """What is wrong with the address of an input, as far as it tells by itself; None: nothing."""
    if kind not in (RTSP, RTMP, HTTP_STREAM, HLS, HTTP_FILE):  # the others may listen, and need no host
        return None
    place = re.split(r"[/?#]", url.partition("://")[2], maxsplit=1)[0].rpartition("@")[2]
    host, _, port = place.rpartition("]")[2].partition(":")
    if not host and "]" not in place:
        return f"the host is missing; write {kind.schemes[0]}://HOST/PATH"
    if port and not port.isdecimal():
        return (
            "the port is no number. In a password, write / as %2F, ? as %3F, # as %23 and @ as %40; or take it from "
            "the environment, as it is: 'rtsp://user:${CAM_PASSWORD}@HOST/PATH'"
        )
    return None


def _suffix(url: str) -> str:
    try:
        return PurePosixPath(urlsplit(url).path).suffix.lower()
    except ValueError:  # a password with reserved characters
        return ""

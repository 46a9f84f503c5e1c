"""Which files of a folder are videos: by FFmpeg's own lists of suffixes, and where those hold others too, by a look."""

from __future__ import annotations

import functools
import mimetypes
from pathlib import Path

import av
from av.error import FFmpegError

from pipeline.stage import VIDEO_SUFFIXES
from stages.shared.media_files import open_media, video_streams

_TEXT = "tty"
"""FFmpeg's format that shows any text as a video of a terminal."""
_BARE = ("rawvideo", "bitpacked", "v210", "v210x")
"""FFmpeg's formats of pixels without a header: nobody knows their size."""
_LISTS = ("hls", "dash", "ffmetadata")
"""FFmpeg's formats of text that names other files."""
_UNLISTED = frozenset(
    (
        ".360",
        ".divx",
        ".dvr-ms",
        ".evo",
        ".insv",
        ".lrv",
        ".m2p",
        ".mod",
        ".mpe",
        ".mpv",
        ".ogm",
        ".qt",
        ".rmvb",
        ".tod",
    )
    + (".tp", ".trp", ".vro")
)
"""Other names of its formats, by cameras and recorders."""
_STILL = "image2"
"""FFmpeg's format of single images; it lists their suffixes."""
_OTHER_IMAGES = frozenset((".avif", ".heic", ".heif", ".jxl", ".mpo", ".webp", ".ico"))
"""Images that it lists under formats of their own."""


def left_out(path: str) -> str | None:
    """Why a file that lies in a folder is not read, or None.

    FFmpeg lists the suffixes of its formats, those of sound and subtitles among them. So a file whose suffix is none of
    `VIDEO_SUFFIXES` is opened, and read if it has a stream of video that is no cover picture.
    """
    suffix = Path(path).suffix.lower()
    if suffix in VIDEO_SUFFIXES:
        return None
    return None if suffix in _listed() and _has_video(path) else "no video"


@functools.cache
def _listed() -> frozenset[str]:
    """Suffixes that FFmpeg reads or writes, without those of text and of single images."""
    suffixes: set[str] = set()
    images: set[str] = set(_OTHER_IMAGES)
    for name in av.formats_available - {_TEXT, *_BARE, *_LISTS}:
        given = av.ContainerFormat(name).extensions
        (images if name.startswith(_STILL) else suffixes).update(f".{each}" for each in given)
    return frozenset(each for each in (suffixes | _UNLISTED) - images if not _is_text(each))


def _is_text(suffix: str) -> bool:
    return (mimetypes.guess_type(f"file{suffix}")[0] or "").startswith("text/")


def _has_video(path: str) -> bool:
    try:
        with open_media(Path(path)) as container:
            return bool(video_streams(container))
    except (OSError, ValueError, FFmpegError):
        return False

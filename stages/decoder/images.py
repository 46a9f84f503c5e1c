"""Folders of images."""

from __future__ import annotations

import io
import re
from pathlib import Path

import av
import av.error

from pipeline.errors import InputError
from stages.decoder.containers import Limits
from stages.shared.media_files import IMAGE_FORMATS

SUFFIXES = frozenset({".bmp", ".jpeg", ".jpg", ".pbm", ".pgm", ".png", ".pnm", ".ppm", ".tif", ".tiff", ".webp"})


def list_images(folder: Path, display: str) -> list[Path]:
    """The images in a folder, in natural order: ``2.png`` before ``10.png``.

    Raises:
        InputError: the folder holds no image, or cannot be read.
    """
    try:
        paths = [path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES and not path.name.startswith(".")]
    except OSError as error:
        raise InputError(f"{display}: the folder cannot be read ({error.strerror}); check its permissions") from None
    if not paths:
        raise InputError(
            f"{display}: no images in this folder; allowed are files ending in {', '.join(sorted(SUFFIXES))}. "
            f"If it is a folder of videos, run each of them: raftline batch CONFIG {display} -o DIR"
        )
    return sorted(paths, key=lambda path: _natural(path.name))


def read_image(path: Path, display: str, limits: Limits) -> av.VideoFrame | None:
    """Decode one image; None if it is damaged.

    Raises:
        InputError: the image is larger than the limit.
    """
    options = {"protocol_whitelist": "", "format_whitelist": IMAGE_FORMATS, **limits.options}
    try:
        with av.open(io.BytesIO(path.read_bytes()), options=options) as container:
            stream = container.streams.video[0]
            limits.check(stream.codec_context.width, stream.codec_context.height, f"{display}/{path.name}")
            stream.codec_context.options = limits.options
            return next(container.decode(stream))
    except (av.error.FFmpegError, OSError, IndexError, StopIteration, ValueError):
        return None


def _natural(name: str) -> list[tuple[int, int, str]]:
    parts = re.split(r"(\d+)", name.lower())
    return [(0, int(part), "") if part.isdigit() else (1, 0, part) for part in parts] + [(2, 0, name)]

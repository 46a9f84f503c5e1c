"""Small clips made by recipe, with PyAV alone: frame `n` is told from its brightness."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

STEP = 9
"""Difference in brightness from frame to frame; far above what coding changes."""


def shade(index: int) -> int:
    """Luma of frame `index` of a clip, 30 at first."""
    return 30 + STEP * (index % 20)


def write_clip(
    path: Path,
    frames: int = 10,
    size: tuple[int, int] = (64, 48),
    codec: str = "libx264",
    pix_fmt: str = "yuv420p",
    pts: Sequence[int] | None = None,
    time_base: Fraction = Fraction(1, 25),
    container_options: dict[str, str] | None = None,
    first: int = 0,
    rotation: int | None = None,
    mirrored: tuple[bool, bool] = (False, False),
    tags: tuple[int, int] | None = None,
    format: str | None = None,
) -> Path:
    """Write a clip of plain frames, the left half darker than the right.

    Args:
        pts: of the frames, in `time_base`; by default 0, 1, 2, ...
        first: index of the first frame, for the brightness.
        rotation: degrees counter-clockwise, to be written as display matrix.
        mirrored: left-right and top-bottom, after the rotation.
        tags: AVColorSpace and AVColorRange.
    """
    with av.open(str(path), "w", format=format, container_options=container_options) as container:
        stream: Any = container.add_stream(codec, rate=round(1 / time_base))
        stream.width, stream.height = size
        stream.pix_fmt = pix_fmt
        stream.codec_context.time_base = time_base
        if tags is not None:
            stream.codec_context.colorspace, stream.codec_context.color_range = tags
        if rotation is not None:
            stream.set_display_rotation(rotation, *mirrored)
        for index in range(frames):
            frame = plain_frame(size, shade(first + index), pix_fmt)
            frame.pts = index if pts is None else pts[index]
            frame.time_base = time_base
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def plain_frame(size: tuple[int, int], value: int, pix_fmt: str = "yuv420p") -> Any:
    """A grey image, its left half 20 darker."""
    image = np.full((size[1], size[0]), value, np.uint8)
    image[:, : size[0] // 2] -= 20
    frame = av.VideoFrame.from_ndarray(image, "gray")
    # Grey to YUV as it stands: both ends of the conversion are called full range.
    return frame.reformat(format=pix_fmt, src_color_range=2, dst_color_range=2) if pix_fmt != "gray" else frame


def write_sound(path: Path) -> Path:
    """A second of silence."""
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream("aac", rate=48000)
        stream.layout = "mono"
        for index in range(10):
            frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), "fltp", "mono")
            frame.sample_rate, frame.pts = 48000, index * 1024
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def join(path: Path, parts: Iterable[Path]) -> Path:
    """MPEG transport streams one after another are one."""
    path.write_bytes(b"".join(part.read_bytes() for part in parts))
    return path


def brightness(frame: Any) -> float:
    """Mean luma of the right half of a `pipeline.messages.Frame`, in 8 bits."""
    plane = np.asarray(frame.planes[0]) / (4 if frame.format == "yuv420p10" else 1)
    return float(plane[:, plane.shape[1] // 2 + 1 :].mean()) if plane.shape[1] > 2 else float(plane.mean())

"""Video of fixed cameras: a road whose events another program told, and a still scene in which nothing happens."""

from __future__ import annotations

import re
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np

from benchmarks.motion_masks.clips import read_rgb
from pipeline.messages import Frame, Header
from stages.shared.color import plane_array

STILL_FPS = 10
_STILL_SIZE = (640, 360)
_NOISE_SIGMA = 5.0
"""Grey levels: a cheap camera at dusk."""
_BIT_RATE = 500_000
"""b/s: low enough for coding to show."""


def video_frames(path: Path, every: int = 1, size: tuple[int, int] | None = None) -> Iterator[Frame]:
    """Each `every`-th frame of a file as planar YUV, scaled to `size` (width, height) where given."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        stream.thread_type = "AUTO"
        for number, decoded in enumerate(container.decode(stream)):
            if number % every:
                continue
            at = number // every
            width, height = size or (decoded.width, decoded.height)
            image = decoded.reformat(width, height, "yuv420p", interpolation="AREA")
            planes = tuple(plane_array(plane) for plane in image.planes)
            header = Header("clip", decoded.pts, Fraction(stream.time_base or 1), 10**18, 1, at + 1)
            yield Frame(header, at, width, height, "yuv420p", planes, "bt709", "tv")


def told_events(text: Path, fps: float) -> tuple[list[tuple[float, float]], tuple[int, int, int, int]]:
    """Begin and end in s of the events that DVR-Scan found, and its region (x, y, width, height) in px."""
    said = text.read_text()
    rows = re.findall(r"^\|\s+\d+ \|\s+(\d+) \|\s+(\d+) \|", said, re.MULTILINE)
    region = re.search(r"roi = \[(\d+), (\d+), (\d+), (\d+)\]", said)
    if not rows or region is None:
        raise ValueError(f"{text} tells no events with frames, or no region")
    x, y, width, height = (int(value) for value in region.groups())
    return [(int(first) / fps, int(last) / fps) for first, last in rows], (x, y, width, height)


def write_still_video(path: Path, photograph: Path, minutes: float) -> None:
    """A still scene, 640x360 at 10 fps, H.264 at 500 kb/s: noise of sigma 5, and light that changes.

    Every 20 s the exposure jumps by up to a third; in between the light drifts by a sixth over a minute; every 70 s
    the camera switches to infrared for 35 s: grey, darker, and with other contrasts.
    """
    rng = np.random.default_rng(0)
    scene = cv2.resize(read_rgb(photograph), _STILL_SIZE, interpolation=cv2.INTER_AREA).astype(np.float32)
    infrared = np.repeat(255 * (scene[..., :1] / 255) ** 0.6 * 0.5 + 0.25 * scene[..., 1:2], 3, axis=2)
    jumps = rng.uniform(0.75, 1.33, int(minutes * 3) + 1)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", STILL_FPS)
        stream.width, stream.height = _STILL_SIZE
        stream.pix_fmt, stream.bit_rate = "yuv420p", _BIT_RATE
        for at in range(int(minutes * 60 * STILL_FPS)):
            seconds = at / STILL_FPS
            light = jumps[int(seconds / 20)] * (1 + np.sin(2 * np.pi * seconds / 120) / 6)
            shown = infrared if seconds % 70 >= 35 else scene
            noise = rng.standard_normal((_STILL_SIZE[1], _STILL_SIZE[0], 1), np.float32) * _NOISE_SIGMA
            image = np.clip(shown * light + noise, 0, 255).astype(np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode())

"""The videos that the commands work on, made once by a recipe."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import av
import cv2
import numpy as np

from benchmarks.data import needed_data
from benchmarks.motion_masks.clips import read_rgb

HD_FRAMES = 240
CAMERA_SIZE = (768, 432)
CAMERA_FPS = 10
VISITS_SECONDS = 139
STILL_SECONDS = 60
_NOISE_SIGMA = 2.0
"""Grey levels: a camera by day."""
_VISIT_EVERY_SECONDS, _VISIT_SECONDS = 25.0, 6.0


def handheld() -> Path:
    """640x360, 8.5 s, held in the hand."""
    return needed_data() / "video" / "shaky" / "meshflow-3.m4v"


def handheld_start(folder: Path) -> Path:
    """Its first frames, as they are coded."""
    path = folder / "handheld_start.mp4"
    copy = ["-c", "copy", "-frames:v", "12"]
    subprocess.run(["ffmpeg", "-v", "error", "-y", "-i", handheld(), *copy, path], check=True)
    return path


def handheld_hd(folder: Path) -> Path:
    """The same, scaled to 1920x1080, 240 frames."""
    path = folder / "handheld_1080p.mp4"
    scale = ["-vf", "scale=1920:1080:flags=bicubic", "-frames:v", str(HD_FRAMES)]
    encode = ["-c:v", "libx264", "-preset", "fast", "-crf", "18", "-pix_fmt", "yuv420p"]
    subprocess.run(["ffmpeg", "-v", "error", "-y", "-i", handheld(), *scale, *encode, path], check=True)
    return path


def visits(folder: Path) -> Path:
    """A fixed camera, 768x432 at 10 frames/s, 139 s: every 25 s somebody walks by for 6 s."""
    return _fixed_camera(folder / "visits.mp4", VISITS_SECONDS, visited=True)


def scaled(clip: Path, size: tuple[int, int]) -> Path:
    """A clip at another size (width, height)."""
    path = clip.with_stem(f"{clip.stem}_{size[0]}x{size[1]}")
    scale = ["-vf", f"scale={size[0]}:{size[1]}", "-c:v", "libx264", "-crf", "23", "-pix_fmt", "yuv420p"]
    subprocess.run(["ffmpeg", "-v", "error", "-y", "-i", clip, *scale, path], check=True)
    return path


def still(folder: Path, seconds: int) -> Path:
    """The same camera, with nobody there."""
    return _fixed_camera(folder / "still.mp4", seconds, visited=False)


def told_visits() -> list[tuple[float, float]]:
    """Begin and end in s of what moves in `visits`."""
    count = int(VISITS_SECONDS // _VISIT_EVERY_SECONDS)
    begins = [_VISIT_EVERY_SECONDS * number + 10 for number in range(count + 1)]
    return [(begin, begin + _VISIT_SECONDS) for begin in begins if begin + _VISIT_SECONDS < VISITS_SECONDS]


def _fixed_camera(path: Path, seconds: int, visited: bool) -> Path:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", CAMERA_FPS, options={"crf": "23"})
        stream.width, stream.height = CAMERA_SIZE
        stream.pix_fmt = "yuv420p"
        for image in _images(seconds, visited):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode())
    return path


def _images(seconds: int, visited: bool) -> Iterator[np.ndarray]:
    rng = np.random.default_rng(0)
    wide, high = CAMERA_SIZE
    photograph = min((needed_data() / "textures").glob("*.*g"))
    scene = cv2.resize(read_rgb(photograph), CAMERA_SIZE, interpolation=cv2.INTER_AREA).astype(np.float32)
    person = cv2.GaussianBlur(rng.uniform(20, 120, (90, 34, 3)).astype(np.float32), (0, 0), 2)
    for at in range(seconds * CAMERA_FPS):
        image = scene.copy()
        for begin, end in told_visits() if visited else ():
            share = (at / CAMERA_FPS - begin) / (end - begin)
            if 0 <= share < 1:
                left = round(share * (wide - 34))
                image[high // 2 : high // 2 + 90, left : left + 34] = person
        noise = rng.standard_normal((high, wide, 1), np.float32) * _NOISE_SIGMA
        yield np.clip(image + noise, 0, 255).astype(np.uint8)

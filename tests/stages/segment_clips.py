"""Small shaken clips that are cut into segments: their key frames, times and containers by recipe."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np

from tests.raftline.synthetic_motion import textured

FRAMES, WIDTH, HEIGHT = 30, 128, 96
STABILIZED = """
name: long
stages:
  decoder: {use: "stages.decoder:Decoder"}
  flow:
    use: "stages.flow:OpticalFlow"
    reads: decoder
    options: {estimator: dis, section_minutes: 0.005}
  stabilization:
    use: "stages.stabilization:Stabilization"
    reads: flow
    options: {plot: null, section_minutes: 0.005}
  video: {use: "stages.video_writer:VideoWriter", reads: stabilization, options: {path: "{source}.mkv", codec: ffv1}}
"""
"""Stabilized without loss, so that frames can be compared."""
_ROOM = 24
X264 = "keyint=6:min-keyint=6:scenecut=0:bframes=2:b-adapt=0"
X265 = "keyint=6:min-keyint=6:scenecut=0:bframes=3:b-adapt=0:log-level=none"
RECIPES: dict[str, dict[str, Any]] = {
    "closed.mp4": {"codec": "libx264", "options": {"x264-params": f"{X264}:open-gop=0"}},
    "open.mp4": {"codec": "libx264", "options": {"x264-params": f"{X264}:open-gop=1"}},
    "open_hevc.mkv": {"codec": "libx265", "options": {"x265-params": f"{X265}:open-gop=1"}},
    "open_hevc.mp4": {"codec": "libx265", "options": {"x265-params": f"{X265}:open-gop=1"}},
    "variable.mkv": {"codec": "libx264", "options": {"x264-params": X264}, "step": lambda n: 1 + n % 3},
    "late.ts": {"codec": "libx264", "options": {"x264-params": X264}, "begin": 3600 * 30},
    "early.mp4": {"codec": "libx264", "options": {"x264-params": X264}, "begin": -5},
    "intra.mov": {"codec": "mjpeg", "options": {}, "pix_fmt": "yuvj420p"},
}
"""``early``: frames from before 0, which an edit list leaves out."""


def write_shaken(path: Path, frames: int = FRAMES, sound: bool = False) -> Path:
    """Write the clip that the name of `path` stands for."""
    recipe = RECIPES[path.name]
    pixels = recipe.get("pix_fmt", "yuv420p")
    pts = recipe.get("begin", 0)
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream(recipe["codec"], rate=30, options=recipe["options"])
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, pixels
        stream.codec_context.time_base = Fraction(1, 30)
        stream.codec_context.thread_count = 1
        tone: Any = container.add_stream("aac", rate=8000) if sound else None
        if tone is not None:
            tone.layout = "mono"
        for at in range(frames):
            frame = _picture(at, pixels)
            frame.pts, frame.time_base = pts, Fraction(1, 30)
            pts += recipe.get("step", lambda n: 1)(at)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
        if tone is not None:
            for at in range(frames * 8000 // 30 // 1024):
                samples = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), "fltp", "mono")
                samples.sample_rate, samples.pts = 8000, at * 1024
                container.mux(tone.encode(samples))
            container.mux(tone.encode(None))
    return path


def _picture(at: int, pixels: str) -> av.VideoFrame:
    world = textured(WIDTH + 2 * _ROOM, HEIGHT + 2 * _ROOM, 3)
    x, y = 8 * np.sin(0.9 * at) + 4 * np.sin(2.3 * at), 6 * np.cos(1.1 * at)
    shift = np.array([[1, 0, x - _ROOM], [0, 1, y - _ROOM]], np.float64)
    luma = cv2.warpAffine(world, shift, (WIDTH, HEIGHT), flags=cv2.INTER_LINEAR)
    chroma = np.full((HEIGHT // 2, WIDTH), 128, np.uint8)
    return av.VideoFrame.from_ndarray(np.concatenate([luma, chroma]).astype(np.uint8), pixels)

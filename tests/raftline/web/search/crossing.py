"""A recording in which something crosses the picture."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path
from typing import Any

import av

from tests.raftline.synthetic_motion import HEIGHT, WIDTH, textured

FPS, FRAMES = 10, 60
BEGINS, STEP_PX = 20, 6
"""The first frame in which it moves, to the right, and how far in each."""
SIZE = 40
BEGIN = 1_770_000_000.0


def record(folder: Path, name: str, source: str, at: float = BEGIN) -> Path:
    """Write the clip and what the recorder says of it."""
    folder.mkdir(parents=True, exist_ok=True)
    begin_ns = int(at * 1e9)
    told = {"source": source, "begin_ns": begin_ns, "end_ns": begin_ns + FRAMES * 10**9 // FPS, "events": []}
    (folder / f"{name}.json").write_text(json.dumps({**told, "begin_seconds": 0.0}))
    write(path := folder / f"{name}.mp4")
    return path


def write(path: Path) -> None:
    """A textured square stands at the left, and goes to the right from frame `BEGINS` on."""
    world, square = textured(WIDTH, HEIGHT), textured(SIZE, SIZE, seed=9)
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream("libx264", FPS, options={"preset": "ultrafast"})
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        for index in range(FRAMES):
            image, left = world.copy(), STEP_PX * max(0, index - BEGINS)
            top = (HEIGHT - SIZE) // 2
            room = image[top : top + SIZE, left : left + SIZE]
            room[:] = square[:, : room.shape[1]]
            frame = av.VideoFrame.from_ndarray(image.astype("uint8"), "gray")
            frame.pts, frame.time_base = index, Fraction(1, FPS)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())

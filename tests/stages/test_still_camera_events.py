"""A camera that stands and sees something now and then: the same events whether still frames are skipped or not."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from pipeline.messages import Flow, Frame, Header, Message
from pipeline.testing import TestContext, run_stage
from stages.flow import OpticalFlow
from stages.motion_mask import MotionMask
from stages.shared.color import plane_array
from tests.raftline.synthetic_motion import textured
from tests.stages.moving_clip import masks_of

WIDTH, HEIGHT, FPS, SECONDS = 320, 192, 10, 20
BEGINS, ENDS = 8, 13
"""Seconds from and to which something crosses the frame."""
WORLD, THING = textured(WIDTH, HEIGHT).astype(np.float32), textured(24, 40, seed=9).astype(np.float32)


def scene(seconds: float, contrast: float, noise: np.ndarray) -> np.ndarray:
    """uint8 (h, w): a thing of 24x40 px goes right at 60 px/s, sinking a little and rising again."""
    image = WORLD.copy()
    if BEGINS <= seconds < ENDS:
        x, y = 8 + 60 * (seconds - BEGINS), 90 + 4 * np.sin(5 * seconds)
        to = np.array([[1, 0, x], [0, 1, y]], np.float64)
        drawn = cv2.warpAffine(THING, to, (WIDTH, HEIGHT))
        covered = cv2.warpAffine(np.ones_like(THING), to, (WIDTH, HEIGHT)) * contrast
        image += (drawn - image) * covered
    return np.clip(np.rint(image + noise), 0, 255).astype(np.uint8)


def coded(path: Path, contrast: float, sigma: float, bits_per_second: int) -> Iterator[Frame]:
    """The scene as H.264 with a key frame every 4 s, decoded again."""
    rng = np.random.default_rng(0)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", FPS, {"g": str(4 * FPS), "bf": "0", "preset": "veryfast"})
        stream.width, stream.height, stream.pix_fmt, stream.bit_rate = WIDTH, HEIGHT, "yuv420p", bits_per_second
        for at in range(SECONDS * FPS):
            image = scene(at / FPS, contrast, rng.standard_normal((HEIGHT, WIDTH), np.float32) * sigma)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="gray8")))
        container.mux(stream.encode())
    with av.open(str(path)) as container:
        for at, decoded in enumerate(container.decode(video=0)):
            sizes = ((HEIGHT, WIDTH), (HEIGHT // 2, WIDTH // 2), (HEIGHT // 2, WIDTH // 2))
            planes = tuple(plane_array(p)[:h, :w].copy() for p, (h, w) in zip(decoded.planes, sizes, strict=True))
            header = Header("source", at, Fraction(1, FPS), 10**18 + at, epoch=1, sequence=at + 1)
            yield Frame(header, at, WIDTH, HEIGHT, "yuv420p", planes, "bt709", "tv")


def events(messages: list[Message]) -> list[tuple[float, float | None]]:
    found = {event.id: event for mask in masks_of(run_stage(MotionMask, messages)) for event in mask.events}
    return [(event.begin_seconds, event.end_seconds) for event in found.values()]


@pytest.mark.parametrize(
    ("contrast", "sigma", "bits_per_second", "least"),
    [(1.0, 2.0, 800_000, 0.6), (1.0, 6.0, 80_000, 0.1), (0.4, 2.0, 200_000, 0.6)],
)
def test_events_are_the_same_though_most_frames_are_not_looked_at(
    contrast: float, sigma: float, bits_per_second: int, least: float, tmp_path: Path
) -> None:
    frames = list(coded(tmp_path / "clip.mp4", contrast, sigma, bits_per_second))
    looked, skipped = (
        run_stage(OpticalFlow, frames, {"estimator": "dis", "still_seconds": seconds}, TestContext())
        for seconds in (None, 1.0)
    )
    starts = [flow.start for flow in skipped if isinstance(flow, Flow)]
    crossing = range(BEGINS * FPS, ENDS * FPS)
    assert starts.count("still") >= least * (len(starts) - len(crossing))
    assert "still" not in [starts[at] for at in crossing]
    ((begin, end),) = events(looked)
    assert begin == pytest.approx(BEGINS, abs=0.3) and end == pytest.approx(ENDS, abs=0.5)
    assert events(skipped) == [(begin, end)]

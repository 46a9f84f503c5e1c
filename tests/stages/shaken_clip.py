"""A clip of a camera that shakes and pans, its flow, and what a stabilizer left of the shake."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np

from pipeline.messages import Flow, Frame, Header, Message, Stabilized
from pipeline.testing import TestContext
from raftline.camera.transforms import motion_matrices, motion_vectors
from raftline.stabilize.warp.crop import zoom_matrix
from raftline.stabilize.warp.warp import warp_planes
from stages.stabilization import Stabilization
from tests.raftline.synthetic_motion import HEIGHT, WIDTH, grid_flow, jitter_px, shaken_path, textured

FRAMES = 90
TIMES = np.arange(FRAMES) / 30
BASE, SHAKEN = shaken_path(TIMES, pan_px_s=5.0)
WORLD = (textured(WIDTH, HEIGHT, 0), textured(WIDTH // 2, HEIGHT // 2, 1), textured(WIDTH // 2, HEIGHT // 2, 2))


def header(at: int) -> Header:
    return Header("source", 100 + at, Fraction(1, 30), 10**18 + at, epoch=7, sequence=at + 1)


def frame(at: int) -> Frame:
    planes = warp_planes(WORLD, motion_matrices(SHAKEN[[at]], WIDTH, HEIGHT)[0], "linear")
    return Frame(header(at), at, WIDTH, HEIGHT, "yuv420p", planes, "bt709", "tv")


def flow(at: int) -> Flow:
    if at == 0:
        return Flow(header(at), frame(at), "first", None)
    moved = motion_matrices((SHAKEN[at] - SHAKEN[at - 1])[None], WIDTH, HEIGHT)[0]
    return Flow(header(at), frame(at), "cold", grid_flow(moved), previous_index=at - 1, step_seconds=1 / 30)


def shaken_flows() -> list[Flow]:
    return [flow(at) for at in range(FRAMES)]


def with_luma(flow: Flow, change: Callable[[np.ndarray], object]) -> Flow:
    """Return a message whose luma, uint8 (h, w), was changed in place."""
    planes = [np.array(plane) for plane in flow.frame.planes]
    change(planes[0])
    return replace(flow, frame=replace(flow.frame, planes=tuple(planes)))


def context_of(flows: Sequence[Message], directory: Path, **more) -> TestContext:
    again = [
        replace(item.frame, header=replace(item.header, epoch=0, sequence=0))
        for item in flows
        if isinstance(item, Flow)
    ]
    return TestContext(directory=directory, frames=again, **more)


def stage_of(options: dict, context: TestContext) -> Stabilization:
    return Stabilization(Stabilization.Options(**options), context)


def corrections(messages: Sequence[Message]) -> np.ndarray:
    return np.array([item.correction for item in messages if isinstance(item, Stabilized)]).reshape(-1, 3, 3)


def jitter_left(matrices: np.ndarray) -> float:
    zoom = np.median(matrices[:, 0, 0])
    unzoomed = np.linalg.inv(zoom_matrix(zoom, WIDTH, HEIGHT)) @ matrices
    return jitter_px(motion_vectors(unzoomed, WIDTH, HEIGHT) + SHAKEN[: len(matrices)] - BASE[: len(matrices)])

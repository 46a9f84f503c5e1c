"""A scene of two depths before a camera that shakes: frames, their exact flow, and how each layer moves."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache

import cv2
import numpy as np

from pipeline.messages import Flow, Frame, Message, Stabilized
from tests.raftline.synthetic_motion import HEIGHT, WIDTH, band, grid_flow, similarity, textured
from tests.stages.shaken_clip import header

FRAMES = 60
TIMES = np.arange(FRAMES) / 30
SHAKE = np.stack([band(TIMES, 1, 8, 3.0, seed) for seed in (3, 4)], axis=1)
OWN = np.stack([band(TIMES, 0.5, 4, 4.0, seed) for seed in (31, 32)], axis=1)
"""How a thing moves by itself."""
NEAR_FROM = 14
"""Row of the 8 px grid at which the near layer begins."""
FAR_ROWS, NEAR_ROWS = slice(16, 80), slice(128, 164)
"""Rows in which outputs show one layer alone."""
_FAR, _NEAR = textured(WIDTH, HEIGHT, 0), textured(WIDTH, HEIGHT, 5)


def layers(nearness: float) -> tuple[np.ndarray, np.ndarray]:
    """(N, 2) px each: where the far and the near layer are."""
    return SHAKE, nearness * SHAKE


def moving_thing() -> tuple[np.ndarray, np.ndarray]:
    """The lower layer goes with the camera's shake and moves by itself besides."""
    return SHAKE, SHAKE + OWN


def layered_flows(upper: np.ndarray, lower: np.ndarray, again: Sequence[int] = ()) -> list[Flow]:
    """Flows of a clip; at the frames of `again` the one before is shown once more."""
    flows, shown = [], 0
    for at in range(len(upper)):
        repeats = at in again
        here = shown if repeats else at
        moved = [similarity(*(path[here] - path[shown])) for path in (upper, lower)]
        grid_px = grid_flow(moved[0])
        grid_px[NEAR_FROM:] = grid_flow(moved[1])[NEAR_FROM:]
        start = "first" if at == 0 else "duplicate" if repeats else "cold"
        frame = Frame(header(at), at, WIDTH, HEIGHT, "gray8", (_image(upper, lower, here),), "bt709", "pc")
        flow = Flow(header(at), frame, start, None if at == 0 else grid_px, previous_index=at - 1)
        flows.append(replace(flow, step_seconds=1 / 30) if at else flow)
        shown = here
    return flows


def layer_jitter_px(messages: Sequence[Message], rows: slice, frames: slice = slice(None)) -> float:
    """Rms of the steps of what `rows` of the outputs show, in px: frames at 30 Hz, so above all its shake."""
    lumas = [np.asarray(item.frame.planes[0])[rows, 24:-24] for item in messages if isinstance(item, Stabilized)]
    lumas = [luma.astype(np.float32) for luma in lumas[frames]]
    steps = [_step(before, after) for before, after in itertools.pairwise(lumas)]
    return float(np.sqrt((np.array(steps) ** 2).sum(axis=1).mean()))


@lru_cache(maxsize=2)
def _window(shape: tuple[int, int]) -> np.ndarray:
    return cv2.createHanningWindow(shape[::-1], cv2.CV_32F)


def _step(before: np.ndarray, after: np.ndarray) -> tuple[float, float]:
    x, y = cv2.phaseCorrelate(before, after, _window(before.shape))[0]
    return x, y


def _image(upper: np.ndarray, lower: np.ndarray, at: int) -> np.ndarray:
    far, near = (
        cv2.warpAffine(world, similarity(*path[at])[:2], (WIDTH, HEIGHT), borderMode=cv2.BORDER_REFLECT)
        for world, path in ((_FAR, upper), (_NEAR, lower))
    )
    edge = 8 * NEAR_FROM
    return np.concatenate([far[:edge], near[edge:]])

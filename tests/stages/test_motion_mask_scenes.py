"""Scenes in which motion is easily seen where there is none: parallax, leaves, rain, flicker."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import cv2
import numpy as np
import pytest

from pipeline.messages import Flow, Frame, Mask
from pipeline.testing import run_stage
from stages.motion_mask import MotionMask
from tests.motion.synthetic import HEIGHT, WIDTH, textured
from tests.stages.test_motion_mask import header, masks_of

FAR, NEAR = textured(3 * WIDTH, HEIGHT, seed=4), textured(3 * WIDTH, HEIGHT, seed=5)
THING = textured(40, 30, seed=9)
HORIZON = 110
STEP_SECONDS = 1 / 30


def noisy(luma: np.ndarray, at: int) -> np.ndarray:
    return np.clip(luma + np.random.default_rng(at).normal(0, 2, luma.shape), 0, 255).astype(np.uint8)


def flow_message(luma: np.ndarray, at: int, flow_px: np.ndarray | None) -> Flow:
    frame = Frame(header(at), at, WIDTH, HEIGHT, "gray8", (luma,), "bt709", "pc")
    size = (-(-WIDTH // 8), -(-HEIGHT // 8))
    grid = None if flow_px is None else cv2.resize(flow_px, size, interpolation=cv2.INTER_AREA)
    return Flow(header(at), frame, "first" if grid is None else "cold", grid, step_seconds=STEP_SECONDS)


def two_layers(thing: bool) -> Iterator[tuple[Flow, np.ndarray]]:
    """A camera goes sideways past a far layer and ground that moves three times as far; frames with exact flow."""
    for at in range(24):
        luma = np.vstack([FAR[:HORIZON, 3 * at :][:, :WIDTH], NEAR[HORIZON:, 9 * at :][:, :WIDTH]])
        flow = np.zeros((HEIGHT, WIDTH, 2), np.float32)
        flow[:HORIZON, :, 0], flow[HORIZON:, :, 0] = -3, -9
        moves = np.zeros((HEIGHT, WIDTH), bool)
        if thing:
            top = 10 + 2 * at
            luma[top : top + 30, 140:180] = THING
            moves[top : top + 30, 140:180] = True
            flow[top - 2 : top + 28, 140:180] = (0, 2)
        yield flow_message(noisy(luma, at), at, flow if at else None), moves


def test_a_nearer_layer_does_not_fire_and_is_said_to_be_uncertain() -> None:
    masks = masks_of(run_stage(MotionMask, [flow for flow, _ in two_layers(thing=False)]))
    assert not any(mask.objects or mask.events or np.asarray(mask.mask).any() for mask in masks)
    assert all(mask.uncertain for mask in masks[1:])


def test_what_moves_before_two_layers_is_found_alone() -> None:
    scene = list(two_layers(thing=True))
    masks = masks_of(run_stage(MotionMask, [flow for flow, _ in scene]))
    assert {len(mask.objects) for mask in masks[10:]} == {1}
    for mask, (_, moves) in list(zip(masks, scene, strict=True))[10:]:
        found = np.asarray(mask.mask) > 0
        # its rim is told by two frames where the background of its layer is not known
        assert (found & moves).sum() / (found | moves).sum() > 0.6

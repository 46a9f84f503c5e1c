"""Scenes in which motion is easily seen where there is none: parallax, leaves, rain, flicker, exposure."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import cv2
import numpy as np
import pytest

from pipeline.messages import Flow, Frame
from pipeline.testing import run_stage
from stages.motion_mask import MotionMask
from tests.raftline.synthetic_motion import HEIGHT, WIDTH, textured
from tests.stages.moving_clip import BEGINS, WORLD, clip, header, masks_of

FAR, NEAR = textured(3 * WIDTH, HEIGHT, seed=4), textured(3 * WIDTH, HEIGHT, seed=5)
THING = textured(40, 30, seed=9)
HORIZON = 110
EVERY = 2
"""Frames of 30 a second that the camera that stands gives one of."""


def noisy(luma: np.ndarray, at: int) -> np.ndarray:
    return np.clip(luma + np.random.default_rng(at).normal(0, 2, luma.shape), 0, 255).astype(np.uint8)


def flow_message(luma: np.ndarray, at: int, flow_px: np.ndarray | None) -> Flow:
    frame = Frame(header(at), at, WIDTH, HEIGHT, "gray8", (luma,), "bt709", "pc")
    size = (-(-WIDTH // 8), -(-HEIGHT // 8))
    grid = None if flow_px is None else cv2.resize(flow_px, size, interpolation=cv2.INTER_AREA)
    return Flow(header(at), frame, "first" if grid is None else "cold", grid, step_seconds=1 / 30)


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
    assert [event.uncertain for mask in masks for event in mask.events] == [True]
    for mask, (_, moves) in list(zip(masks, scene, strict=True))[10:]:
        found = np.asarray(mask.mask) > 0
        # its rim is told by two frames where the background of its layer is not known
        assert (found & moves).sum() / (found | moves).sum() > 0.6


def watched(scene: Callable[[int], np.ndarray], frames: int) -> Iterator[Flow]:
    """Frames of a camera that stands, with flow as it is found in them."""
    dis = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_ULTRAFAST)
    before = None
    for at in range(frames):
        luma = noisy(scene(at), at)
        flow = None if before is None else np.asarray(dis.calc(before, luma, None), np.float32)  # pyright: ignore[reportCallIssue, reportArgumentType]
        yield replace(flow_message(luma, EVERY * at, flow), step_seconds=EVERY / 30)
        before = luma


STREET = textured(WIDTH, HEIGHT, seed=6)
X, Y = np.meshgrid(np.arange(WIDTH, dtype=np.float32), np.arange(HEIGHT, dtype=np.float32))


def swaying_leaves(at: int) -> np.ndarray:
    """A tree over a third of the image: parts of 30 px sway by up to 3 px at 0.8 Hz, each for itself, in gusts."""
    seconds = at * EVERY / 30
    gust = 0.6 + 0.4 * float(np.sin(2 * np.pi * seconds / 5))
    within = np.clip((110 - np.hypot((X - 70) / 0.8, Y - 60)) / 30, 0, 1)
    along_x = 3 * gust * within * np.sin(2 * np.pi * (0.8 * seconds + X / 90 + Y / 70))
    along_y = 1.5 * gust * within * np.sin(2 * np.pi * (0.6 * seconds + Y / 80))
    return cv2.remap(STREET, X + along_x, Y + along_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)


def rain(at: int) -> np.ndarray:
    """60 streaks of 14 px in each frame, brighter by 60 levels, none where the last ones were."""
    rng = np.random.default_rng(1000 + at)
    streaks = np.zeros((HEIGHT, WIDTH), np.uint8)
    for x, y in rng.integers((0, 0), (WIDTH, HEIGHT), (60, 2)).tolist():
        cv2.line(streaks, (x, y), (x + 3, y + 14), 60, 1, cv2.LINE_AA)
    return cv2.add(STREET, streaks)


def flickering_lamp(at: int) -> np.ndarray:
    """All of it brightens and darkens by 4 % with the mains, a lamp's surroundings by 25 % now and then."""
    light = 1 + 0.04 * np.sin(2 * np.pi * 0.31 * at) + np.zeros((HEIGHT, WIDTH), np.float32)
    if np.random.default_rng(at // 4).random() < 0.4:
        light += 0.25 * np.exp(-((X - 230) ** 2 + (Y - 60) ** 2) / (2 * 30**2))
    return np.clip(STREET * light, 0, 255)


@pytest.mark.parametrize("scene", [swaying_leaves, rain, flickering_lamp])
def test_nothing_is_said_to_move_where_nothing_goes_anywhere(scene: Callable[[int], np.ndarray]) -> None:
    masks = masks_of(run_stage(MotionMask, watched(scene, 150)))
    assert not any(mask.events for mask in masks)


@pytest.mark.parametrize("scene", [swaying_leaves, rain, flickering_lamp])
def test_somebody_who_walks_there_is_seen(scene: Callable[[int], np.ndarray]) -> None:
    def walked(at: int) -> np.ndarray:
        image = scene(at).copy()
        if at >= 75:
            left = 4 * (at - 75)
            image[130:160, left : left + 40] = THING
        return image

    masks = masks_of(run_stage(MotionMask, watched(walked, 110)))
    began = [event.begin_seconds for mask in masks for event in mask.events]
    assert began == pytest.approx([75 * EVERY / 30], abs=0.3)
    assert not any(event.uncertain for mask in masks for event in mask.events)


@pytest.fixture(scope="module")
def still() -> list[Flow]:
    return clip()


def relit(flows: list[Flow], begin: int, share: float) -> list[Flow]:
    """The same with another exposure from a frame on, which the flow across the jump takes for motion."""
    lit = []
    for at, flow in enumerate(flows):
        if at >= begin:
            luma = np.clip(np.asarray(flow.frame.planes[0]) * share, 0, 255).astype(np.uint8)
            flow = replace(flow, frame=replace(flow.frame, planes=(luma,)))
        if at == begin:
            flow = replace(flow, grid_px=np.full_like(np.asarray(flow.grid_px), 5.0))
        lit.append(replace(flow, header=header(at)))
    return lit


@pytest.mark.parametrize("share", [0.7, 1.3])
def test_a_jump_of_the_exposure_is_no_motion(still: list[Flow], share: float) -> None:
    masks = masks_of(run_stage(MotionMask, relit(still[:BEGINS] * 3, 15, share), {"persistence_seconds": 0.0}))
    assert not any(mask.objects or mask.events for mask in masks)


def test_two_seconds_after_a_jump_of_the_exposure_motion_is_seen_again(still: list[Flow]) -> None:
    waits = [still[BEGINS - 1]] * 60
    masks = masks_of(run_stage(MotionMask, relit([*still[:BEGINS], *waits, *still[BEGINS:]], BEGINS, 0.7)))
    assert any(mask.objects for mask in masks[len(waits) + BEGINS + 6 :])


def test_a_scene_in_two_depths_is_said_to_be_uncertain() -> None:
    """The camera goes sideways past a near half that moves twice as far as the other: no object, but parallax."""
    flows = []
    for at in range(12):
        luma = np.vstack([np.roll(WORLD, -3 * at, 1)[:100], np.roll(WORLD, -9 * at, 1)[100:]])
        frame = Frame(header(at), at, WIDTH, HEIGHT, "gray8", (luma,), "bt709", "pc")
        grid = np.zeros((-(-HEIGHT // 8), -(-WIDTH // 8), 2), np.float32)
        grid[..., 0] = np.where(np.arange(len(grid)) * 8 < 100, -3, -9)[:, None]
        flows.append(Flow(header(at), frame, "cold" if at else "first", grid if at else None, step_seconds=1 / 30))
    masks = masks_of(run_stage(MotionMask, flows, {"model": "translation"}))
    assert all(mask.uncertain for mask in masks[2:])

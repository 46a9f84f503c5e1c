"""A clip of known motion: a sprite that stands, goes to the right and stands again, with exact flow."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

import cv2
import numpy as np

from pipeline.messages import Flow, Frame, Header, Mask, Message
from raftline.camera.transforms import transform_points
from raftline.stabilize.warp.warp import warp_image
from tests.raftline.synthetic_motion import HEIGHT, WIDTH, similarity, textured

WORLD = textured(WIDTH, HEIGHT)
SPRITE = textured(40, 30, seed=9)
BEGINS, ENDS, FRAMES = 10, 40, 60


def header(at: int) -> Header:
    return Header("source", at, Fraction(1, 30), 10**18 + at, epoch=1, sequence=at + 1)


def truth(at: int) -> np.ndarray:
    """The sprite stands before `BEGINS`, moves 3 px a frame, and stands after `ENDS`."""
    mask = np.zeros((HEIGHT, WIDTH), bool)
    left = 40 + 3 * min(max(at - BEGINS, 0), ENDS - BEGINS)
    mask[70:100, left : left + 40] = True
    return mask


def scene(at: int) -> np.ndarray:
    image = WORLD.copy()
    image[truth(at)] = SPRITE.ravel()
    return image


def clip(shake: float = 0.0, pan: float = 0.0, noise: float = 2.0) -> list[Flow]:
    """Frames and exact flow; the camera turns and shifts by a known path."""
    rng = np.random.default_rng(0)
    flows, before = [], np.eye(3)
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH].astype(np.float64)
    points = np.stack([x, y], axis=-1).reshape(-1, 2)
    for at in range(FRAMES):
        camera = similarity(*(rng.normal(0, shake, 2) + (pan * at, 0)), degrees=float(rng.normal(0, shake / 8)))
        image = warp_image(scene(at), camera) + rng.normal(0, noise, (HEIGHT, WIDTH))
        frame = Frame(header(at), at, WIDTH, HEIGHT, "gray8", (np.clip(image, 0, 255).astype(np.uint8),), "bt709", "pc")
        if at == 0:
            flows.append(Flow(header(at), frame, "first", None))
        else:
            world = transform_points(np.linalg.inv(before), points)
            moves = BEGINS < at <= ENDS
            on_sprite = warp_image(truth(at - 1).astype(np.uint8), before, "linear").ravel() > 0
            world[on_sprite] += (3.0 * moves, 0.0)
            flow_px = (transform_points(camera, world) - points).reshape(HEIGHT, WIDTH, 2)
            grid = cv2.resize(flow_px, (-(-WIDTH // 8), -(-HEIGHT // 8)), interpolation=cv2.INTER_AREA)
            flows.append(Flow(
                header(at), frame, "cold", grid.astype(np.float32), flow_px.astype(np.float16),
                previous_index=at - 1, step_seconds=1 / 30,
            ))  # fmt: skip
        before = camera
    return flows


def masks_of(messages: Sequence[Message]) -> list[Mask]:
    return [message for message in messages if isinstance(message, Mask)]


def f_score(masks: Sequence[Mask], truths: Sequence[np.ndarray]) -> float:
    found = np.stack([np.asarray(mask.mask) > 0 for mask in masks])
    right = np.stack(truths)
    return float(2 * (found & right).sum() / (found.sum() + right.sum()))


AWAY = range(BEGINS + 15, ENDS + 1)
"""It moves, and has left the place where it was taken for background."""

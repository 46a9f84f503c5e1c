"""Which of two layers lies in front, by what covers what."""

from __future__ import annotations

import json

import cv2
import numpy as np
import pytest

from raftline.camera.camera_motion import grid_centres
from raftline.camera.layer_motion import Layers, layers_of
from raftline.camera.layer_order import LayerOrder
from raftline.camera.luma_pyramid import LumaPyramid
from raftline.camera.parallax import shifted
from raftline.camera.revision import Revision, revised

WIDTH, HEIGHT = 192, 112
ROWS, COLUMNS = HEIGHT // 8, WIDTH // 8
SHAKE = np.random.default_rng(5).normal(0, 1.5, (40, 2)).cumsum(axis=0) * 0.3
LEFTS = 50 + 40 * np.sin(np.arange(40) / 6)
"""Of the thing, px, without shake."""
THING = (100, 84)
"""Its width and height: 39 % of the frame."""


def texture(seed: int) -> np.ndarray:
    noise = cv2.GaussianBlur(np.random.default_rng(seed).normal(0, 1, (300, 400)), (0, 0), 2.0)
    return (128 + 40 * noise / noise.std()).clip(0, 255).astype(np.float32)


WORLD, PICTURE = texture(1), texture(2)


def frame(at: int) -> LumaPyramid:
    def placed(image: np.ndarray, x: float, y: float) -> np.ndarray:
        matrix = np.array([[1, 0, x], [0, 1, y]], np.float64)
        return cv2.warpAffine(image, matrix, (WIDTH, HEIGHT), flags=cv2.INTER_CUBIC)

    x, y = SHAKE[at]
    cover = placed(np.ones(THING[::-1], np.float32), LEFTS[at] + x, 20 + y)
    shown = placed(WORLD, x - 80, y - 80) * (1 - cover) + placed(PICTURE, LEFTS[at] + x, 20 + y) * cover
    return LumaPyramid.of(shown.clip(0, 255).astype(np.uint8))


FRAMES = [frame(at) for at in range(len(LEFTS))]


def motions(at: int) -> tuple[np.ndarray, np.ndarray]:
    """The world's and the thing's, (3, 3), into a frame."""
    step = SHAKE[at] - SHAKE[at - 1]
    return shifted(np.eye(3), *step), shifted(np.eye(3), step[0] + LEFTS[at] - LEFTS[at - 1], step[1])


def inside(at: int) -> np.ndarray:
    """(rows, columns) bool: the cells of the thing."""
    x, y = grid_centres(ROWS, COLUMNS)
    left, top = LEFTS[at] + SHAKE[at, 0], 20 + SHAKE[at, 1]
    return ((y > top) & (y < top + THING[1]))[:, None] & ((x > left) & (x < left + THING[0]))


def seen(at: int, followed: int) -> tuple[np.ndarray, Layers]:
    both = motions(at)
    flow = np.where(inside(at - 1)[..., None], both[1][:2, 2], both[0][:2, 2]).astype(np.float32)
    weights = np.ones((ROWS, COLUMNS), np.float32)
    return both[followed], layers_of(flow, weights, *grid_centres(ROWS, COLUMNS), both[followed], WIDTH)


def follow(order: LayerOrder, frames: range, followed: int) -> list[Revision]:
    """Show frames; 0 follows the world, 1 the thing, until that is put right."""
    for at in frames:
        matrix, layers = seen(at, followed)
        movers = inside(at - 1) == (followed == 0)
        found = order.add(at, 1 / 30, FRAMES[at - 1], FRAMES[at], matrix, layers, movers.astype(np.float32), True)
        if found:
            return found
    return []


def test_the_world_is_followed_on() -> None:
    assert follow(LayerOrder(), range(1, 40), followed=0) == []


def test_frames_that_followed_what_lies_in_front_are_put_right_to_tenths_of_a_px() -> None:
    found = follow(LayerOrder(), range(1, 40), followed=1)
    assert [index for index, _ in found] == list(range(1, len(found) + 1)) and 4 < len(found) < 30
    for index, correction in found:
        world, thing = motions(index)
        np.testing.assert_allclose(revised(thing, correction), world, atol=0.25)


def test_those_alone_are_put_right_that_went_wrong() -> None:
    order = LayerOrder()
    follow(order, range(1, 6), followed=0)
    order.doubt()
    found = follow(order, range(6, 40), followed=1)
    assert found and found[0][0] >= 4


def test_a_world_out_of_sight_is_told_by_what_moves_past_it() -> None:
    order = LayerOrder()
    assert order.camera_beside(FRAMES[0], FRAMES[1], motions(1)[1], inside(0).astype(np.float32)) is None
    follow(order, range(1, 20), followed=0)
    beside = order.camera_beside(FRAMES[19], FRAMES[20], motions(20)[1], inside(19).astype(np.float32))
    assert beside is not None
    assert beside[:2, 2] == pytest.approx(motions(20)[0][:2, 2], abs=1.2)  # it turns back meanwhile
    order.lose()
    assert order.camera_beside(FRAMES[19], FRAMES[20], motions(20)[1], inside(19).astype(np.float32)) is None


def test_flow_that_follows_the_world_after_all_is_not_taken_for_what_moves_past_it() -> None:
    order = LayerOrder()
    follow(order, range(1, 20), followed=0)
    mistaken = 1.0 - inside(19).astype(np.float32)
    beside = order.camera_beside(FRAMES[19], FRAMES[20], motions(20)[0], mistaken)
    assert beside is not None
    assert beside[:2, 2] == pytest.approx(motions(20)[0][:2, 2], abs=0.25)


def test_it_goes_on_from_its_state() -> None:
    order = LayerOrder()
    follow(order, range(1, 5), followed=1)
    state = json.loads(json.dumps(order.state()))
    again = LayerOrder.from_state(state)
    assert json.loads(json.dumps(again.state())) == state and len(json.dumps(state)) < 60_000
    assert follow(again, range(5, 40), followed=1) == follow(order, range(5, 40), followed=1) != []
    assert LayerOrder.from_state(LayerOrder().state()).state() == LayerOrder().state()

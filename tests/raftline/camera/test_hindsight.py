"""Frames that followed something else than the world are put right once it is known which layer that is."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np

from raftline.camera.background_belief import BackgroundBelief
from raftline.camera.camera_motion import grid_centres
from raftline.camera.hindsight import Hindsight
from raftline.camera.layer_motion import layers_of
from raftline.camera.luma_pyramid import LumaPyramid
from raftline.camera.revision import Revision, revised, revision
from raftline.camera.step import Step
from tests.cases.slow_thing import HEIGHT, SPEEDS, WIDTH, image, motions, shows_world

ROWS, COLUMNS = -(-HEIGHT // 8), WIDTH // 8
LAST = len(SPEEDS)
KNOWN = LAST - 5
FRAMES = [LumaPyramid.of(image(at)) for at in range(LAST + 1)]


def step(at: int) -> Step:
    flow, ones = np.zeros((ROWS, COLUMNS, 2), np.float32), np.ones((ROWS, COLUMNS))
    return Step(at, 1 / 30, flow, ones, None, FRAMES[at - 1], FRAMES[at], apart=False)


def known() -> BackgroundBelief:
    """What of the last frame is the world, as it is told once the layers change places."""
    world, thing = motions(LAST)
    shows = shows_world(LAST, ROWS, COLUMNS)
    flow = np.where(shows[..., None] > 0.5, world[:2, 2], thing[:2, 2]).astype(np.float32)
    belief = BackgroundBelief(WIDTH, HEIGHT)
    belief.add(1 / 30, flow, thing, np.ones((ROWS, COLUMNS)))
    belief.turn(layers_of(flow, np.ones((ROWS, COLUMNS), np.float32), *grid_centres(ROWS, COLUMNS), thing, WIDTH))
    return belief


def begun() -> Hindsight:
    found = Hindsight(WIDTH, HEIGHT)
    found.looks_back = True
    return found


def looked_back(hindsight: Hindsight, first: int = 1, turned: tuple[Revision, ...] = ()) -> list[Revision]:
    """Show it frames that followed the thing up to `KNOWN`, and to the last, in which that becomes known."""
    for at in range(first, LAST):
        assert hindsight.take(step(at), motions(at)[at <= KNOWN], [], None) == []
    return hindsight.take(step(LAST), motions(LAST)[0], turned, known())


def assert_the_world_is_followed(found: list[Revision]) -> None:
    for index, correction in found:
        world, thing = motions(index)
        np.testing.assert_allclose(revised(thing, correction), world, atol=0.4)


def test_frames_in_which_the_thing_moved_too_slowly_to_be_told_are_put_right() -> None:
    found = looked_back(begun())
    assert [index for index, _ in found] == [at for at in range(1, KNOWN + 1) if SPEEDS[at - 1] != 0.0]
    assert_the_world_is_followed(found)


def test_frames_that_were_put_right_before_are_left() -> None:
    went = [at for at in range(1, KNOWN + 1) if SPEEDS[at - 1] > 0.0]
    turned = tuple(revision(at, motions(at)[0] @ np.linalg.inv(motions(at)[1])) for at in went)
    found = looked_back(begun(), turned=turned)
    assert [index for index, _ in found] == [at for at in range(1, went[0]) if SPEEDS[at - 1] != 0.0]
    assert_the_world_is_followed(found)


def test_each_frame_is_looked_at_once() -> None:
    hindsight = begun()
    assert looked_back(hindsight, first=LAST - 9)
    again = replace(step(LAST), index=LAST + 1, before=FRAMES[LAST])
    assert hindsight.take(again, np.eye(3), [], known()) == []


def test_it_stops_at_a_path_that_was_broken() -> None:
    hindsight = begun()
    for at in range(1, LAST - 10):
        hindsight.take(step(at), motions(at)[1], [], None)
    hindsight.lose()
    found = looked_back(hindsight, first=LAST - 8)
    assert [index for index, _ in found] == list(range(LAST - 8, KNOWN + 1))


def test_nothing_is_kept_of_frames_that_are_shown_at_once() -> None:
    hindsight = Hindsight(WIDTH, HEIGHT)
    assert looked_back(hindsight) == [] and hindsight.state() is None


def test_it_goes_on_from_its_state() -> None:
    hindsight, again = begun(), begun()
    for at in range(1, 9):
        hindsight.take(step(at), motions(at)[1], [], None)
    again.restore(through_shared_memory(hindsight.state()))
    assert looked_back(again, first=9) == looked_back(hindsight, first=9) != []


def through_shared_memory(state: Any) -> dict[str, Any]:
    """Arrays stay, all else is JSON."""
    return {
        name: each.copy() if isinstance(each, np.ndarray) else json.loads(json.dumps(each))
        for name, each in state.items()
    }

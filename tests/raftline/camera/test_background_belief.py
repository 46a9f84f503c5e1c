"""What the stabilizer believes to be the world while something large moves past."""

from __future__ import annotations

import json

import numpy as np

from raftline.camera.background_belief import BackgroundBelief
from raftline.camera.layer_motion import Layers

WIDTH, HEIGHT, STEP = 320, 176, 8
ROWS, COLUMNS = HEIGHT // STEP, WIDTH // STEP
WEIGHTS = np.ones((ROWS, COLUMNS), np.float32)
SHAKE = np.random.default_rng(3).normal(0, 2, (60, 2))


def shifted(shift: np.ndarray) -> np.ndarray:
    matrix = np.eye(3)
    matrix[:2, 2] = shift
    return matrix


def covered(left: float, share: float = 0.4) -> np.ndarray:
    """(rows, columns) bool: the cells of a thing that takes this share of the width, from `left` px on."""
    x = np.arange(COLUMNS) * STEP + 3.5
    inside = (x >= left) & (x < left + share * WIDTH)
    return np.repeat(inside[None], ROWS, axis=0) & (np.arange(ROWS) >= 3)[:, None]


def walk(belief: BackgroundBelief, lefts: np.ndarray, followed: str = "world") -> Layers:
    """Show a thing whose left edge is at `lefts`, less shake; return the layers of the last frame."""
    for at in range(1, len(lefts)):
        own = np.array([lefts[at] - lefts[at - 1], 0.0])
        flow = np.tile(SHAKE[at], (ROWS, COLUMNS, 1))
        flow[covered(lefts[at - 1])] += own
        camera = SHAKE[at] + (own if followed == "thing" else 0.0)
        layers = belief.add(1 / 30, flow.astype(np.float32), shifted(camera), WEIGHTS)
    return layers


def trusted(belief: BackgroundBelief) -> np.ndarray:
    trust = belief.trust(ROWS, COLUMNS)
    assert trust is not None
    return trust


def test_nothing_is_believed_before_the_first_frame() -> None:
    belief = BackgroundBelief(WIDTH, HEIGHT)
    assert belief.trust(ROWS, COLUMNS) is None and not belief.contested


def test_what_walks_in_loses_trust_and_the_world_keeps_it() -> None:
    belief, lefts = BackgroundBelief(WIDTH, HEIGHT), np.arange(-130.0, 60.0, 5.0)
    walk(belief, lefts)
    thing = covered(lefts[-1])
    assert belief.contested
    assert np.median(trusted(belief)[thing]) < 0.1 and np.median(trusted(belief)[~thing]) > 0.8


def test_what_stands_for_a_second_is_still_known_to_move_by_itself() -> None:
    belief = BackgroundBelief(WIDTH, HEIGHT)
    walk(belief, np.concatenate([np.arange(-130.0, 60.0, 7.0), np.full(30, 60.0)]))
    assert trusted(belief)[covered(60.0, 0.3)].mean() < 0.3


def test_the_layers_change_places() -> None:
    belief, lefts = BackgroundBelief(WIDTH, HEIGHT), 90 + 60 * np.sin(np.arange(12) / 7)
    belief.turn(walk(belief, lefts, followed="thing"))
    thing = covered(lefts[-2])
    assert np.median(trusted(belief)[thing]) < 0.2 < 0.8 < np.median(trusted(belief)[~thing])


def test_one_motion_alone_is_never_in_doubt() -> None:
    belief = BackgroundBelief(WIDTH, HEIGHT)
    walk(belief, np.full(30, 2.0 * WIDTH))
    assert not belief.contested and trusted(belief).min() > 0.9


def test_frames_without_a_motion_are_forgotten() -> None:
    belief = BackgroundBelief(WIDTH, HEIGHT)
    walk(belief, np.arange(-130.0, 60.0, 5.0))
    for _ in range(6):
        belief.lose(np.zeros((ROWS, COLUMNS, 2), np.float32))
    assert belief.trust(ROWS, COLUMNS) is None


def test_it_goes_on_from_its_state() -> None:
    belief, lefts = BackgroundBelief(WIDTH, HEIGHT), np.arange(-130.0, 60.0, 5.0)
    walk(belief, lefts)
    state = json.loads(json.dumps(belief.state()))
    assert len(json.dumps(state)) < 8_000
    again = BackgroundBelief.from_state(state)
    np.testing.assert_allclose(trusted(again), trusted(belief), atol=1e-3)
    assert again.state() == belief.state()

"""RAFT over a stream whose frames mostly move as one: the network runs on the others only."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest

from raftline.flow.estimators import open_session
from raftline.flow.network import open_raft
from raftline.flow.options import FlowOptions
from raftline.flow.registered_session import RegisteredSession
from raftline.flow.session import FlowSession
from raftline.flow.update_loop import UpdateLoop
from tests.raftline.flow.test_registered_flow import camera, seen, world

CAMERA_PX, THING_PX = (3, 2), (-5, 3)
APART = range(4, 6)
"""Frames of which the left part moves on its own."""
OPTIONS = FlowOptions(
    iterations=2, cold_iterations=4, device="cpu", register_one_motion=True, one_motion_side_px=160, runtime="torch"
)


@pytest.fixture(scope="module")
def update_loop() -> UpdateLoop:
    return open_raft(replace(OPTIONS, precision="float32"))


def as_rgb(luma: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    return np.ascontiguousarray(np.repeat(luma[::2, ::2, None], 3, axis=2))


def frames(count: int, apart: range = APART) -> Iterator[npt.NDArray[np.uint8]]:
    """Half of the size at which the worlds are made."""
    for at in range(count):
        frame = seen(world(), camera(shift=(2 * CAMERA_PX[0] * (at - 4), 2 * CAMERA_PX[1] * (at - 4))))
        if at in apart:
            thing = seen(world(1), camera(shift=(2 * THING_PX[0] * (at - 4), 2 * THING_PX[1] * (at - 4))))
            frame[:, :200] = thing[:, :200]
        yield as_rgb(frame)


class Network:
    """Opens a session and says whether it has."""

    def __init__(self, update_loop: UpdateLoop) -> None:
        self._update_loop = update_loop
        self.opened = 0

    def __call__(self) -> FlowSession:
        self.opened += 1
        alone = replace(OPTIONS, duplicates=None, scene_cut=None, register_one_motion=False)
        return FlowSession(self._update_loop, alone)


def test_the_network_is_opened_where_a_part_moves_on_its_own(update_loop: UpdateLoop) -> None:
    network = Network(update_loop)
    session = RegisteredSession(OPTIONS, network)
    starts, opened = [], []
    for frame in frames(8):
        result = session(frame, full_resolution=False)
        starts.append(result and result.start)
        opened.append(network.opened)
        if result is None:
            continue
        assert (result.iterations > 0) == (result.start in ("cold", "warm")) and result.flow_px is None
        if result.start == "registered":
            np.testing.assert_allclose(result.grid_px[6:-6, 24:-6], np.full((11, 10, 2), CAMERA_PX), atol=0.3)
    assert starts == [None, *["registered"] * 3, "warm", "warm", "warm", "registered"]
    assert opened == [0] * 4 + [1] * 4


def test_it_says_that_the_network_is_not_loaded_and_then_what_it_runs_on(update_loop: UpdateLoop) -> None:
    session = RegisteredSession(OPTIONS, Network(update_loop))
    assert "none before" in session.status.runtime and session.status.estimator == "raft"
    for frame in frames(5):
        session(frame, full_resolution=False)
    assert session.status.runtime == "torch" and session.status.estimator == "raft-small"


def test_where_more_than_the_grid_is_wanted_the_network_runs(update_loop: UpdateLoop) -> None:
    session = RegisteredSession(OPTIONS, Network(update_loop))
    first, second, third = frames(3)
    assert session(first) is None
    result = session(second, confidence=True)
    assert result is not None and result.start == "cold"
    assert result.flow_px is not None and result.confidence is not None
    registered = session(third, full_resolution=False)
    assert registered is not None and registered.start == "registered"


def test_duplicates_cuts_and_stray_frames_are_what_they_are_for_the_network(update_loop: UpdateLoop) -> None:
    one, two, three = frames(3)
    other = as_rgb(seen(world(5)))
    session = RegisteredSession(OPTIONS, Network(update_loop))
    results = [session(frame, full_resolution=False) for frame in (one, one, two, other, three)]
    assert [result and result.start for result in results] == [
        None, "duplicate", "registered", "scene_cut", "resumed",
    ]  # fmt: skip
    assert results[-1] is not None
    np.testing.assert_allclose(results[-1].grid_px[6:-6, 6:-6], np.full((11, 28, 2), CAMERA_PX), atol=0.3)
    session.reset()
    assert session(one, full_resolution=False) is None


def test_it_goes_on_from_its_state_to_the_last_bit(update_loop: UpdateLoop) -> None:
    shown = list(frames(8))
    whole = RegisteredSession(OPTIONS, Network(update_loop))
    broken = RegisteredSession(OPTIONS, Network(update_loop))
    for frame in shown:
        result = whole(frame, full_resolution=False)
        again = broken(frame, full_resolution=False)
        assert (result is None) == (again is None)
        if result is not None and again is not None:
            np.testing.assert_array_equal(result.grid_px, again.grid_px)
        state = broken.full_state()
        broken = RegisteredSession(OPTIONS, Network(update_loop))
        broken.restore_full(state)


def test_on_a_cpu_the_option_opens_such_a_session_and_loads_nothing() -> None:
    def never() -> UpdateLoop:
        raise AssertionError("nothing needs the network yet")

    session = open_session(OPTIONS, never)
    assert isinstance(session, RegisteredSession)
    assert session(next(frames(1)), full_resolution=False) is None

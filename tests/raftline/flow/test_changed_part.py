"""Flow of the part of a frame that changes."""

from __future__ import annotations

import numpy as np
import pytest

from raftline.flow.changed_part import Box, Part, PartChoice, whole_result
from raftline.flow.grid import Cells
from raftline.flow.network import open_raft
from raftline.flow.options import FlowOptions
from raftline.flow.result import FlowResult
from raftline.flow.session import FlowSession
from raftline.flow.update_loop import UpdateLoop
from raftline.raft.padding import Padding
from tests.raftline.raft.recipes import texture

CELLS = Cells.of(320, 480)
HEIGHT, WIDTH = 240, 360
THING_PX = (3, 2)


def box(top: int, left: int, bottom: int, right: int) -> Box:
    """Of cells."""
    return Box(top / CELLS.rows, left / CELLS.columns, bottom / CELLS.rows, right / CELLS.columns)


def test_a_part_holds_what_changed_now_and_in_the_last_frame_with_a_margin() -> None:
    choice = PartChoice(able=True)
    assert choice.choose("continuous", box(10, 20, 14, 22), CELLS)
    assert choice.part == Part(4, 13, 16, 16)
    assert choice.choose("continuous", box(10, 34, 14, 36), CELLS)
    assert choice.part == Part(4, 16, 16, 24)


def test_a_part_stays_while_what_changes_is_well_within_it() -> None:
    choice = PartChoice(able=True)
    choice.choose("continuous", box(10, 20, 14, 22), CELLS)
    assert not choice.choose("continuous", box(11, 22, 15, 24), CELLS)
    assert not choice.choose("continuous", None, CELLS)


def test_parts_lie_within_the_frame_and_the_whole_frame_is_taken_where_most_of_it_changes() -> None:
    choice = PartChoice(able=True)
    choice.choose("continuous", box(38, 58, 40, 60), CELLS)
    assert choice.part == Part(24, 44, 16, 16)
    assert choice.choose("continuous", box(2, 2, 38, 58), CELLS)
    assert choice.part is None


@pytest.mark.parametrize("change", ["scene_cut", "resumed", "first"])
def test_where_flow_does_not_go_on_the_whole_frame_is_taken(change) -> None:
    choice = PartChoice(able=True)
    choice.choose("continuous", box(10, 20, 14, 22), CELLS)
    assert choice.choose(change, box(10, 20, 14, 22), CELLS) and choice.part is None


def test_a_choice_that_is_restored_goes_on_as_the_other() -> None:
    choice, other = PartChoice(able=True), PartChoice(able=True)
    choice.choose("continuous", box(10, 20, 14, 22), CELLS)
    other.restore_full(choice.full_state())
    for each in (choice, other):
        each.choose("continuous", box(10, 28, 14, 30), CELLS)
    assert other.part == choice.part


def test_outside_of_the_part_nothing_moves() -> None:
    part = Part(4, 8, 16, 24)
    inner = np.ones((16, 24, 2), np.float32)
    result = whole_result(
        FlowResult(inner, None, "warm", 3, Padding(0, 0, 0, 0), np.full((16, 24), 0.5, np.float32)), part, CELLS
    )
    assert result.grid_px.shape == (40, 60, 2) and result.grid_px.sum() == inner.sum()
    assert (result.grid_px[4:20, 8:32] == 1).all()
    assert result.confidence is not None and result.confidence[0, 0] == 1 and result.confidence[4, 8] == 0.5


@pytest.fixture(scope="module")
def update_loop() -> UpdateLoop:
    return open_raft(FlowOptions(device="cpu", precision="float32", runtime="torch"))


def thing_at(at: int) -> tuple[np.ndarray, Box]:
    """A frame in which a thing moves before what stands, and where it changes."""
    frame = texture(HEIGHT, WIDTH).copy()
    top, left = 60 + THING_PX[1] * at, 40 + THING_PX[0] * at
    frame[top : top + 64, left : left + 64] = texture(64, 64, seed=1)
    return frame, Box((top - 2) / HEIGHT, (left - 3) / WIDTH, (top + 64) / HEIGHT, (left + 64) / WIDTH)


def test_a_session_finds_in_the_part_what_it_finds_in_the_frame(update_loop: UpdateLoop) -> None:
    grids = []
    for only_changed in (False, True):
        session = FlowSession(update_loop, FlowOptions(iterations=4, cold_iterations=4, only_changed=only_changed))
        for at in range(4):
            frame, changed = thing_at(at)
            result = session(frame, full_resolution=False, changed=changed)
        assert result is not None and result.grid_px.shape == (30, 45, 2)
        grids.append(result.grid_px)
    on_whole, on_part = (np.median(grid_px[10:14, 9:12], axis=(0, 1)) for grid_px in grids)
    np.testing.assert_allclose(on_whole, THING_PX, atol=1)
    np.testing.assert_allclose(on_part, on_whole, atol=0.3)
    moves_on_whole, moves_on_part = (grid_px.any(axis=2).mean() for grid_px in grids)
    assert moves_on_whole == 1 and moves_on_part < 0.4


def test_a_part_that_goes_on_takes_fewer_updates(update_loop: UpdateLoop) -> None:
    options = FlowOptions(iterations=3, cold_iterations=4, only_changed=True, changed_iterations=2)
    session, done = FlowSession(update_loop, options), []
    for at in range(4):
        frame, changed = thing_at(at)
        result = session(frame, full_resolution=at == 3, changed=changed)
        done.append(result and result.iterations)
    assert done == [None, 4, 2, 3]


def test_a_session_that_is_restored_goes_on_with_the_same_part(update_loop: UpdateLoop) -> None:
    options = FlowOptions(iterations=2, cold_iterations=2, only_changed=True)
    session, other = FlowSession(update_loop, options), FlowSession(update_loop, options)
    for at in range(3):
        frame, changed = thing_at(at)
        session(frame, full_resolution=False, changed=changed)
    other.restore_full(session.full_state())
    frame, changed = thing_at(10)
    results = [each(frame, full_resolution=False, changed=changed) for each in (session, other)]
    assert results[0] is not None and results[1] is not None
    np.testing.assert_array_equal(results[0].grid_px, results[1].grid_px)


def test_where_flow_at_every_pixel_is_wanted_it_is_that_of_the_whole_frame(update_loop: UpdateLoop) -> None:
    session = FlowSession(update_loop, FlowOptions(iterations=2, cold_iterations=2, only_changed=True))
    for at in range(3):
        frame, changed = thing_at(at)
        result = session(frame, full_resolution=at == 2, changed=changed)
    assert result is not None and result.flow_px is not None and result.flow_px.shape == (HEIGHT, WIDTH, 2)

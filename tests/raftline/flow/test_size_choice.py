"""A stream that is estimated at a small size while its frames move as one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest

from raftline.flow.network import open_raft
from raftline.flow.options import FlowOptions
from raftline.flow.result import FlowResult
from raftline.flow.session import FlowSession, FrameRequest, estimate_together
from raftline.flow.size_choice import SizeChoice
from raftline.flow.update_loop import UpdateLoop
from raftline.raft.padding import Padding
from tests.raftline.raft.recipes import texture

HEIGHT, WIDTH, SIDE = 200, 300, 160
CAMERA_PX, THING_PX = (3, 2), (-5, 3)
APART = range(4, 9)
"""Frames of which the left half moves on its own."""
OPTIONS = FlowOptions(iterations=3, cold_iterations=6, one_motion_side_px=SIDE, scene_cut=None)
# A shift of whole pixels by three updates of a small network: 0.4 at full size, too.
FLOW_PX = 0.5


@pytest.fixture(scope="module")
def update_loop() -> UpdateLoop:
    return open_raft(FlowOptions(device="cpu", precision="float32"))


def frames(count: int = 17) -> Iterator[npt.NDArray[np.uint8]]:
    world, thing = texture(HEIGHT + 100, WIDTH + 100), texture(HEIGHT + 100, WIDTH + 100, seed=1)
    for at in range(count):
        frame = seen(world, at, CAMERA_PX)
        if at in APART:
            frame[:, : WIDTH // 2] = seen(thing, at, THING_PX)[:, : WIDTH // 2]
        yield frame


def seen(world: npt.NDArray[np.uint8], at: int, speed_px: tuple[int, int]) -> npt.NDArray[np.uint8]:
    x, y = (50 - speed * (at - 6) for speed in speed_px)
    return world[y : y + HEIGHT, x : x + WIDTH].copy()


def halves_px(result: FlowResult) -> list[tuple[float, float]]:
    """The median flow of the left and the right half, without what the other one and the border blur."""
    columns = result.grid_px.shape[1] // 2
    parts = result.grid_px[4:-4, 4 : columns - 4], result.grid_px[4:-4, columns + 4 : -4]
    return [tuple(np.median(part, axis=(0, 1))) for part in parts]


@pytest.fixture(scope="module")
def results(update_loop: UpdateLoop) -> list[FlowResult | None]:
    session = FlowSession(update_loop, OPTIONS)
    return [session(frame, full_resolution=at == 2, confidence=at == 2) for at, frame in enumerate(frames())]


def test_frames_are_small_while_they_move_as_one_and_at_once_full_where_they_do_not(
    results: list[FlowResult | None],
) -> None:
    small = [None if result is None else result.scaled_down for result in results]
    first_apart, last_apart = APART.start, APART.stop  # of the pairs into and out of which no single motion leads
    assert small[1:first_apart] == [True] * (first_apart - 1)
    assert small[first_apart : last_apart + 1] == [False] * (len(APART) + 1)
    assert small[-1] is True


def test_flow_goes_on_over_a_change_of_size(results: list[FlowResult | None]) -> None:
    for at, result in enumerate(results):
        if result is None:
            continue
        left, right = halves_px(result)
        np.testing.assert_allclose(right, CAMERA_PX, atol=FLOW_PX)
        if at not in (*range(APART.start, APART.start + 2), *range(APART.stop, APART.stop + 2)):
            # Settled: what comes into view has no flow, and three updates need a frame to forget that.
            np.testing.assert_allclose(left, THING_PX if at in APART else CAMERA_PX, atol=FLOW_PX)
    assert [result.start for result in results if result] == ["cold"] + ["warm"] * 15
    assert {result.iterations for result in results[2:] if result} == {OPTIONS.iterations}


def test_full_size_goes_on_from_the_frame_before_a_stray_one(update_loop: UpdateLoop) -> None:
    session = FlowSession(update_loop, replace(OPTIONS, scene_cut=0.6))
    shown = list(frames(APART.start + 1))
    shown[-2] = texture(HEIGHT, WIDTH, seed=2)
    *_, cut, resumed = [session(frame, full_resolution=False) for frame in shown]
    assert cut is not None and resumed is not None
    assert (cut.start, cut.scaled_down) == ("scene_cut", True)
    assert (resumed.start, resumed.scaled_down) == ("resumed", False)
    np.testing.assert_allclose(halves_px(resumed)[1], np.multiply(2, CAMERA_PX), atol=2 * FLOW_PX)


def test_results_have_the_size_of_the_frame_whatever_they_were_estimated_at(
    results: list[FlowResult | None],
) -> None:
    padding = Padding.for_size(HEIGHT, WIDTH)
    cells = (HEIGHT + padding.top + padding.bottom) // 8, (WIDTH + padding.left + padding.right) // 8
    assert {(result.grid_px.shape, result.padding) for result in results if result} == {((*cells, 2), padding)}
    whole = results[2]
    assert whole is not None and whole.scaled_down
    assert whole.flow_px is not None and whole.flow_px.shape == (HEIGHT, WIDTH, 2)
    assert whole.confidence is not None and whole.confidence.shape == cells
    np.testing.assert_allclose(np.median(whole.flow_px[32:-32, 32:-32], axis=(0, 1)), CAMERA_PX, atol=FLOW_PX)


def test_a_full_frame_is_estimated_as_without_a_small_size(update_loop: UpdateLoop) -> None:
    """Once it has its full size: the first pair after that still starts from the flow of the small one."""
    both, full = (
        FlowSession(update_loop, FlowOptions(iterations=2, warm_start="never", one_motion_side_px=side, scene_cut=None))
        for side in (SIDE, None)
    )
    shown = list(frames(APART.stop))[APART.start - 1 :]
    pairs = [(both(frame, full_resolution=False), full(frame, full_resolution=False)) for frame in shown]
    for one, other in pairs[1:]:
        assert one is not None and other is not None and not one.scaled_down
        np.testing.assert_array_equal(one.grid_px, other.grid_px)


def test_streams_that_share_a_pass_choose_their_sizes_each_on_its_own(
    update_loop: UpdateLoop, results: list[FlowResult | None]
) -> None:
    sessions = [FlowSession(update_loop, OPTIONS) for _ in range(2)]
    calm = texture(HEIGHT + 20, WIDTH + 40)
    for at, frame in enumerate(frames(APART.start + 2)):
        still = calm[at : at + HEIGHT, 2 * at : 2 * at + WIDTH]
        requests = [FrameRequest(each, image, False) for each, image in zip(sessions, (frame, still), strict=True)]
        moving, calm_one = estimate_together(requests)
        expected = results[at]
        assert (moving is None) == (calm_one is None) == (expected is None)
        if moving is not None and calm_one is not None and expected is not None:
            assert moving.scaled_down == expected.scaled_down and calm_one.scaled_down
            # The same sums in another order.
            np.testing.assert_allclose(moving.grid_px, expected.grid_px, atol=0.01)


def test_frames_no_larger_than_the_small_size_have_one_size() -> None:
    choice = SizeChoice(SIDE)
    choice.begin(SIDE, SIDE)
    assert not choice.is_small
    choice.begin(SIDE, SIDE + 1)
    assert choice.is_small
    assert choice.scaled(np.zeros((SIDE, 2 * SIDE, 3), np.uint8)).shape == (SIDE // 2, SIDE, 3)


def test_the_small_size_returns_only_after_two_calm_frames() -> None:
    still = np.zeros((25, 38, 2), np.float32)
    apart = still.copy()
    apart[:, :19] = 5
    padding = Padding(0, 0, 0, 0)
    choice = SizeChoice(SIDE)
    choice.begin(HEIGHT, WIDTH)
    moved = [
        choice.judge(FlowResult(flow, None, "warm", 3, padding)) for flow in (still, apart, *[still, apart] * 3, apart)
    ]
    assert moved == [False, True] + [False] * 7 and not choice.is_small
    moved = [choice.judge(FlowResult(still, None, "warm", 3, padding)) for _ in range(2)]
    assert moved == [False, True] and choice.is_small
    assert not choice.judge(FlowResult(apart, None, "scene_cut", 3, padding))

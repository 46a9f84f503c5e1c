"""A stream against its pairs, and what a session does at starts, ends, duplicates and cuts."""

from __future__ import annotations

import itertools
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch import Tensor

from raftline.flow.network import open_raft
from raftline.flow.options import FlowOptions
from raftline.flow.region_matching import RegionMatches, match_regions
from raftline.flow.result import FlowResult
from raftline.flow.session import FlowSession
from raftline.flow.update_loop import UpdateLoop
from raftline.flow.variational import luma_of, refine_on_images
from raftline.raft.padding import Padding
from raftline.raft.preprocess import to_network_input
from tests.data import data_path
from tests.raftline.raft.recipes import texture, waves

Frame = npt.NDArray[np.uint8]

# Two runs of the same arithmetic in the same order; the bound is the one that streams promise.
SAME_FLOW_PX = 1e-4

NO_PADDING = Padding(0, 0, 0, 0)

# waves() moved by whole pixels at 2 iterations of the default weights: how far the mean may be off.
ROUGH_PX = 0.75


@pytest.fixture(scope="module")
def update_loop() -> UpdateLoop:
    return open_raft(FlowOptions(device="cpu", precision="float32"))


def clip(name: str, count: int) -> list[Frame]:
    capture = cv2.VideoCapture(str(data_path("video", "shaky", name)))
    frames = []
    while len(frames) < count:
        read, frame = capture.read()
        assert read
        frames.append(np.ascontiguousarray(frame[:, :, ::-1]).astype(np.uint8))
    capture.release()
    return frames


@torch.inference_mode()
def pairwise(update_loop: UpdateLoop, frame1: Frame, frame2: Frame, iterations: int) -> npt.NDArray[np.float32]:
    padding = Padding.for_size(*frame1.shape[:2])
    images = (to_network_input(frame, padding, "cpu") for frame in (frame1, frame2))
    return padding.unpad(update_loop.model(*images, iterations=iterations))[0].permute(1, 2, 0).numpy()


def test_a_stream_without_warm_start_and_early_stop_is_its_pairs(update_loop: UpdateLoop) -> None:
    frames = clip("meshflow-3.m4v", 6)
    session = FlowSession(
        update_loop,
        FlowOptions(iterations=6, warm_start="never", region_matching=False, variational_refinement=False),
    )
    assert session(frames[0]) is None
    for earlier, later in itertools.pairwise(frames):
        result = session(later)
        assert result is not None and result.flow_px is not None
        assert result.start == "cold" and result.iterations == 6
        difference = np.abs(result.flow_px - pairwise(update_loop, earlier, later, 6)).max()
        assert difference <= SAME_FLOW_PX


@pytest.mark.parametrize(("height", "width"), [(1, 1), (1, 300), (131, 57), (64, 64)])
def test_any_size_from_one_pixel_is_taken(update_loop: UpdateLoop, height: int, width: int) -> None:
    session = FlowSession(update_loop, FlowOptions(iterations=1, warm_start="never", duplicates=None))
    assert session(waves(height, width)) is None
    result = session(waves(height, width, 1))
    assert result is not None and result.flow_px is not None
    assert result.flow_px.shape == (height, width, 2) and result.flow_px.dtype == np.float32
    assert np.isfinite(result.flow_px).all()
    padded = (height + result.padding.top + result.padding.bottom, width + result.padding.left + result.padding.right)
    assert result.grid_px.shape == (padded[0] // 8, padded[1] // 8, 2)


def test_flow_is_in_pixels_to_the_right_for_what_moves_right(update_loop: UpdateLoop) -> None:
    session = FlowSession(update_loop, FlowOptions(iterations=8, warm_start="never"))
    session(waves(136, 168))
    result = session(waves(136, 168, 2))
    assert result is not None and result.flow_px is not None
    for flow_px in (result.flow_px, result.grid_px):
        assert np.abs(flow_px[..., 0].mean() - 2) < ROUGH_PX
        assert np.abs(flow_px[..., 1].mean()) < ROUGH_PX


def test_full_resolution_is_made_only_on_request(update_loop: UpdateLoop) -> None:
    session = FlowSession(update_loop, FlowOptions(iterations=1, warm_start="never"))
    session(waves(128, 128))
    result = session(waves(128, 128, 1), full_resolution=False)
    assert result is not None and result.flow_px is None
    assert result.grid_px.shape == (16, 16, 2)


def test_a_warm_start_is_used_and_marked(update_loop: UpdateLoop) -> None:
    frames = [waves(128, 128, 1.5 * number) for number in range(4)]
    warm = FlowSession(update_loop, FlowOptions(iterations=1, warm_start="always"))
    cold = FlowSession(update_loop, FlowOptions(iterations=1, warm_start="never"))
    results = [(warm(frame), cold(frame)) for frame in frames][1:]
    assert [w.start for w, _ in results if w] == ["cold", "warm", "warm"]
    assert [c.start for _, c in results if c] == ["cold"] * 3
    last_warm, last_cold = results[-1]
    assert last_warm is not None and last_cold is not None
    error = [float(np.abs(result.grid_px[..., 0].mean() - 1.5)) for result in (last_warm, last_cold)]
    assert error[0] < error[1]


@pytest.mark.parametrize(
    ("warm_start", "iterations", "cold_iterations", "expected"),
    [("always", 1, 3, [3, 1, 1, 3]), ("adaptive", 2, 1, [2, 2, 2, 2]), ("never", 1, 3, [1, 1, 1, 1])],
)
def test_what_has_no_last_flow_gets_more_iterations(
    update_loop: UpdateLoop, warm_start: Any, iterations: int, cold_iterations: int, expected: list[int]
) -> None:
    """The first pair and the one after a cut; the pair across the cut shows no motion and gets none more."""
    options = FlowOptions(iterations=iterations, warm_start=warm_start, cold_iterations=cold_iterations)
    session = FlowSession(update_loop, options)
    scene, other = texture(96, 128), texture(96, 128, seed=1)
    frames = [scene, np.roll(scene, 1, 1), np.roll(scene, 2, 1), other, np.roll(other, 1, 1)]
    results = [session(frame) for frame in frames]
    assert [result.iterations for result in results if result] == expected


@pytest.mark.parametrize(("asked", "expected"), [(True, 2), (False, 0)])
def test_every_pair_looks_for_lost_regions_unless_told_not_to(
    update_loop: UpdateLoop, asked: bool, expected: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked = []

    def match(features1: Tensor, features2: Tensor, flow: Tensor) -> RegionMatches:
        looked.append(flow)
        return match_regions(features1, features2, flow)

    monkeypatch.setattr("raftline.flow.update_loop.match_regions", match)
    session = FlowSession(update_loop, FlowOptions(iterations=2, region_matching=asked))
    for number in range(3):
        session(waves(128, 128, 3 * number))
    assert len(looked) == expected


def test_the_flow_is_refined_on_the_pixels_unless_told_not_to(update_loop: UpdateLoop) -> None:
    frames = clip("meshflow-3.m4v", 3)
    sessions = [
        FlowSession(update_loop, FlowOptions(iterations=4, variational_refinement=asked)) for asked in (True, False)
    ]
    for number, (earlier, later) in enumerate(itertools.pairwise([frames[0], *frames])):
        nearer, network = (session(later) for session in sessions)
        if number == 0:
            continue
        assert nearer is not None and nearer.flow_px is not None
        assert network is not None and network.flow_px is not None
        luma1, luma2 = (luma_of(to_network_input(frame, NO_PADDING, "cpu")) for frame in (earlier, later))
        expected = refine_on_images(luma1, luma2, torch.from_numpy(network.flow_px).permute(2, 0, 1)[None])
        assert np.abs(nearer.flow_px - expected[0].permute(1, 2, 0).numpy()).max() <= SAME_FLOW_PX
        assert np.abs(nearer.flow_px - network.flow_px).max() > 0.05
        means = nearer.flow_px.reshape(45, 8, 80, 8, 2).mean(axis=(1, 3))
        np.testing.assert_allclose(nearer.grid_px, means, atol=SAME_FLOW_PX)


def test_the_grid_alone_can_be_refined_at_half_size(update_loop: UpdateLoop) -> None:
    frames = clip("meshflow-3.m4v", 2)

    def grid(full_resolution: bool = False, **options: Any) -> npt.NDArray[np.float32]:
        session = FlowSession(update_loop, FlowOptions(iterations=4, **options))
        session(frames[0])
        result = session(frames[1], full_resolution=full_resolution)
        assert result is not None and (result.flow_px is None) == (not full_resolution)
        return result.grid_px

    full, half = grid(), grid(grid_refinement="half")
    alone = grid(variational_refinement=False)
    # Both descend one energy, on images of two sizes: nearer to each other than to the network's grid.
    assert half.shape == full.shape
    assert np.abs(half - full).mean() < 0.6 * np.abs(alone - full).mean()
    np.testing.assert_array_equal(grid(full_resolution=True, grid_refinement="half"), grid(full_resolution=True))


def test_an_adaptive_start_is_marked_as_what_it_could_use(update_loop: UpdateLoop) -> None:
    session = FlowSession(update_loop, FlowOptions(iterations=1, warm_start="adaptive"))
    results = [session(waves(128, 128, 3 * number)) for number in range(3)]
    assert [result.start for result in results if result] == ["cold", "warm"]
    assert all(abs(float(np.median(result.grid_px[2:-2, 2:-2, 0])) - 3) < ROUGH_PX for result in results if result)


def test_a_duplicate_gives_zero_flow_without_running_the_network(
    update_loop: UpdateLoop, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = FlowOptions(iterations=2, warm_start="never", variational_refinement=False)
    session = FlowSession(update_loop, options)
    session(waves(130, 150))
    before = session(waves(130, 150, 2))
    with monkeypatch.context() as patched:
        patched.setattr(update_loop.model, "encode", lambda image: pytest.fail("the network was run"))
        duplicate = session(waves(130, 150, 2))
    assert before is not None and duplicate is not None and duplicate.flow_px is not None
    assert duplicate.start == "duplicate" and duplicate.iterations == 0
    assert duplicate.flow_px.shape == (130, 150, 2) and not duplicate.flow_px.any()
    assert duplicate.grid_px.shape == before.grid_px.shape and not duplicate.grid_px.any()
    # The next frame is matched with the one before the duplicate, which shows the same.
    after = session(waves(130, 150, 4))
    assert after is not None and after.flow_px is not None
    expected = pairwise(update_loop, waves(130, 150, 2), waves(130, 150, 4), 2)
    assert np.abs(after.flow_px - expected).max() <= SAME_FLOW_PX


def test_a_cut_is_marked_and_starts_cold(update_loop: UpdateLoop) -> None:
    session = FlowSession(update_loop, FlowOptions(iterations=1, warm_start="always"))
    scene, other = texture(96, 128), texture(96, 128, seed=1)
    starts = []
    for frame in (scene, np.roll(scene, 1, 1), np.roll(scene, 2, 1), other, np.roll(other, 1, 1)):
        result = session(frame)
        starts.append(result.start if result else None)
    assert starts == [None, "cold", "warm", "scene_cut", "cold"]


def test_a_gap_ends_the_run(update_loop: UpdateLoop) -> None:
    session = FlowSession(update_loop, FlowOptions(iterations=1, warm_start="always"))
    for number in range(3):
        session(waves(128, 128, number))
    session.reset()
    assert session(waves(128, 128, 3)) is None
    result = session(waves(128, 128, 4))
    assert result is not None and result.start == "cold"


def test_a_frame_of_another_size_begins_a_run(update_loop: UpdateLoop) -> None:
    session = FlowSession(update_loop, FlowOptions(iterations=1, warm_start="never"))
    session(waves(128, 128))
    assert session(waves(128, 136)) is None
    assert session(waves(128, 136, 1)) is not None


def test_sessions_share_a_model_and_nothing_else(update_loop: UpdateLoop) -> None:
    options = FlowOptions(iterations=2, warm_start="never", variational_refinement=False)
    one, other = (FlowSession(update_loop, options) for _ in range(2))
    one(waves(128, 128))
    other(waves(128, 160, 9))
    first, second = one(waves(128, 128, 1)), other(waves(128, 160, 12))
    assert first is not None and first.flow_px is not None and second is not None and second.flow_px is not None
    assert np.abs(first.flow_px - pairwise(update_loop, waves(128, 128), waves(128, 128, 1), 2)).max() <= SAME_FLOW_PX
    assert (
        np.abs(second.flow_px - pairwise(update_loop, waves(128, 160, 9), waves(128, 160, 12), 2)).max() <= SAME_FLOW_PX
    )


def test_an_early_stop_waits_for_what_is_small_and_fast(update_loop: UpdateLoop) -> None:
    street, ball = waves(256, 384), texture(32, 32, seed=1)

    def frame(at: int) -> Frame:
        image = street.copy()
        left = 104 + 12 * at
        image[104:136, left : left + 32] = ball
        return image

    def estimated(early_stop_px: float | None) -> FlowResult:
        options = FlowOptions(iterations=12, early_stop_px=early_stop_px, variational_refinement=False)
        session = FlowSession(update_loop, options)
        session(frame(0))
        result = session(frame(1))
        assert result is not None
        return result

    # Of 1536 cells 16 move: by the mean alone one update would do, which finds 0.8 px of the 12.
    all_updates, stopped = estimated(None), estimated(0.05)
    assert 1 < stopped.iterations < 12
    assert stopped.grid_px[13:17, 13:17, 0].mean() > 0.9 * all_updates.grid_px[13:17, 13:17, 0].mean() > 6


def test_an_early_stop_ends_the_iterations(update_loop: UpdateLoop) -> None:
    session = FlowSession(update_loop, FlowOptions(iterations=12, early_stop_px=100.0))
    session(waves(128, 128))
    result = session(waves(128, 128, 1))
    assert result is not None and result.iterations == 1


def test_the_status_says_what_it_runs_on(update_loop: UpdateLoop) -> None:
    session = FlowSession(update_loop)
    assert session.status.correlation == "auto"
    session(waves(128, 128))
    session(waves(128, 128, 1))
    status = session.status
    assert (status.estimator, status.device, status.precision) == ("raft-small", "cpu", "float32")
    assert (status.lookup, status.correlation, status.update_loop) == ("numba", "on-demand", "eager")
    assert status.fallbacks == ()
    assert status.cpu_threads == torch.get_num_threads()


def test_half_the_bits_give_nearly_the_same_flow(update_loop: UpdateLoop) -> None:
    halved = open_raft(FlowOptions(device="cpu", runtime="torch", precision="bfloat16"))
    sessions = (
        FlowSession(update_loop, FlowOptions(iterations=8, warm_start="never")),
        FlowSession(halved, FlowOptions(iterations=8, warm_start="never")),
    )
    for session in sessions:
        session(waves(128, 136))
    one, other = (session(waves(128, 136, 2)) for session in sessions)
    assert one is not None and other is not None and one.flow_px is not None and other.flow_px is not None
    # Eight bits of mantissa, eight iterations: a tenth of a pixel on average would be a fault, not rounding.
    assert 0 < np.abs(one.flow_px - other.flow_px).mean() < 0.1
    assert sessions[1].status.precision == "encoders bfloat16, correlation float32, update bfloat16"
    with pytest.raises(ValueError, match="precision: expected auto, float32, float16, bfloat16 or int8, found 'half'"):
        FlowOptions(precision="half")  # type: ignore[arg-type]

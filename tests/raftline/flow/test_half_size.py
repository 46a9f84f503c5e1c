"""A stream whose network runs at half size while that explains the frames."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import numpy.typing as npt
import pytest
import torch

from raftline.flow.half_size import HalfSize, unexplained_share
from raftline.flow.network import open_raft
from raftline.flow.options import FlowOptions
from raftline.flow.result import FlowResult
from raftline.flow.session import FlowSession
from raftline.flow.update_loop import UpdateLoop
from raftline.raft.padding import Padding
from tests.raftline.raft.recipes import texture

HEIGHT, WIDTH = 256, 270
SPEED_PX = (3, -2)
OPTIONS = FlowOptions(iterations=3, cold_iterations=3, network_size="adaptive", scene_cut=None, warm_start="never")
PADDING = Padding.for_size(HEIGHT, WIDTH)


@pytest.fixture(scope="module")
def update_loop() -> UpdateLoop:
    return open_raft(FlowOptions(device="cpu", precision="float32", runtime="torch"))


def seen(at: int, seed: int = 0) -> npt.NDArray[np.uint8]:
    world = np.asarray(cv2.GaussianBlur(texture(HEIGHT + 40, WIDTH + 40, seed), (0, 0), 2), np.uint8)
    x, y = (20 - speed * at for speed in SPEED_PX)
    return world[y : y + HEIGHT, x : x + WIDTH].copy()


def result(unexplained: float, scaled_down: bool = True) -> FlowResult:
    grid_px = np.zeros((32, 34, 2), np.float32)
    return FlowResult(grid_px, None, "warm", 3, PADDING, unexplained=unexplained, scaled_down=scaled_down)


def test_half_size_is_refined_at_full_size_and_no_less_exact(update_loop: UpdateLoop) -> None:
    errors_px = []
    for options in (OPTIONS, replace(OPTIONS, network_size="full")):
        session = FlowSession(update_loop, options)
        session(seen(0))
        found = session(seen(1), confidence=True)
        assert found is not None and found.flow_px is not None and found.confidence is not None
        assert found.scaled_down == (options.network_size == "adaptive")
        assert found.flow_px.shape == (HEIGHT, WIDTH, 2) and found.padding == PADDING
        assert found.grid_px.shape == (32, 34, 2) and found.confidence.shape == (32, 34)
        inner = found.flow_px[24:-24, 24:-24]
        np.testing.assert_allclose(found.grid_px[4:-4, 4:-4].mean(axis=(0, 1)), inner.mean(axis=(0, 1)), atol=0.05)
        errors_px.append(float(np.linalg.norm(inner - SPEED_PX, axis=2).mean()))
    half_px, full_px = errors_px
    assert half_px < full_px + 0.05


def test_what_half_size_does_not_explain_is_estimated_as_without_it(update_loop: UpdateLoop) -> None:
    adaptive, full = (FlowSession(update_loop, replace(OPTIONS, network_size=size)) for size in ("adaptive", "full"))
    for frame in (seen(0), seen(1, seed=1), seen(2, seed=1)):
        one, other = adaptive(frame), full(frame)
        assert (one is None) == (other is None)
        if one is not None and other is not None:
            assert not one.scaled_down and one.start == other.start
            np.testing.assert_array_equal(one.flow_px, other.flow_px)


def test_a_session_goes_on_at_the_size_it_had(update_loop: UpdateLoop) -> None:
    options = replace(OPTIONS, warm_start="adaptive", iterations=1, cold_iterations=1)
    first, second = (FlowSession(update_loop, options) for _ in range(2))
    first(seen(0))
    first(seen(1))
    second.restore_full(first.full_state())
    one, other = first(seen(2)), second(seen(2))
    assert one is not None and other is not None and other.scaled_down and other.start == "warm"
    np.testing.assert_array_equal(one.flow_px, other.flow_px)


def test_half_size_is_tried_again_after_ever_longer_pauses() -> None:
    choice = HalfSize()
    choice.begin(HEIGHT, WIDTH)
    sizes = []
    for _ in range(20):
        sizes.append(choice.is_small)
        choice.judge(result(0.5, choice.is_small))
    tried = np.flatnonzero(sizes)
    assert list(np.diff(tried)) == [3, 5, 9]
    while not choice.is_small:
        choice.judge(result(0.0, scaled_down=False))
    assert not choice.judge(result(0.001)) and choice.is_small
    assert choice.judge(result(0.5)) and not choice.is_small
    assert [choice.judge(result(0.0, scaled_down=False)) for _ in range(2)] == [False, True]


def test_frames_that_the_network_could_not_read_at_half_size_have_full_size() -> None:
    choice = HalfSize()
    choice.begin(255, 640)
    assert not choice.is_small and not choice.judge(result(0.5, scaled_down=False))
    choice.begin(256, 256)
    assert choice.scaled(np.zeros((256, 300, 3), np.uint8)).shape == (128, 150, 3)


def test_what_looks_different_where_the_flow_leads_is_unexplained_but_not_what_leaves_the_frame() -> None:
    levels = np.random.RandomState(0).randint(0, 120, (1, 1, 8, 10)).astype(np.float32)
    luma = torch.from_numpy(levels).repeat_interleave(16, dim=2).repeat_interleave(16, dim=3)
    still = torch.zeros(1, 2, *luma.shape[-2:])
    assert unexplained_share(luma, luma, still) == 0
    brighter = luma.clone()
    brighter[..., : luma.shape[-1] // 2] += 100
    assert unexplained_share(luma, brighter, still) == 0.5
    assert unexplained_share(luma, brighter, still + 1000) == 0

"""What is exported says what the network says, also step by step."""

from __future__ import annotations

import pytest
import torch

from raftline.raft.export.files import compile_for_tensorrt, example
from raftline.raft.export.modules import STREAM_INPUTS, STREAM_OUTPUTS, PairNetwork, StreamStep
from raftline.raft.model import Raft

# Sums in another order over two iterations.
SAME_PX = 1e-3


@pytest.fixture(scope="module", params=["bilinear", "guided"])
def model(request: pytest.FixtureRequest) -> Raft:
    torch.manual_seed(0)
    return Raft("small", request.param).eval().requires_grad_(False)


@torch.inference_mode()
def test_the_network_of_a_pair_is_the_models(model: Raft) -> None:
    first, second = example(model, "pair", 16, 18)
    found = PairNetwork(model, 2)(first, second)
    torch.testing.assert_close(found, model(first / 127.5 - 1, second / 127.5 - 1, 2), atol=SAME_PX, rtol=0)


@torch.inference_mode()
def test_a_step_from_zero_flow_is_the_pair_and_hands_on_what_the_next_takes(model: Raft) -> None:
    image, *state, flow = example(model, "stream", 16, 18)
    flow_px, *handed_on = StreamStep(model, 2)(image, *state, torch.zeros_like(flow))
    first = example(model, "pair", 16, 18)[0]
    torch.testing.assert_close(flow_px, PairNetwork(model, 2)(first, image), atol=SAME_PX, rtol=0)
    assert [part.shape for part in handed_on] == [part.shape for part in (*state, flow)]
    for one, other in zip(handed_on, model.encode(image / 127.5 - 1), strict=False):
        torch.testing.assert_close(one, other)
    assert len(STREAM_INPUTS) == len(STREAM_OUTPUTS) == 1 + len(handed_on)


@torch.inference_mode()
def test_a_step_starts_from_the_flow_that_it_is_given(model: Raft) -> None:
    image, *state, flow = example(model, "stream", 16, 18)
    step = StreamStep(model, 1)
    there, nowhere = step(image, *state, flow)[-1], step(image, *state, 0 * flow)[-1]
    assert (there - nowhere).abs().max() > 0.01


def test_without_a_gpu_tensorrt_is_left_out_and_says_so(model: Raft, tmp_path) -> None:  # type: ignore[no-untyped-def]
    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    assert "no NVIDIA GPU" in (compile_for_tensorrt(model, 1, (128, 128), tmp_path / "raft.ep") or "")

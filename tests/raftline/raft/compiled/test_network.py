"""The compiled network against torch's."""

from __future__ import annotations

import os
import threading
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

pytest.importorskip("openvino", reason="OpenVINO is not installed: pip install '.[openvino]'")

from raftline.evaluation.datasets import open_dataset, read_image, read_truth
from raftline.flow.options import FlowOptions
from raftline.flow.pair import estimate_flow
from raftline.flow.session import FlowSession
from raftline.raft.choices import PrecisionChoice, RuntimeName
from raftline.raft.compiled import graphs
from raftline.raft.compiled.graph import CompiledGraph
from raftline.raft.compiled.loading import compile_raft
from raftline.raft.compiled.network import CompiledRaft
from raftline.raft.model import Architecture, Raft
from raftline.raft.precision import Precision
from raftline.raft.weights.loading import load_raft
from raftline.synthetic.clips import SyntheticClips, SyntheticOptions
from tests.data import data_path
from tests.raftline.raft.recipes import numbered_weights, waves

RUNTIMES: tuple[RuntimeName, RuntimeName] = ("torch", "openvino")
# What the runtimes promise of each other, of flow in float32. Measured: below 0.0001.
SAME_FLOW_PX = 0.01
# 8 bits: of end-point errors. Measured: see raftline.raft.compiled.ranges.
SAME_EPE_PX = 0.01


def a_model(architecture: Architecture) -> Raft:
    model = Raft(architecture).eval().requires_grad_(False)
    model.load_state_dict(numbered_weights(architecture))
    return model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]


def compiled(model: Raft, precision: str = "float32") -> CompiledRaft:
    return compile_raft(model, Precision(compiled=precision))  # type: ignore[arg-type]


def shifted(height: int = 128, width: int = 160, batch: int = 1) -> tuple[Tensor, Tensor]:
    earlier, later = (
        np.stack([waves(height, width, shift_px=number + step) for number in range(batch)]) for step in (0, 3)
    )
    scaled = (torch.from_numpy(each).permute(0, 3, 1, 2).float() * (2 / 255) - 1 for each in (earlier, later))
    one, two = (each.contiguous(memory_format=torch.channels_last) for each in scaled)
    return one, two


@pytest.mark.parametrize("weights", ["default", "small", "large"])
def test_float32_is_the_flow_of_torch(weights: Any) -> None:
    model = load_raft("default", "cpu") if weights == "default" else a_model(weights)
    with torch.inference_mode():
        flows = [each(*shifted(), iterations=4) for each in (model, compiled(model))]
    assert flows[0].abs().mean() > 0.1
    assert (flows[0] - flows[1]).norm(dim=1).max() < SAME_FLOW_PX


def test_float32_is_the_flow_of_torch_on_clips_with_objects_and_noise() -> None:
    clips = SyntheticClips(SyntheticOptions(128, 136, tile_px=128), seed=3)
    for number in range(3):
        earlier, later = clips.batch([number]).frames[0, :2].round().to(torch.uint8)
        flows = [
            estimate_flow(earlier, later, runtime=runtime, precision="float32", device="cpu") for runtime in RUNTIMES
        ]
        assert (flows[0] - flows[1]).norm(dim=0).max() < SAME_FLOW_PX


def test_what_a_pair_needs_is_compiled_while_its_first_frame_is_encoded(monkeypatch: pytest.MonkeyPatch) -> None:
    threads, by, compile_graph = torch.get_num_threads(), [], CompiledGraph.of
    monkeypatch.setattr(
        CompiledGraph,
        "of",
        lambda *given: (by.append(threading.current_thread() is threading.main_thread()), compile_graph(*given))[1],
    )
    earlier, later = shifted()
    flows = []
    try:
        for count in (1, 2):
            torch.set_num_threads(count)
            model = compiled(a_model("small"))
            with torch.inference_mode():
                flows.append(model(earlier, later, iterations=1))
    finally:
        torch.set_num_threads(threads)
    assert by[:3] == [True] * 3 and sorted(by[3:]) == [False, False, True]
    assert (flows[0] - flows[1]).norm(dim=1).max() < SAME_FLOW_PX


def test_a_batch_is_its_images_one_by_one() -> None:
    model = compiled(a_model("small"))
    with torch.inference_mode():
        together = model(*shifted(batch=2), iterations=2)
        alone = model(*(each[1:] for each in shifted(batch=2)), iterations=2)
    assert torch.equal(together[1:], alone)


def test_both_ways_share_a_pass() -> None:
    frames = [waves(128, 160), waves(128, 160, 3)]
    results = []
    for runtime in RUNTIMES:
        session = FlowSession(options=FlowOptions(runtime=runtime, precision="float32", device="cpu"))
        results.append([session(frame, confidence=True) for frame in frames][1])
    one, two = results
    assert one is not None and two is not None and one.confidence is not None and two.confidence is not None
    np.testing.assert_allclose(one.confidence, two.confidence, atol=0.01)
    np.testing.assert_allclose(one.grid_px, two.grid_px, atol=SAME_FLOW_PX)


def test_what_a_call_returned_is_not_overwritten_by_the_next() -> None:
    model = compiled(a_model("small"))
    with torch.inference_mode():
        first = model.encode(shifted()[0])
        kept = [each.clone() for each in first]
        model.encode(shifted()[1])
    assert all(torch.equal(one, two) for one, two in zip(first, kept, strict=True))


def test_outputs_lie_channels_last_as_those_of_torch() -> None:
    with torch.inference_mode():
        frame = compiled(load_raft("default", "cpu")).encode(shifted()[0])
    assert all(each.is_contiguous(memory_format=torch.channels_last) for each in frame)


def test_a_part_is_compiled_once_for_a_size_and_a_number_of_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    model, made = compiled(a_model("small")), []
    layers = model._layers
    monkeypatch.setattr(model, "_layers", lambda *arguments: made.append(arguments) or layers(*arguments))
    threads = torch.get_num_threads()
    try:
        with torch.inference_mode():
            for count in (1, 1, 2):
                torch.set_num_threads(count)
                model.encode(shifted()[0])
            model.encode(shifted(136)[0])
    finally:
        torch.set_num_threads(threads)
    assert len([part for part, *_ in made if part is graphs.encoders]) == 3


def test_with_one_thread_no_other_is_started() -> None:
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        before = set(os.listdir("/proc/self/task"))
        with torch.inference_mode():
            compiled(a_model("small"))(*shifted(), iterations=1)
        assert set(os.listdir("/proc/self/task")) <= before
    finally:
        torch.set_num_threads(threads)


def test_8_bits_are_the_default_and_the_status_says_so() -> None:
    session = FlowSession(options=FlowOptions(runtime="openvino", device="cpu"))
    assert (session.status.runtime, session.status.precision) == ("openvino", "int8")
    assert session.status.fallbacks == ()


def test_8_bits_give_the_same_flow_twice() -> None:
    model = compiled(load_raft("default", "cpu"), "int8")
    with torch.inference_mode():
        assert torch.equal(model(*shifted(), iterations=3), model(*shifted(), iterations=3))


def test_8_bits_of_other_weights_move_the_flow_little() -> None:
    model = a_model("large")
    with torch.inference_mode():
        flows = [each(*shifted(), iterations=2) for each in (model, compiled(model, "int8"))]
    difference = (flows[0] - flows[1]).norm(dim=1).mean() / flows[0].norm(dim=1).mean()
    assert 0 < difference < 0.05


@pytest.mark.parametrize("scene", ["RubberWhale", "Venus"])
def test_8_bits_keep_the_end_point_error(scene: str) -> None:
    dataset = open_dataset(f"middlebury:{data_path('flow', 'middlebury')}")
    pair = next(each.pairs[0] for each in dataset.scenes if each.name.startswith(scene))
    truth_px = read_truth(next(iter(pair.truths.values())))
    errors = []
    for runtime in RUNTIMES:
        precision: PrecisionChoice = "float32" if runtime == "torch" else "int8"
        images = read_image(pair.image1), read_image(pair.image2)
        flow_px = estimate_flow(*images, runtime=runtime, precision=precision, device="cpu", iterations=4)
        errors.append(float(np.nanmean(np.linalg.norm(flow_px - truth_px, axis=2))))
    assert errors[1] == pytest.approx(errors[0], abs=SAME_EPE_PX)
    assert errors[0] != errors[1]

"""16-bit arithmetic: when it is chosen, that it is used, and that the flow stays."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from raftline.evaluation.datasets import open_dataset, read_image, read_truth
from raftline.raft.model import Architecture, Raft
from raftline.raft.padding import Padding
from raftline.raft.precision import FLOAT32, Precision, choose_precision
from raftline.raft.preprocess import to_network_input
from raftline.raft.weights.loading import load_raft
from tests.data import data_path
from tests.raftline.raft.recipes import numbered_weights, waves

CPU = torch.device("cpu")
BFLOAT16 = Precision(torch.bfloat16, torch.float32, torch.bfloat16)
FLOAT16 = Precision(torch.float16, torch.float16, torch.float16)

# What 16 bits may move the end-point error by, in px: the bound the project promises. Measured: below 0.01.
SAME_EPE_PX = 0.02


def on_a_cpu_with(monkeypatch: pytest.MonkeyPatch, **capabilities: bool) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities)


@pytest.mark.parametrize("instructions", ["avx512_bf16", "amx_bf16"])
def test_auto_is_bfloat16_on_a_cpu_that_multiplies_it(instructions: str, monkeypatch: pytest.MonkeyPatch) -> None:
    on_a_cpu_with(monkeypatch, avx2=True, **{instructions: True})
    assert choose_precision(CPU) == BFLOAT16


def test_auto_is_float32_on_a_cpu_that_would_emulate_bfloat16(monkeypatch: pytest.MonkeyPatch) -> None:
    on_a_cpu_with(monkeypatch, avx2=True, avx512_f=True, avx512_bf16=False)
    assert choose_precision(CPU) == FLOAT32


@pytest.mark.parametrize(("capability", "expected"), [((6, 1), FLOAT32), ((7, 5), FLOAT16), ((9, 0), FLOAT16)])
def test_auto_is_float16_on_a_gpu_with_tensor_cores(
    capability: tuple[int, int], expected: Precision, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    assert choose_precision(torch.device("cuda")) == expected


def test_what_is_asked_for_is_taken() -> None:
    assert choose_precision(CPU, "float32") == FLOAT32
    assert choose_precision(CPU, "bfloat16") == BFLOAT16
    assert choose_precision(torch.device("cuda"), "bfloat16").correlation is torch.bfloat16


def test_what_cannot_be_had_is_refused() -> None:
    with pytest.raises(ValueError, match=r"precision: expected auto, float32, float16, bfloat16, int8; found 'fp16'"):
        choose_precision(CPU, "fp16")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"precision float16: .* Use auto, bfloat16 or float32"):
        choose_precision(CPU, "float16")


def test_a_precision_says_its_name() -> None:
    assert FLOAT32.name == "float32" and FLOAT16.name == "float16"
    assert BFLOAT16.name == "encoders bfloat16, correlation float32, update bfloat16"


@pytest.mark.parametrize("architecture", ["small", "large"])
def test_every_part_computes_in_its_type_and_flow_stays_float32(architecture: Architecture) -> None:
    model = Raft(architecture).eval().to_precision(BFLOAT16)
    for module in model.modules():
        expected = torch.bfloat16 if isinstance(module, torch.nn.Conv2d) else torch.float32
        assert {parameter.dtype for parameter in module.parameters(recurse=False)} <= {expected}
    with torch.inference_mode():
        frame = model.encode(torch.zeros(1, 3, 128, 128))
        assert (frame.features.dtype, frame.hidden.dtype, frame.context.dtype) == (
            torch.float32,
            torch.bfloat16,
            torch.bfloat16,
        )
        coarse = model.refine(frame, frame, 1)
        assert (coarse.flow.dtype, coarse.hidden.dtype) == (torch.float32, torch.bfloat16)
        assert model.upsample(coarse).dtype is torch.float32


# float16 has 11 bits, bfloat16 8; a few layers' rounding adds up.
@pytest.mark.parametrize(
    ("architecture", "dtype", "relative"),
    [("small", torch.float16, 2e-3), pytest.param("large", torch.bfloat16, 2e-2, marks=pytest.mark.slow)],
)
def test_16_bits_give_nearly_the_same_flow(architecture: Architecture, dtype: torch.dtype, relative: float) -> None:
    padding = Padding.for_size(128, 128)
    images = [to_network_input(waves(128, 128, shift), padding, "cpu") for shift in (0, 3)]
    flows = []
    for precision in (FLOAT32, Precision(dtype, torch.float32, dtype)):
        model = Raft(architecture).eval()
        model.load_state_dict(numbered_weights(architecture))
        with torch.inference_mode():
            flows.append(model.to_precision(precision)(*images, iterations=2))
    difference = (flows[0] - flows[1]).norm(dim=1).mean() / flows[0].norm(dim=1).mean()
    assert 0 < difference < relative


def test_bfloat16_keeps_the_end_point_error() -> None:
    dataset = open_dataset(f"middlebury:{data_path('flow', 'middlebury')}")
    pair = next(scene.pairs[0] for scene in dataset.scenes if scene.name.startswith("RubberWhale"))
    truth_px = read_truth(next(iter(pair.truths.values())))
    images = [read_image(pair.image1), read_image(pair.image2)]
    padding = Padding.for_size(*images[0].shape[:2])
    errors = []
    for precision in (FLOAT32, BFLOAT16):
        model = load_raft("default", "cpu").to_precision(precision)
        with torch.inference_mode():
            inputs = (to_network_input(image, padding, "cpu") for image in images)
            flow_px = padding.unpad(model(*inputs, iterations=6))[0].permute(1, 2, 0).numpy()
        errors.append(float(np.nanmean(np.linalg.norm(flow_px - truth_px, axis=2))))
    assert abs(errors[0] - errors[1]) < SAME_EPE_PX
    assert errors[0] != errors[1]

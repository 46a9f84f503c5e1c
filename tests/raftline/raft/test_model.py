"""The network: its size, its shapes, and its numbers."""

from __future__ import annotations

import pytest
import torch

from raftline.raft.model import Architecture, Raft
from raftline.raft.padding import Padding
from raftline.raft.preprocess import to_network_input
from raftline.raft.upsample import upsample_bilinear, upsample_convex
from tests.raftline.raft.recipes import numbered_weights, waves

# Flow of torchvision's networks on the same weights and images, at [:, 8::40, 10::50]. Recipe: torchvision 0.28.0's
# models/optical_flow/raft.py, raft_large() and raft_small() in eval mode, load_state_dict(numbered_weights(...)),
# images waves(136, 160) and waves(136, 160, shift_px=3) scaled to [-1, 1], num_flow_updates=3, the last flow.
STORED: dict[Architecture, list[list[list[float]]]] = {
    "large": [
        [
            [-16.086212, -26.27467, -19.294737],
            [-20.302, -34.27201, -20.813501],
            [-19.893822, -29.518257, -24.388582],
            [-8.704419, -11.407329, -8.944981],
        ],
        [
            [-2.61842, -0.903414, 3.213996],
            [0.471525, 5.759512, 9.740274],
            [2.59644, 5.158468, 5.726563],
            [3.715589, 6.97983, 3.680062],
        ],
    ],
    "small": [
        [
            [-18.466026, -25.193104, -28.509106],
            [-16.75761, -17.857056, -19.737534],
            [-18.251192, -20.602274, -15.565748],
            [-8.757619, -9.570343, -12.268189],
        ],
        [
            [-6.105735, -6.618546, -8.44256],
            [-12.915911, -9.119876, -3.43304],
            [-1.169363, -1.654775, -0.512325],
            [4.660233, 6.841823, 8.19914],
        ],
    ],
}


@pytest.mark.parametrize(("architecture", "parameters"), [("small", 990_162), ("large", 5_257_536)])
def test_the_networks_have_the_papers_number_of_parameters(architecture: Architecture, parameters: int) -> None:
    assert sum(parameter.numel() for parameter in Raft(architecture).parameters()) == parameters


@pytest.mark.parametrize("architecture", ["small", "large"])
def test_the_flow_is_that_of_an_independent_implementation(architecture: Architecture) -> None:
    model = Raft(architecture).eval()
    model.load_state_dict(numbered_weights(architecture))
    padding = Padding.for_size(136, 160)
    image1, image2 = (to_network_input(waves(136, 160, shift), padding, "cpu") for shift in (0, 3))
    with torch.inference_mode():
        flow = model(image1, image2, iterations=3)
    assert flow.shape == (1, 2, 136, 160)
    # Random weights are not contracting: float32 rounding (1.5e-5 px here) may differ by some times that elsewhere.
    torch.testing.assert_close(flow[0, :, 8::40, 10::50], torch.tensor(STORED[architecture]), atol=1e-3, rtol=0)


def test_an_unknown_architecture_is_refused_with_those_there_are() -> None:
    with pytest.raises(ValueError, match="architecture: found 'huge', allowed are 'small', 'large'"):
        Raft("huge")  # type: ignore[arg-type]


def test_a_batch_is_its_pairs_one_by_one() -> None:
    model = Raft("small").eval()
    model.load_state_dict(numbered_weights("small"))
    padding = Padding.for_size(128, 128)
    first, second, third = (to_network_input(waves(128, 128, shift), padding, "cpu") for shift in (0, 2, 5))
    with torch.inference_mode():
        together = model(torch.cat([first, second]), torch.cat([second, third]), iterations=2)
        alone = torch.cat([model(first, second, iterations=2), model(second, third, iterations=2)])
    # Convolutions of a batch may be split differently: float32 rounding, as above.
    torch.testing.assert_close(together, alone, atol=1e-3, rtol=0)


def test_the_start_of_the_iterations_is_taken() -> None:
    model = Raft("small").eval()
    model.load_state_dict(numbered_weights("small"))
    image = to_network_input(waves(128, 128), Padding.for_size(128, 128), "cpu")
    with torch.inference_mode():
        frame = model.encode(image)
        cold = model.refine(frame, frame, 1)
        started = model.refine(frame, frame, 1, flow_init=torch.full((1, 2, 16, 16), 2.0))
    assert (started.flow - cold.flow).mean() > 0.5


def test_the_flow_of_every_iteration_is_given_to_those_who_train() -> None:
    model = Raft("small")
    model.load_state_dict(numbered_weights("small"))
    padding = Padding.for_size(128, 128)
    earlier, later = (model.encode(to_network_input(waves(128, 128, shift), padding, "cpu")) for shift in (0, 3))
    each = list(model.iterate(earlier, later, 3))
    assert [coarse.iterations for coarse in each] == [1, 2, 3]
    for coarse in each:
        torch.testing.assert_close(coarse.flow, model.refine(earlier, later, coarse.iterations).flow)
    each[0].flow.sum().backward(retain_graph=True)
    assert model.update_block.flow_head.conv2.weight.grad is not None


def test_every_parameter_gets_a_gradient() -> None:
    model = Raft("large")
    model.load_state_dict(numbered_weights("large"))
    padding = Padding.for_size(128, 128)
    image1, image2 = (to_network_input(waves(128, 128, shift), padding, "cpu") for shift in (0, 3))
    model(image1, image2, iterations=2).abs().mean().backward()
    missing = [name for name, parameter in model.named_parameters() if parameter.grad is None]
    assert not missing


def test_every_parameter_gets_a_gradient_under_autocast() -> None:
    model = Raft("small")
    model.load_state_dict(numbered_weights("small"))
    images = [to_network_input(waves(128, 128, shift), Padding.for_size(128, 128), "cpu") for shift in (0, 3)]
    with torch.autocast("cpu", torch.bfloat16):
        flow = model(*images, iterations=2)
    assert flow.dtype is torch.float32
    flow.abs().mean().backward()
    missing = [name for name, parameter in model.named_parameters() if parameter.grad is None]
    assert not missing


def test_convex_upsampling_with_all_weight_on_the_centre_repeats_each_cell() -> None:
    flow = torch.randn(1, 2, 3, 4, generator=torch.Generator().manual_seed(0))
    mask = torch.zeros(1, 9, 64, 3, 4)
    mask[:, 4] = 100.0
    expected = 8 * flow.repeat_interleave(8, dim=2).repeat_interleave(8, dim=3)
    torch.testing.assert_close(upsample_convex(flow, mask.view(1, 576, 3, 4)), expected)


def test_convex_weights_are_ordered_row_by_row_within_a_cell() -> None:
    flow = torch.zeros(1, 2, 3, 3)
    flow[0, 0, 1, 2] = 1.0
    mask = torch.zeros(1, 9, 8, 8, 3, 3)
    mask[0, 5, 2, 7, 1, 1] = 100.0  # the right neighbour (5 of 0 to 8), for row 2, column 7 of the middle cell
    fine = upsample_convex(flow, mask.view(1, 576, 3, 3))
    assert fine[0, 0, 8 + 2, 8 + 7] == pytest.approx(8.0)
    assert fine[0, 0, 8 + 7, 8 + 2] == pytest.approx(8.0 / 9)


def test_bilinear_upsampling_scales_cells_to_pixels() -> None:
    assert torch.allclose(upsample_bilinear(torch.full((1, 2, 2, 3), 0.5)), torch.full((1, 2, 16, 24), 4.0))

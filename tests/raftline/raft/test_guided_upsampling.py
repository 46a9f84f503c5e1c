"""Upsampling that looks at the image: its size, its beginning, its border, and that it keeps edges."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import safetensors.torch
import torch

from raftline.flow.options import FlowOptions
from raftline.flow.session import FlowSession, FrameRequest, estimate_together
from raftline.flow.update_loop import UpdateLoop
from raftline.raft.model import CoarseFlow, Raft
from raftline.raft.padding import Padding
from raftline.raft.preprocess import to_network_input
from raftline.raft.upsample import GuidedMaskPredictor, upsample_bilinear
from raftline.raft.weights.errors import WeightsMismatch
from raftline.raft.weights.loading import load_raft
from raftline.synthetic.clip_batch import network_input
from raftline.synthetic.clips import SyntheticClips, SyntheticOptions
from raftline.synthetic.scene import SceneOptions
from tests.raftline.raft.recipes import texture, waves

SIZE = 128, 160
GRID = 16, 20


def guided_model() -> Raft:
    torch.manual_seed(0)
    return Raft("small", "guided").eval().requires_grad_(False)


def coarse_to(model: Raft, flow: torch.Tensor) -> CoarseFlow:
    frame = model.encode(to_network_input(waves(*SIZE), Padding.for_size(*SIZE), "cpu"))
    return CoarseFlow(flow, frame.hidden, frame.guide, 1)


def test_the_paper_has_none_and_this_projects_small_has_so_many_parameters_more() -> None:
    paper, guided = (sum(each.numel() for each in model.parameters()) for model in (Raft("small"), guided_model()))
    assert guided - paper == 450_848
    assert Raft("small").upsampling == "bilinear" and Raft("large").upsampling == "convex"


def test_before_it_has_learnt_it_interpolates_between_the_centres_of_cells() -> None:
    model = guided_model()
    model.mask_predictor.conv.weight.zero_()  # type: ignore[union-attr]
    slope = torch.arange(GRID[1], dtype=torch.float32).expand(1, 2, *GRID) / 8
    fine = model.upsample(coarse_to(model, slope))
    x = torch.arange(SIZE[1])
    expected = 8 * ((x - 3.5) / 8) / 8
    # Shares of 0 have no logit; what they get instead cancels in the middle of a slope.
    torch.testing.assert_close(fine[0, 0, 64, 8:-8], expected[8:-8], atol=0.05, rtol=0)


def test_every_parameter_gets_a_gradient() -> None:
    torch.manual_seed(0)
    model = Raft("small", "guided")
    images = [to_network_input(waves(*SIZE, shift), Padding.for_size(*SIZE), "cpu") for shift in (0, 3)]
    model(*images, iterations=2).abs().mean().backward()
    assert not [name for name, parameter in model.named_parameters() if parameter.grad is None]


def test_the_image_decides_where_the_hidden_state_and_the_flow_are_the_same() -> None:
    model = guided_model()
    flow = torch.randn(1, 2, *GRID, generator=torch.Generator().manual_seed(0))
    one, other = (
        model.encode(to_network_input(image, Padding.for_size(*SIZE), "cpu"))
        for image in (texture(*SIZE, seed=1), texture(*SIZE, seed=2))
    )
    upsampled = [model.upsample(CoarseFlow(flow, one.hidden, frame.guide, 1)) for frame in (one, other)]
    assert (upsampled[0] - upsampled[1]).abs().max() > 1e-4


def test_frames_of_networks_that_do_not_look_have_a_guide_without_channels() -> None:
    image = to_network_input(waves(*SIZE), Padding.for_size(*SIZE), "cpu")
    for architecture in ("small", "large"):
        assert Raft(architecture).eval().encode(image).guide.shape == (1, 0, *GRID)
    assert guided_model().encode(image).guide.shape == (1, 128, *GRID)


def test_both_ways_each_flow_is_upsampled_by_the_image_it_begins_in() -> None:
    model = guided_model()
    earlier, later = (
        model.encode(to_network_input(image, Padding.for_size(*SIZE), "cpu"))
        for image in (texture(*SIZE, seed=1), texture(*SIZE, seed=2))
    )
    coarse = UpdateLoop(model)(earlier, later, None, FlowOptions(iterations=2), both_ways=True)
    assert torch.equal(coarse.guide, torch.cat([earlier.guide, later.guide]))


def test_streams_taken_together_have_the_flow_that_each_has_alone() -> None:
    update_loop = UpdateLoop(guided_model())
    images = [[texture(*SIZE, seed=number), texture(*SIZE, seed=number + 1)] for number in (1, 5)]
    alone = []
    for earlier, later in images:
        session = FlowSession(update_loop)
        session(earlier)
        alone.append(session(later))
    sessions = [FlowSession(update_loop) for _ in images]
    for place in range(2):
        requests = [FrameRequest(one, run[place]) for one, run in zip(sessions, images, strict=True)]
        together = estimate_together(requests)
    for one, other in zip(alone, together, strict=True):
        assert one is not None and other is not None and one.flow_px is not None and other.flow_px is not None
        # Convolutions of a batch may be split differently.
        np.testing.assert_allclose(one.flow_px, other.flow_px, atol=1e-2)


def test_a_file_says_by_its_tensors_how_its_network_upsamples(tmp_path: Path) -> None:
    model = guided_model()
    safetensors.torch.save_file(model.state_dict(), tmp_path / "guided.safetensors")
    loaded = load_raft(tmp_path / "guided.safetensors", "cpu")
    assert loaded.upsampling == "guided" and isinstance(loaded.mask_predictor, GuidedMaskPredictor)
    half = {name: tensor for name, tensor in model.state_dict().items() if name != "mask_predictor.conv.bias"}
    safetensors.torch.save_file(half, tmp_path / "half.safetensors")
    with pytest.raises(WeightsMismatch, match=r"1 missing: mask_predictor\.conv\.bias"):
        load_raft(tmp_path / "half.safetensors", "cpu")


def test_the_shipped_weights_keep_edges_that_interpolation_blurs() -> None:
    """Within 4 px of where the true flow jumps by more than 2 px; what is lost altogether counts as 3 px."""
    model = load_raft(device="cpu")
    clips = SyntheticClips(SyntheticOptions(192, 256, tile_px=128, scenes=SceneOptions(static=0.0)), seed=20)
    missed_px = []
    for number in range(6):
        clip = clips.batch([number])
        truth_px = clip.flows[0, 0].permute(1, 2, 0).contiguous().numpy()
        lowest, highest = (way(truth_px, np.ones((9, 9), np.uint8)) for way in (cv2.erode, cv2.dilate))
        near = (highest - lowest).max(axis=2) > 2
        assert clip.visible is not None
        near &= clip.visible[0, 0].numpy()
        with torch.inference_mode():
            images = network_input(clip.frames[:, :2])
            coarse = model.refine(model.encode(images[:, 0]), model.encode(images[:, 1]), 12)
            for fine in (model.upsample(coarse), upsample_bilinear(coarse.flow)):
                missed = np.linalg.norm(fine[0].permute(1, 2, 0).numpy() - truth_px, axis=2)
                missed_px.append(np.minimum(missed[near], 3).sum())
    assert sum(missed_px[::2]) < 0.9 * sum(missed_px[1::2])

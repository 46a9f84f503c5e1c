"""Learning block by block: nothing to learn from itself, a gradient for everything, a teacher in few steps."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from raftline.raft.model import Architecture, Raft
from raftline.raft.weights.loading import load_raft
from raftline.training.blocks import BlockObjective
from raftline.training.options import DistillationOptions, ScheduleOptions
from raftline.training.trainer import Trainer
from tests.raftline.training.training_bench import CPU, shifted_clips, small_options


def rng() -> np.random.Generator:
    return np.random.default_rng(0)


@pytest.mark.parametrize("architecture", ["small", "large"])
def test_gradients_reach_every_module_each_from_its_own_block(architecture: Architecture, tmp_path: Path) -> None:
    torch.manual_seed(0)
    model, teacher = Raft(architecture).train(), Raft(architecture).eval()
    options = small_options(tmp_path / "out", architecture=architecture)
    BlockObjective(model, options, teacher)(shifted_clips(), 0, rng()).loss.backward()
    for name, parameter in model.named_parameters():
        if not name.startswith("mask_predictor"):
            assert parameter.grad is not None, name
            # Only biases ahead of an instance norm have none: it takes every mean away again.
            assert parameter.ndim == 1 or parameter.grad.any(), name


def test_a_network_that_is_its_own_teacher_has_nothing_to_learn(tmp_path: Path) -> None:
    model = load_raft("default", "cpu").requires_grad_(True)
    losses = BlockObjective(model, small_options(tmp_path / "out"), load_raft("default", "cpu"))(
        shifted_clips(), 0, rng()
    )
    assert float(losses.loss.detach()) < 1e-6  # the same arithmetic, in batches of another size
    assert np.isnan(float(losses.epe_px))


def test_one_wrong_block_is_no_other_blocks_error(tmp_path: Path) -> None:
    model = load_raft("default", "cpu").requires_grad_(True)
    with torch.no_grad():
        model.feature_encoder.get_parameter("layer1.0.convnormrelu1.0.weight").mul_(-1)
    BlockObjective(model, small_options(tmp_path / "out"), load_raft("default", "cpu"))(
        shifted_clips(), 0, rng()
    ).loss.backward()
    sizes = {
        name: float(parameter.grad.abs().max())
        for name, parameter in model.feature_encoder.named_parameters()
        if parameter.grad is not None and parameter.ndim > 1
    }
    wrong = {size for name, size in sizes.items() if name.startswith("layer1.0.")}
    right = {size for name, size in sizes.items() if not name.startswith("layer1.0.")}
    assert min(wrong) > 1000 * max(right)


@pytest.mark.slow
def test_some_steps_take_a_network_from_scratch_most_of_the_way(tmp_path: Path) -> None:
    options = small_options(
        tmp_path / "out",
        steps=40,
        schedule={"learning_rate": 0.1, "shape": "cosine", "by_layer": True},
        distillation={"teacher": "default", "blocks": True},
        weight_decay=0.0,
    )
    trainer = Trainer(options, CPU)
    losses = [trainer.step()().loss for _ in range(options.steps)]
    assert np.mean(losses[-4:]) < 0.4 * losses[0]


@pytest.mark.parametrize("teacher", [None, Raft("large")])
def test_a_teacher_of_the_same_architecture_is_asked_for(teacher: Raft | None, tmp_path: Path) -> None:
    options = small_options(tmp_path / "out").with_changes(
        distillation=DistillationOptions(blocks=True), schedule=ScheduleOptions()
    )
    found = "none" if teacher is None else "RAFT-large"
    with pytest.raises(ValueError, match=rf"distillation.blocks: expected .* RAFT-small.* found {found}"):
        BlockObjective(Raft("small"), options, teacher)


def test_layers_move_by_the_same_share_of_themselves(tmp_path: Path) -> None:
    options = small_options(tmp_path / "out", schedule={"learning_rate": 0.01, "rise": 0.0, "by_layer": True})
    trainer = Trainer(options, CPU)
    before = {name: parameter.detach().clone() for name, parameter in trainer.model.named_parameters()}
    trainer.step()
    for name, parameter in trainer.model.named_parameters():
        if parameter.ndim > 1:
            size = before[name].square().mean().sqrt()
            # Adam's first step moves every number that has a gradient by the learning rate.
            moved = (parameter.detach() - before[name]).abs().max() / size
            assert moved == pytest.approx(0.01, rel=0.05), name

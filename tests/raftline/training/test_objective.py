"""What a step minimises: gradients reach everything, warm starts are warm and detached, a teacher teaches."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np
import pytest
import torch

from raftline.raft.model import Architecture, Raft
from raftline.raft.weights.loading import load_raft
from raftline.training.objective import Objective
from raftline.training.options import DistillationOptions, PrecisionOptions
from tests.data import data_path
from tests.raftline.training.training_bench import NO_NOISE, shifted_clips, small_options

RANDOM = np.random.default_rng


@pytest.mark.parametrize("architecture", ["small", pytest.param("large", marks=pytest.mark.slow)])
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_gradients_reach_every_module(
    architecture: Architecture, precision: Literal["float32", "bfloat16"], tmp_path: Path
) -> None:
    options = small_options(tmp_path / "out", architecture=architecture)
    options = options.with_changes(precision=PrecisionOptions(encoders=precision, update=precision))
    torch.manual_seed(0)
    model = Raft(architecture).train()
    losses = Objective(model, options)(shifted_clips(), 0, RANDOM(0))
    assert losses.loss.dtype == torch.float32
    losses.loss.backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert torch.isfinite(parameter.grad).all(), name
        # Only biases ahead of an instance norm have none: it takes every mean away again.
        if parameter.ndim > 1:
            assert parameter.grad.any(), name


def default_objective(tmp_path: Path, **changes: object) -> Objective:
    options = small_options(tmp_path / "out").with_changes(**changes)
    model = load_raft("default", "cpu").requires_grad_(True)
    return Objective(model, options)


def test_a_warm_start_is_nearer_to_the_truth_than_a_cold_one(tmp_path: Path) -> None:
    clips = shifted_clips(shift_px=14)
    warm = NO_NOISE.model_copy(update={"iterations": 1})
    cold = warm.model_copy(update={"share": 0.0})
    after_warm = default_objective(tmp_path, iterations=6, warm_start=warm)(clips, 0, RANDOM(0))
    after_cold = default_objective(tmp_path, iterations=6, warm_start=cold)(clips, 0, RANDOM(0))
    assert float(after_warm.epe_px) == float(after_cold.epe_px)
    assert float(after_warm.warm_epe_px) < 0.8 * float(after_cold.warm_epe_px)


def test_the_start_is_the_flow_carried_forward_without_its_gradient(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    objective = default_objective(tmp_path, warm_start=NO_NOISE)
    starts = []
    begin = Raft.begin

    def watched(model: Raft, earlier: object, correlation: object, flow_init: torch.Tensor | None = None) -> object:
        starts.append(flow_init)
        return begin(model, earlier, correlation, flow_init)  # type: ignore[arg-type]

    monkeypatch.setattr(Raft, "begin", watched)
    objective(shifted_clips(shift_px=8), 0, RANDOM(0))
    first, second = starts
    assert first is None
    assert second is not None and not second.requires_grad
    assert float(second[:, 0, 4:-4, 4:-4].mean()) == pytest.approx(1.0, abs=0.3)  # 8 px are a cell


def test_a_chosen_start_is_near_the_truth_too(tmp_path: Path) -> None:
    clips = shifted_clips(shift_px=14)
    chosen = NO_NOISE.model_copy(update={"iterations": 1, "adaptive": 1.0})
    cold = NO_NOISE.model_copy(update={"iterations": 1, "share": 0.0})
    after_chosen = default_objective(tmp_path, iterations=6, warm_start=chosen)(clips, 0, RANDOM(0))
    after_cold = default_objective(tmp_path, iterations=6, warm_start=cold)(clips, 0, RANDOM(0))
    assert float(after_chosen.warm_epe_px) < 0.8 * float(after_cold.warm_epe_px)


def test_clips_of_one_pair_have_no_second_start(tmp_path: Path) -> None:
    losses = default_objective(tmp_path)(shifted_clips(frames=2), 0, RANDOM(0))
    assert torch.isfinite(losses.loss)
    assert torch.isnan(losses.warm_epe_px)


def test_the_teachers_own_features_are_no_distance_away(tmp_path: Path) -> None:
    options = small_options(tmp_path / "out")
    options = options.with_changes(distillation=DistillationOptions(teacher="default", features=1.0))
    teacher = load_raft("default", "cpu")
    alike = Objective(load_raft("default", "cpu").requires_grad_(True), options, teacher)(shifted_clips(), 0, RANDOM(0))
    alone = Objective(load_raft("default", "cpu").requires_grad_(True), options)(shifted_clips(), 0, RANDOM(0))
    # The teacher runs channels-last, the student not: another order of additions.
    assert float(alike.loss.detach()) == pytest.approx(float(alone.loss.detach()), abs=1e-3)
    torch.manual_seed(0)
    strange = Raft("small")
    apart = Objective(strange, options, teacher)(shifted_clips(), 0, RANDOM(0))
    without = Objective(strange, options)(shifted_clips(), 0, RANDOM(0))
    assert float(apart.loss.detach()) > float(without.loss.detach()) + 0.5


def test_the_weight_of_the_features_falls_to_nothing(tmp_path: Path) -> None:
    options = small_options(tmp_path / "out")
    wanted = DistillationOptions(teacher="default", features=1.0, features_steps=10)
    options = options.with_changes(distillation=wanted)
    torch.manual_seed(0)
    objective = Objective(Raft("small"), options, load_raft("default", "cpu"))
    early, middle, late = (float(objective(shifted_clips(), n, RANDOM(0)).loss.detach()) for n in (0, 5, 10))
    assert middle - late == pytest.approx((early - late) / 2, rel=1e-3)
    assert early > late


def test_the_teachers_flow_stands_in_only_where_nothing_is_known(tmp_path: Path) -> None:
    options = small_options(tmp_path / "out")
    options = options.with_changes(distillation=DistillationOptions(teacher="default", features=0.0))
    clips = shifted_clips(batch=2)
    clips.flows[0] = 100.0  # a truth that nothing would guess
    clips.flows[1] = torch.nan
    clips.valid[1] = False
    objective = Objective(load_raft("default", "cpu").requires_grad_(True), options, load_raft("default", "cpu"))
    both = objective(clips, 0, RANDOM(0))
    assert torch.isfinite(both.loss)
    only = clips._replace(**{name: getattr(clips, name)[1:] for name in ("frames", "flows", "valid")}, names=("b",))
    assert float(objective(only, 0, RANDOM(0)).epe_px) < 3  # near its teacher, which is the same network


def test_a_teacher_that_blurs_edges_does_not_teach_upsampling(tmp_path: Path) -> None:
    wanted = DistillationOptions(teacher=str(data_path("weights", "raft-small.pth")), features=0.0)
    options = small_options(tmp_path / "out").with_changes(distillation=wanted)
    torch.manual_seed(0)
    for known in (True, False):
        model = Raft("small", "guided").train()
        clips = shifted_clips()
        clips.valid[:] = known
        Objective(model, options, load_raft(wanted.teacher or "", "cpu"))(clips, 0, RANDOM(0)).loss.backward()
        assert model.mask_predictor is not None
        reached = {name for name, parameter in model.mask_predictor.named_parameters() if parameter.grad is not None}
        assert bool(reached) == known
        assert model.update_block.flow_head.conv2.weight.grad is not None


def test_a_teacher_of_another_architecture_teaches_flow_alone(tmp_path: Path) -> None:
    options = small_options(tmp_path / "out", architecture="large")
    wanted = options.with_changes(distillation=DistillationOptions(teacher="default", features=1.0))
    with pytest.raises(ValueError, match=r"distillation.features: 1.0 asks for .* RAFT-small, but RAFT-large"):
        Objective(Raft("large"), wanted, load_raft("default", "cpu"))
    Objective(Raft("large"), wanted.with_changes(distillation=DistillationOptions(teacher="default", features=0.0)),
              load_raft("default", "cpu"))  # fmt: skip


def test_a_teacher_that_reads_the_models_features_encodes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = DistillationOptions(teacher="default", features=0.0, reads="model")
    options = small_options(tmp_path / "out").with_changes(distillation=wanted, learn="update_block")
    clips = shifted_clips()
    clips.valid[:] = False
    teacher = load_raft("default", "cpu")
    monkeypatch.setattr(teacher, "encode", lambda images: pytest.fail("the teacher encoded"))
    losses = Objective(load_raft("default", "cpu").requires_grad_(True), options, teacher)(clips, 0, RANDOM(0))
    assert 0 < float(losses.epe_px) < 3  # near its teacher, which is the same network


def test_features_that_still_change_are_not_for_the_teacher_to_read(tmp_path: Path) -> None:
    wanted = DistillationOptions(teacher="default", features=0.0, reads="model")
    with pytest.raises(ValueError, match=r"distillation.reads: model needs .* found learn: all"):
        small_options(tmp_path / "out").with_changes(distillation=wanted)


def test_a_teacher_of_another_architecture_cannot_read_the_models_features(tmp_path: Path) -> None:
    wanted = DistillationOptions(teacher="default", features=0.0, reads="model")
    options = small_options(tmp_path / "out", architecture="large")
    options = options.with_changes(distillation=wanted, learn="update_block")
    with pytest.raises(ValueError, match=r"distillation.reads: model gives RAFT-small the features of the RAFT-large"):
        Objective(Raft("large"), options, load_raft("default", "cpu"))


def test_burn_in_iterations_are_taken_and_not_learnt_from(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clips, cold = shifted_clips(shift_px=14), NO_NOISE.model_copy(update={"iterations": 1, "share": 0.0})
    learnt: list[bool] = []
    step = Raft.step

    def watched(model: Raft, *arguments: object) -> object:
        learnt.append(torch.is_grad_enabled())
        return step(model, *arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(Raft, "step", watched)
    longer = default_objective(tmp_path, iterations=4, warm_start=cold)(clips, 0, RANDOM(0))
    learnt.clear()
    objective = default_objective(tmp_path, iterations=3, burn_in=1, warm_start=cold)
    seeds = range(6)
    outcomes = [objective(clips, 0, RANDOM(seed)) for seed in seeds]
    firsts = [losses.loss for losses in outcomes if float(losses.epe_px) == float(longer.epe_px)]
    assert 0 < len(firsts) < len(seeds)
    assert len(firsts) < learnt.count(False) <= len(firsts) + len(seeds)  # some of the second pairs are led, too
    assert learnt.count(True) == 4 * len(seeds)  # three of the first pair, one of the second
    firsts[0].backward()
    assert all(parameter.grad is not None for parameter in objective.model.parameters())


def test_a_teachers_flow_can_be_brought_nearer_to_the_images_and_teach_upsampling(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    taught = []

    def nearer(luma1: torch.Tensor, luma2: torch.Tensor, flow_px: torch.Tensor) -> torch.Tensor:
        taught.append((luma1, luma2))
        return torch.full_like(flow_px, 3.0)

    monkeypatch.setattr("raftline.training.objective.refine_on_images", nearer)
    options = small_options(tmp_path / "out")
    distillation = DistillationOptions(teacher="default", features=0.0, refined=True)
    options = options.with_changes(distillation=distillation)
    model, teacher = load_raft("default", "cpu").requires_grad_(True), load_raft("default", "cpu")
    teacher.upsampling = "bilinear"
    clips = shifted_clips()
    clips.valid[:] = False
    losses = Objective(model, options, teacher)(clips, 0, RANDOM(0))
    losses.loss.backward()
    assert model.mask_predictor is not None
    assert all(parameter.grad is not None for parameter in model.mask_predictor.parameters())
    assert [(earlier.shape, later.shape) for earlier, later in taught] == [(clips.valid[:, :1].shape,) * 2] * 2
    luma = 0.299 * clips.frames[:, 0, 0] + 0.587 * clips.frames[:, 0, 1] + 0.114 * clips.frames[:, 0, 2]
    torch.testing.assert_close(taught[0][0][:, 0], luma, atol=1e-3, rtol=0)

"""The loop: the same numbers again, also when stopped in between; what is no number is not kept."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path

import pytest
import safetensors.torch
import torch

from raftline.raft.weights.loading import load_raft
from raftline.training.checkpoint import NAME, WEIGHTS, load_checkpoint
from raftline.training.options import TrainOptions
from raftline.training.train import LOG, train
from raftline.training.trainer import DivergedError, Trainer
from tests.data import data_path
from tests.raftline.training.training_bench import CPU, small_options


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    """As the options ask for, and put back afterwards."""
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def weights_after(options: TrainOptions) -> dict[str, torch.Tensor]:
    assert train(options, "cpu", tensorboard=False)
    return safetensors.torch.load_file(options.output / WEIGHTS)


BY_BLOCKS = {"distillation": {"teacher": "default", "blocks": True}, "schedule": {"by_layer": True}}


@pytest.mark.parametrize(
    "overrides",
    [{}, BY_BLOCKS, {"learn": "update_block"}, {"learn": "upsampling", "upsampling": "guided"}],
    ids=["flow", "blocks", "update block alone", "upsampling alone"],
)
def test_a_run_that_was_stopped_ends_with_the_same_weights_bit_by_bit(
    overrides: dict[str, object], tmp_path: Path
) -> None:
    whole = weights_after(small_options(tmp_path / "whole", steps=4, **overrides))
    options = small_options(tmp_path / "stopped", steps=4, **overrides)
    trainer = Trainer(options, CPU)
    trainer.step()
    trainer.step()
    trainer.save()
    trainer.step()  # lost, as by a kill
    stopped = weights_after(options)
    assert all(torch.equal(whole[name], stopped[name]) for name in whole)


@pytest.mark.parametrize(
    ("learn", "learnt"), [("update_block", {"update_block", "mask_predictor"}), ("upsampling", {"mask_predictor"})]
)
def test_what_is_not_to_learn_stays(learn: str, learnt: set[str], tmp_path: Path) -> None:
    trainer = Trainer(small_options(tmp_path / "out", learn=learn, upsampling="guided"), CPU)
    before = {name: value.clone() for name, value in trainer.model.state_dict().items()}
    trainer.step()
    changed = {
        name.split(".")[0] for name, value in trainer.model.state_dict().items() if (value != before[name]).any()
    }
    assert changed == learnt


def test_another_upsampling_begins_anew_on_what_else_the_initial_weights_know(tmp_path: Path) -> None:
    initial = str(data_path("weights", "raft-small.pth"))
    trainer = Trainer(small_options(tmp_path / "out", initial=initial, upsampling="guided"), CPU)
    known = load_raft(initial, "cpu").state_dict()
    found = trainer.model.state_dict()
    assert all(torch.equal(found[name], value) for name, value in known.items())
    assert {name.split(".")[0] for name in found.keys() - known.keys()} == {"mask_predictor"}
    trainer.step()
    trainer.save()
    assert load_raft(trainer.options.output / WEIGHTS, "cpu").upsampling == "guided"
    with pytest.raises(ValueError, match=r"upsampling: bilinear is not that of the network in .* Give another"):
        Trainer(small_options(tmp_path / "out", initial=initial), CPU)


def test_upsampling_that_learns_nothing_cannot_learn_alone(tmp_path: Path) -> None:
    options = small_options(tmp_path / "out", learn="upsampling", upsampling="bilinear")
    with pytest.raises(ValueError, match=r"learn: upsampling, but bilinear .* Set upsampling: guided, or convex"):
        Trainer(options, CPU)


def test_a_checkpoint_that_learnt_other_parameters_is_refused(tmp_path: Path) -> None:
    trainer = Trainer(small_options(tmp_path / "out", learn="update_block"), CPU)
    trainer.step()
    trainer.save()
    with pytest.raises(ValueError, match=r"learn: all is not what .* Give another `output`"):
        Trainer(small_options(tmp_path / "out"), CPU)


def test_another_seed_gives_other_weights(tmp_path: Path) -> None:
    one, two = (weights_after(small_options(tmp_path / f"{n}", steps=1, seed=n)) for n in (1, 2))
    assert any(not torch.equal(one[name], two[name]) for name in one)


def test_a_loss_that_is_no_number_stops_names_the_clip_and_keeps_the_checkpoint(tmp_path: Path) -> None:
    options = small_options(tmp_path / "out")
    trainer = Trainer(options, CPU)
    trainer.step()
    trainer.save()
    before = (options.output / NAME).read_bytes()
    with torch.no_grad():
        next(trainer.model.parameters())[0] = torch.nan
    trainer.step()
    with pytest.raises(DivergedError, match=r"the loss of step 2 is nan; its clips: synthetic seed 0 number 1\. "):
        trainer.save()
    assert (options.output / NAME).read_bytes() == before
    checkpoint = load_checkpoint(options.output, "small")
    assert checkpoint is not None and checkpoint.step == 1


def test_the_log_goes_on_where_the_checkpoint_stands(tmp_path: Path) -> None:
    options = small_options(tmp_path / "out", steps=3, log_every_steps=1, save_every_steps=2)
    trainer = Trainer(options, CPU)
    trainer.step()
    trainer.step()
    trainer.save()
    (options.output / LOG).write_text("step,loss\n1,5.0\n2,4.0\n3,from a step that was lost\n")
    assert train(options, "cpu", tensorboard=False)
    with (options.output / LOG).open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["step"] for row in rows] == ["1", "2", "3"]
    assert rows[0]["loss"] == "5.0"
    assert float(rows[2]["loss"]) > 0
    assert float(rows[2]["validation_epe_px"]) > 0


def test_time_that_is_up_stops_saved_and_to_be_gone_on_with(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = small_options(tmp_path / "out", steps=2)
    assert not train(options, "cpu", minutes=0, tensorboard=False)
    assert "0 of 2 steps done" in capsys.readouterr().out
    assert train(options, "cpu", tensorboard=False)
    assert "2 of 2 steps done" in capsys.readouterr().out


def test_initial_weights_of_another_network_are_refused(tmp_path: Path) -> None:
    options = small_options(tmp_path / "out", architecture="large", initial="default")
    with pytest.raises(ValueError, match="initial: default is RAFT-small, but architecture is large"):
        Trainer(options, CPU)


def test_frozen_batch_norms_keep_their_statistics(tmp_path: Path) -> None:
    for frozen in (True, False):
        options = small_options(tmp_path / f"{frozen}", architecture="large", iterations=1, freeze_batch_norm=frozen)
        trainer = Trainer(options, CPU)
        before = {name: value.clone() for name, value in trainer.model.named_buffers()}
        trainer.step()
        changed = [name for name, value in trainer.model.named_buffers() if not torch.equal(value, before[name])]
        assert bool(changed) != frozen

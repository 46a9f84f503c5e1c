"""Several processes: what one would have learnt from all their clips, and a failure that ends the run."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch

from raftline.training import train as program
from raftline.training.checkpoint import NAME, PREVIOUS, WEIGHTS, load_checkpoint
from raftline.training.options import TrainOptions
from raftline.training.processes import ProcessError, start_processes
from raftline.training.train import start
from tests.data import data_path
from tests.raftline.training.training_bench import small_options

TOLERANCE = 1e-4
"""Of the largest number in a tensor: float32 sums in another order, through two pairs of two iterations."""

QUIET: dict[str, Any] = {
    # Noise is drawn for a batch, and warm starts for a process; without them a clip's loss is its own.
    "synthetic.degradations": {"noise": 0, "jpeg": 0, "h264": 0},
    "warm_start.share": 0.0,
    # AdamW's first step is the sign of the gradient, which rounding decides near 0. A large epsilon makes it smooth.
    "epsilon": 1.0,
}


def quiet_options(output: Path, **overrides: Any) -> TrainOptions:
    return small_options(output, **(QUIET | overrides))


def largest_difference(ours: Any, theirs: Any) -> float:
    return max(float((ours[name] - theirs[name]).abs().max() / theirs[name].abs().max().clamp(1e-6)) for name in theirs)


@pytest.mark.slow
@pytest.mark.timeout(400)
@pytest.mark.parametrize(
    "overrides",
    [
        {},
        {"learn": "update_block", "initial": "default"},
        {"files.pairs": 1},
    ],
    ids=["flow", "update block alone", "two kinds of clips"],
)
def test_two_processes_learn_what_one_learns_from_all_their_clips(overrides: dict[str, Any], tmp_path: Path) -> None:
    twice = {"synthetic.clips": 2}
    if "files.pairs" in overrides:
        overrides = overrides | {"files.sets": [f"chairs:{data_path('flow', 'chairs')}"]}
        twice["files.pairs"] = 2
    two = quiet_options(tmp_path / "two", steps=2, processes=2, **overrides)
    one = quiet_options(tmp_path / "one", steps=2, **(overrides | twice))
    start(two, "cpu")
    start(one, "cpu")
    ours, theirs = (load_checkpoint(options.output, "small") for options in (two, one))
    assert ours is not None and theirs is not None and ours.step == theirs.step == 2
    assert ours.moment1.keys() == theirs.moment1.keys()
    # AdamW's first moment is the gradients' own mean.
    gradients = [torch.cat([value.flatten() for value in found.moment1.values()]) for found in (ours, theirs)]
    assert float((gradients[0] - gradients[1]).norm() / gradients[1].norm()) < TOLERANCE
    for kind in ("model", "average"):
        assert largest_difference(getattr(ours, kind), getattr(theirs, kind)) < TOLERANCE


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_two_processes_that_were_killed_end_with_the_same_weights_bit_by_bit(tmp_path: Path) -> None:
    options = small_options(tmp_path / "out", steps=2, processes=2, save_every_steps=1)
    start(options, "cpu")
    whole = safetensors.torch.load_file(options.output / WEIGHTS)
    os.replace(options.output / PREVIOUS, options.output / NAME)  # as a kill in the second step leaves it
    start(options, "cpu")
    resumed = safetensors.torch.load_file(options.output / WEIGHTS)
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)


@pytest.mark.timeout(300)
def test_a_process_that_cannot_use_its_data_ends_the_run(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    options = small_options(tmp_path / "out", processes=2, **{"synthetic.textures": str(tmp_path / "none")})
    with pytest.raises(ValueError, match=r"process \d of 2 ended with exit code 2; its own message is above"):
        start(options, "cpu")
    assert f"error: textures {tmp_path}/none: not there" in capfd.readouterr().err


@pytest.mark.timeout(300)
def test_a_process_that_dies_ends_the_run() -> None:
    with pytest.raises(ProcessError, match=r"process \d of 2 ended with exit code 1"):
        start_processes(2, "raftline.no_such_module", [])


def test_more_processes_than_gpus_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(program, "choose_device", lambda device: torch.device("cuda"))
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    with pytest.raises(ValueError, match="processes: found 2; allowed: at most 1, one for each GPU"):
        start(small_options(tmp_path / "out", processes=2), "cuda")

"""A checkpoint is whole or not there, and says what is wrong with it."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from raftline.raft.weights.loading import load_raft
from raftline.training.checkpoint import (
    NAME,
    PREVIOUS,
    WEIGHTS,
    Checkpoint,
    CheckpointError,
    load_checkpoint,
    save_checkpoint,
)
from tests.raftline.raft.recipes import numbered_weights


def checkpoint(step: int = 7, seed: int = 0) -> Checkpoint:
    weights = numbered_weights("small", seed)
    first, second = ({name: torch.full_like(value, seed + n) for name, value in weights.items()} for n in (0.5, 1.5))
    return Checkpoint(step, weights, numbered_weights("small", seed + 1), first, second)


def test_what_is_saved_is_loaded(tmp_path: Path) -> None:
    saved = checkpoint()
    save_checkpoint(tmp_path, saved, "small")
    loaded = load_checkpoint(tmp_path, "small")
    assert loaded is not None and loaded.step == 7
    for kind in ("model", "average", "moment1", "moment2"):
        ours, theirs = getattr(loaded, kind), getattr(saved, kind)
        assert ours.keys() == theirs.keys()
        assert all(torch.equal(ours[name], theirs[name]) for name in ours)


def test_the_moving_average_is_what_other_commands_load(tmp_path: Path) -> None:
    saved = checkpoint()
    save_checkpoint(tmp_path, saved, "small")
    state = load_raft(tmp_path / WEIGHTS, "cpu").state_dict()
    assert all(torch.equal(state[name], saved.average[name]) for name in state)


def test_an_empty_folder_has_none(tmp_path: Path) -> None:
    assert load_checkpoint(tmp_path, "small") is None
    assert load_checkpoint(tmp_path / "none", "small") is None


def test_the_one_before_stays_and_is_taken_where_the_last_one_was_not_put_in_place(tmp_path: Path) -> None:
    save_checkpoint(tmp_path, checkpoint(7, 0), "small")
    save_checkpoint(tmp_path, checkpoint(14, 3), "small")
    (tmp_path / NAME).unlink()  # as a kill between the two renames leaves it
    loaded = load_checkpoint(tmp_path, "small")
    assert loaded is not None and loaded.step == 7


def test_numbers_that_are_not_finite_are_not_written(tmp_path: Path) -> None:
    save_checkpoint(tmp_path, checkpoint(7), "small")
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    broken = checkpoint(14)
    next(iter(broken.model.values()))[0] = torch.nan
    with pytest.raises(CheckpointError, match=r"not written, model/.* not finite"):
        save_checkpoint(tmp_path, broken, "small")
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_a_write_that_fails_leaves_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save_checkpoint(tmp_path, checkpoint(7), "small")

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("safetensors.torch.save_file", full)
    with pytest.raises(OSError, match="No space"):
        save_checkpoint(tmp_path, checkpoint(14), "small")
    monkeypatch.undo()
    loaded = load_checkpoint(tmp_path, "small")
    assert loaded is not None and loaded.step == 7
    assert sorted(file.name for file in tmp_path.iterdir()) == [NAME, WEIGHTS]


def test_a_damaged_one_is_named_with_what_to_do(tmp_path: Path) -> None:
    save_checkpoint(tmp_path, checkpoint(7), "small")
    save_checkpoint(tmp_path, checkpoint(14), "small")
    (tmp_path / NAME).write_bytes((tmp_path / NAME).read_bytes()[:1000])
    with pytest.raises(CheckpointError, match=rf"{NAME}: damaged .*Remove it to resume from {PREVIOUS}"):
        load_checkpoint(tmp_path, "small")


def test_one_of_another_network_is_refused(tmp_path: Path) -> None:
    save_checkpoint(tmp_path, checkpoint(), "small")
    with pytest.raises(CheckpointError, match="of RAFT-small, this run trains RAFT-large"):
        load_checkpoint(tmp_path, "large")

"""The mean of the weights of several trainings."""

from __future__ import annotations

from pathlib import Path

import pytest
import safetensors.torch
import torch

from raftline.training.mean_weights import write_mean


def written(file: Path, **tensors: torch.Tensor) -> Path:
    safetensors.torch.save_file(tensors, file)
    return file


def test_the_mean_is_taken_in_full_precision_and_written_as_float16(tmp_path: Path) -> None:
    one = written(tmp_path / "one.safetensors", a=torch.tensor([1.0, 2.0]), b=torch.tensor([60_000.0]).half())
    two = written(tmp_path / "two.safetensors", a=torch.tensor([3.0, 5.0]), b=torch.tensor([36_000.0]).half())
    write_mean([one, two], tmp_path / "mean.safetensors")
    mean = safetensors.torch.load_file(tmp_path / "mean.safetensors")
    assert {name: tensor.tolist() for name, tensor in mean.items()} == {"a": [2.0, 3.5], "b": [48_000.0]}
    assert {tensor.dtype for tensor in mean.values()} == {torch.float16}


def test_weights_of_different_networks_have_no_mean(tmp_path: Path) -> None:
    one = written(tmp_path / "one.safetensors", a=torch.zeros(2), b=torch.zeros(1))
    two = written(tmp_path / "two.safetensors", a=torch.zeros(3), b=torch.zeros(1))
    with pytest.raises(
        ValueError, match=r"two.safetensors and .*one.safetensors are of different .*: they differ in a$"
    ):
        write_mean([one, two], tmp_path / "mean.safetensors")
    assert not (tmp_path / "mean.safetensors").exists()

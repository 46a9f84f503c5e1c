"""Weights from every kind of file, and what is said when they do not fit."""

from __future__ import annotations

import os
import pickle
from collections import OrderedDict
from pathlib import Path

import pytest
import safetensors.torch
import torch
from torch import Tensor

from raftline.raft.model import Architecture
from raftline.raft.weights.errors import WeightsMismatch, WeightsNotFound, WeightsUnreadable
from raftline.raft.weights.keys import canonical_keys
from raftline.raft.weights.loading import DEFAULT_WEIGHTS, load_raft
from tests.data import data_path
from tests.raftline.raft.recipes import numbered_weights


def authors_keys(weights: dict[str, Tensor], architecture: Architecture) -> dict[str, Tensor]:
    """The authors' names, the second name of each shortcut's norm included, as DataParallel saves them."""
    shortcut_norm = "norm3" if architecture == "large" else "norm4"
    renamed = {}
    for key, value in weights.items():
        for ours, theirs in (
            ("feature_encoder.", "fnet."),
            ("context_encoder.", "cnet."),
            ("mask_predictor.convrelu.0", "update_block.mask.0"),
            ("mask_predictor.conv.", "update_block.mask.2."),
            ("motion_encoder.convcorr1.0", "encoder.convc1"),
            ("motion_encoder.convcorr2.0", "encoder.convc2"),
            ("motion_encoder.convflow1.0", "encoder.convf1"),
            ("motion_encoder.convflow2.0", "encoder.convf2"),
            ("motion_encoder.conv.0", "encoder.conv"),
        ):
            key = key.replace(ours, theirs)
        if "net." in key:
            key = key.replace("net.conv.", "net.conv2.").replace("net.convnormrelu.0", "net.conv1")
            key = key.replace("net.convnormrelu.1", "net.norm1")
            for number in "123":
                key = key.replace(f"convnormrelu{number}.0", f"conv{number}")
                key = key.replace(f"convnormrelu{number}.1", f"norm{number}")
        for number in "12":
            suffix = number if architecture == "large" else ""
            for gate in "zrq":
                key = key.replace(f"recurrent_block.convgru{number}.conv{gate}", f"gru.conv{gate}{suffix}")
        renamed[f"module.{key}"] = value
        if "downsample.1" in key:
            renamed[f"module.{key.replace('downsample.1', shortcut_norm)}"] = value
    return renamed


@pytest.mark.parametrize("architecture", ["small", "large"])
def test_torchvisions_the_authors_and_our_files_give_the_same_network(
    architecture: Architecture, tmp_path: Path
) -> None:
    weights = numbered_weights(architecture)
    torch.save(OrderedDict(weights), tmp_path / "torchvision.pth")
    torch.save(OrderedDict(authors_keys(weights, architecture)), tmp_path / "authors.pth")
    safetensors.torch.save_file(weights, tmp_path / "ours.safetensors")
    torch.save({"model": weights, "step": 7}, tmp_path / "checkpoint.pt")
    for name in ("torchvision.pth", "authors.pth", "ours.safetensors", "checkpoint.pt"):
        model = load_raft(tmp_path / name, "cpu")
        assert model.architecture == architecture
        assert not model.training
        loaded = model.state_dict()
        assert all(torch.equal(loaded[key], value) for key, value in weights.items()), name


def test_old_torch_files_and_half_precision_are_read(tmp_path: Path) -> None:
    weights = {key: value.half() for key, value in numbered_weights("small").items()}
    path = tmp_path / "old.pth"
    torch.save(weights, path, _use_new_zipfile_serialization=False)
    model = load_raft(path, "cpu")
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}


def test_the_authors_own_file_is_read() -> None:
    assert load_raft(data_path("weights", "raft-small.pth"), "cpu").architecture == "small"


def test_the_default_is_the_small_network_of_this_project() -> None:
    assert load_raft(device="cpu").architecture == "small"
    assert (DEFAULT_WEIGHTS.parent / "NOTICE").read_text().count("Redistribution") == 3


def test_keys_of_our_own_are_left_as_they_are() -> None:
    weights = numbered_weights("small")
    assert canonical_keys(weights).keys() == weights.keys()


def test_a_missing_file_or_unknown_name_lists_what_there_is(tmp_path: Path) -> None:
    with pytest.raises(
        WeightsNotFound, match=r"no such file\. .*\.safetensors or \.pth .* default, torchvision/raft_large"
    ):
        load_raft("raft_huge", "cpu")
    with pytest.raises(WeightsNotFound, match="a folder"):
        load_raft(tmp_path, "cpu")


@pytest.mark.parametrize("suffix", [".pth", ".safetensors", ".old.pth"])
def test_a_truncated_file_is_said_to_be_damaged(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"weights{suffix}"
    weights = numbered_weights("small")
    if suffix == ".safetensors":
        safetensors.torch.save_file(weights, path)
    else:
        torch.save(weights, path, _use_new_zipfile_serialization=suffix == ".pth")
    whole = path.read_bytes()
    for length in (len(whole) - 1000, len(whole) // 2, 100, 1):
        path.write_bytes(whole[:length])
        with pytest.raises(WeightsUnreadable, match=r"damaged|truncated"):
            load_raft(path, "cpu")


@pytest.mark.parametrize("content", [b"", b"not weights at all", bytes(range(256)) * 8])
def test_a_file_of_something_else_is_refused(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "weights.pth"
    path.write_bytes(content)
    with pytest.raises(WeightsUnreadable, match=str(path)):
        load_raft(path, "cpu")


class _Payload:
    """Would write a file if it were ever unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("zipped", [True, False])
def test_objects_in_a_file_are_refused_and_never_made(zipped: bool, tmp_path: Path) -> None:
    path, trace = tmp_path / "weights.pth", tmp_path / "trace"
    torch.save({**numbered_weights("small"), "x": _Payload(trace)}, path, _use_new_zipfile_serialization=zipped)
    with pytest.raises(WeightsUnreadable, match=r"more than tensors, or is damaged, and was not opened"):
        load_raft(path, "cpu")
    path.write_bytes(pickle.dumps(_Payload(trace)))
    with pytest.raises(WeightsUnreadable):
        load_raft(path, "cpu")
    assert not trace.exists()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([torch.zeros(1)], "found list; expected a mapping"),
        ({"a": 1}, "found int under 'a'; expected a flat mapping of names to tensors"),
        ({}, "found no tensors"),
    ],
)
def test_anything_but_named_tensors_is_refused(content: object, message: str, tmp_path: Path) -> None:
    torch.save(content, tmp_path / "weights.pth")
    with pytest.raises(WeightsUnreadable, match=message):
        load_raft(tmp_path / "weights.pth", "cpu")


def test_another_network_is_refused_with_some_of_its_keys(tmp_path: Path) -> None:
    torch.save({"layer1.0.weight": torch.zeros(1), "fc.bias": torch.zeros(1)}, tmp_path / "resnet.pth")
    with pytest.raises(
        WeightsMismatch, match=r"not RAFT's\. Expected keys such as .* found 2 tensors: layer1.0.weight"
    ):
        load_raft(tmp_path / "resnet.pth", "cpu")


def test_a_changed_raft_is_refused_with_what_differs(tmp_path: Path) -> None:
    weights = numbered_weights("small")
    del weights["update_block.flow_head.conv1.bias"]
    weights["update_block.extra.weight"] = torch.zeros(3)
    weights["feature_encoder.conv.bias"] = torch.zeros(64)
    torch.save(weights, tmp_path / "changed.pth")
    with pytest.raises(WeightsMismatch) as raised:
        load_raft(tmp_path / "changed.pth", "cpu")
    message = str(raised.value)
    assert "looked like RAFT-small" in message
    assert "1 missing: update_block.flow_head.conv1.bias" in message
    assert "1 unknown: update_block.extra.weight" in message
    assert "feature_encoder.conv.bias is (64,), expected (128,)" in message

"""A training run's state on disk: whole or not at all, tensors only.

There are no random states in it: whatever a step draws is drawn anew from the seed and the step's number, so the
number is all that a resumed run needs to go on with the same clips and the same numbers.
"""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import safetensors
import safetensors.torch
import torch
from torch import Tensor

NAME = "checkpoint.safetensors"
PREVIOUS = "checkpoint.previous.safetensors"
WEIGHTS = "weights.safetensors"
_KINDS = ("model", "average", "moment1", "moment2")


class CheckpointError(ValueError):
    """A checkpoint that cannot be gone on from; the message names the file and says what to do."""


@dataclass(frozen=True)
class Checkpoint:
    """Everything that a step changes. The mappings have the network's names as keys."""

    step: int
    """Steps done."""
    model: Mapping[str, Tensor]
    average: Mapping[str, Tensor]
    """Moving average of the model: what is shipped."""
    moment1: Mapping[str, Tensor]
    """AdamW's, of the parameters alone."""
    moment2: Mapping[str, Tensor]


def save_checkpoint(folder: Path, checkpoint: Checkpoint, architecture: str) -> None:
    """Write checkpoint and weights; the checkpoint before stays beside it until the next one.

    Raises:
        CheckpointError: numbers that are not finite. Nothing is written then.
        OSError: no room, no permission. The files of before are untouched.
    """
    tensors = {
        f"{kind}/{name}": tensor.detach().cpu().contiguous()
        for kind in _KINDS
        for name, tensor in getattr(checkpoint, kind).items()
    }
    wrong = [name for name, tensor in tensors.items() if not torch.isfinite(tensor).all()]
    if wrong:
        raise CheckpointError(f"{folder / NAME}: not written, {wrong[0]} and {len(wrong) - 1} more are not finite")
    folder.mkdir(parents=True, exist_ok=True)
    weights = {name: tensor.detach().cpu().contiguous() for name, tensor in checkpoint.average.items()}
    _write(folder / WEIGHTS, weights, {"step": checkpoint.step, "architecture": architecture})
    if (folder / NAME).exists():
        os.replace(folder / NAME, folder / PREVIOUS)
    _write(folder / NAME, tensors, {"step": checkpoint.step, "architecture": architecture})


def load_checkpoint(folder: Path, architecture: str) -> Checkpoint | None:
    """The last whole checkpoint of a folder, or None where there is none.

    Raises:
        CheckpointError: damaged, or of another network.
    """
    for name in (NAME, PREVIOUS):
        if (folder / name).exists():
            return _read(folder / name, architecture)
    return None


def _read(path: Path, architecture: str) -> Checkpoint:
    try:
        with safetensors.safe_open(path, "pt") as file:
            found = json.loads((file.metadata() or {}).get("raftline", "{}"))
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a mapping
    except (safetensors.SafetensorError, OSError, ValueError) as error:
        raise CheckpointError(
            f"{path}: damaged ({error}). Remove it to go on from {PREVIOUS}, or the folder to begin anew"
        ) from error
    if "step" not in found or found.get("architecture") != architecture:
        raise CheckpointError(
            f"{path}: of RAFT-{found.get('architecture', 'unknown')}, this run trains RAFT-{architecture}. "
            "Give another `output`, or remove the file"
        )
    parts = {kind: {} for kind in _KINDS}
    for key, tensor in tensors.items():
        kind, _, name = key.partition("/")
        parts[kind][name] = tensor
    return Checkpoint(found["step"], **parts)


def _write(path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, object]) -> None:
    part = path.with_suffix(".part")
    safetensors.torch.save_file(dict(tensors), part, metadata={"raftline": json.dumps(metadata)})
    part.chmod(0o644)  # safetensors leaves it to its owner alone
    with part.open("rb") as file:
        os.fsync(file.fileno())
    os.replace(part, path)

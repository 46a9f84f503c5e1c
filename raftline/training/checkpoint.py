"""A training run's state on disk: complete or absent, tensors only.

It holds no random states. Whatever a step draws, it draws from the seed and the step's number, so the number is all
that a resumed run needs for the same clips and the same noise.
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

from raftline.whole_file import written_whole

NAME = "checkpoint.safetensors"
PREVIOUS = "checkpoint.previous.safetensors"
WEIGHTS = "weights.safetensors"
_KINDS = ("model", "average", "moment1", "moment2")


class CheckpointError(ValueError):
    """A checkpoint that a run cannot resume from; the message names the file and says what to do."""


@dataclass(frozen=True)
class Checkpoint:
    """Everything that a step changes. The mappings have the network's names as keys."""

    step: int
    """Steps done."""
    model: Mapping[str, Tensor]
    average: Mapping[str, Tensor]
    """Moving average of the model: the weights that ship."""
    moment1: Mapping[str, Tensor]
    """AdamW's first moments, of the parameters that learn."""
    moment2: Mapping[str, Tensor]


def save_checkpoint(folder: Path, checkpoint: Checkpoint, architecture: str) -> None:
    """Write checkpoint and weights. The last checkpoint stays beside them until the next one.

    Args:
        folder: made if missing.
        checkpoint: tensors on any device.
        architecture: small or large; kept in the files' metadata.

    Raises:
        CheckpointError: a number is not finite. Nothing was written.
        OSError: disk full, no permission. The earlier files are untouched.
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
    """Read the last complete checkpoint of a folder.

    Returns:
        The checkpoint on the CPU, or None where there is none.

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
            f"{path}: damaged ({error}). Remove it to resume from {PREVIOUS}, or remove the folder to start over"
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
    with written_whole(path, durable=True) as part:
        safetensors.torch.save_file(dict(tensors), part, metadata={"raftline": json.dumps(metadata)})
        part.chmod(0o644)  # safetensors makes it readable by its owner only

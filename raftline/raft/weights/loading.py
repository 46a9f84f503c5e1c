"""Weights from a file or by name, into a network of the architecture they were made for.

Three kinds of keys are known: this project's and torchvision's (the same names), and the authors' (with or without
`module.` in front). Files are `.safetensors`, or `.pth`/`.pt` read as tensors only: nothing is ever unpickled.
"""

import pickle
import struct
import warnings
from collections.abc import Mapping
from pathlib import Path

import safetensors
import safetensors.torch
import torch
from torch import Tensor

from raftline.raft.devices import choose_device
from raftline.raft.model import Architecture, Raft
from raftline.raft.upsample import Upsampling
from raftline.raft.weights.downloads import DOWNLOADS, download
from raftline.raft.weights.errors import WeightsMismatch, WeightsNotFound, WeightsUnreadable
from raftline.raft.weights.keys import canonical_keys

DEFAULT_WEIGHTS = Path(__file__).parent / "raft_small.safetensors"


def load_raft(weights: str | Path = "default", device: str | torch.device = "auto") -> Raft:
    """Load RAFT for inference: in eval mode, without gradients, in float32.

    Args:
        weights: "default" (shipped), a name such as "torchvision/raft_large" (downloaded once, see
            `raftline.raft.weights.downloads`), or the path of a .safetensors, .pth or .pt file.
        device: "auto" (CUDA if available, else CPU), "cpu", "cuda" or "cuda:N".

    Raises:
        WeightsError: see `raftline.raft.weights.errors`.
        ValueError: a device that is not available.
    """
    if isinstance(device, str):
        device = choose_device(device)
    path = resolve_weights(weights)
    tensors = canonical_keys(read_tensors(path))
    model = Raft(detect_architecture(tensors, path), detect_upsampling(tensors))
    _check_fit(tensors, model, path)
    model.load_state_dict(tensors)
    return model.eval().requires_grad_(False).to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]


def resolve_weights(weights: str | Path) -> Path:
    """Find the file of a name or a path, downloaded where the name says so.

    Raises:
        WeightsNotFound: no such file, no such name.
        WeightsUnavailable: a download that failed.
    """
    name = str(weights)
    if name == "default":
        return DEFAULT_WEIGHTS
    if name in DOWNLOADS:
        return download(name)
    path = Path(name).expanduser()
    if path.is_file():
        return path
    found = "a folder" if path.is_dir() else "no such file"
    allowed = ", ".join(["default", *DOWNLOADS])
    raise WeightsNotFound(
        f"weights {name!r}: {found}. Give the path of a .safetensors or .pth file, or one of: {allowed}"
    )


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Every tensor of the file, float32, on the CPU.

    Raises:
        WeightsUnreadable: the file is empty, truncated, of no known format, or holds anything but tensors.
    """
    if path.stat().st_size == 0:
        raise WeightsUnreadable(f"weights {path}: the file is empty. Copy or download it again")
    loaded = _read_torch(path) if _looks_like_torch(path) else _read_safetensors(path)
    strays = [key for key, value in loaded.items() if not isinstance(value, Tensor)]
    if strays or not loaded:
        found = f"{type(loaded[strays[0]]).__name__} under {strays[0]!r}" if strays else "no tensors"
        raise WeightsUnreadable(
            f"weights {path}: found {found}; expected a flat mapping of names to tensors. "
            "Save the network's state_dict() alone"
        )
    tensors = {key: value for key, value in loaded.items() if isinstance(value, Tensor)}
    return {key: value.float() if value.is_floating_point() else value for key, value in tensors.items()}


def _looks_like_torch(path: Path) -> bool:
    """Zip archives (torch >= 1.6) and bare pickles (before) go to torch; the rest to safetensors."""
    with path.open("rb") as file:
        return file.read(2) in (b"PK", b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05")


def _read_torch(path: Path) -> Mapping[str, object]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch's remarks on odd pickles; what comes of them is said below
            loaded = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise WeightsUnreadable(
            f"weights {path}: the file holds more than tensors, or is damaged, and was not opened. Objects in it could "
            "run code; save the network's state_dict() alone, or convert the file to .safetensors where it is trusted"
        ) from error
    except (RuntimeError, EOFError, OSError, ValueError, KeyError, struct.error) as error:
        raise WeightsUnreadable(
            f"weights {path}: truncated or damaged ({_first_line(error)}). Copy or download it again"
        ) from error
    if not isinstance(loaded, Mapping):
        raise WeightsUnreadable(
            f"weights {path}: found {type(loaded).__name__}; expected a mapping of names to tensors"
        )
    nested = loaded.get("model", loaded.get("state_dict"))
    return nested if isinstance(nested, Mapping) else loaded


def _read_safetensors(path: Path) -> Mapping[str, object]:
    try:
        return safetensors.torch.load_file(path)
    except (safetensors.SafetensorError, OSError, ValueError) as error:
        raise WeightsUnreadable(
            f"weights {path}: neither a .safetensors nor a .pth file, or truncated ({_first_line(error)}). "
            "Copy or download it again"
        ) from error


def detect_architecture(tensors: Mapping[str, Tensor], path: Path) -> Architecture:
    """Small or large, told by the tensors; only large has a second GRU."""
    recurrent = "update_block.recurrent_block.convgru"
    if f"{recurrent}1.convz.weight" not in tensors:
        some = ", ".join(list(tensors)[:3])
        raise WeightsMismatch(
            f"weights {path}: not RAFT's. Expected keys such as {recurrent}1.convz.weight (torchvision, this project) "
            f"or update_block.gru.convz.weight (the authors'); found {len(tensors)} tensors: {some}, ..."
        )
    return "large" if f"{recurrent}2.convz.weight" in tensors else "small"


def detect_upsampling(tensors: Mapping[str, Tensor]) -> Upsampling | None:
    """Guided where the tensors are of a network so trained; None: the paper's."""
    return "guided" if any(key.startswith("mask_predictor.patches.") for key in tensors) else None


def _check_fit(tensors: Mapping[str, Tensor], model: Raft, path: Path) -> None:
    expected = model.state_dict()
    missing = sorted(expected.keys() - tensors.keys())
    unknown = sorted(tensors.keys() - expected.keys())
    shapes = [
        f"{key} is {tuple(tensors[key].shape)}, expected {tuple(value.shape)}"
        for key, value in expected.items()
        if key in tensors and tensors[key].shape != value.shape
    ]
    problems = [
        f"{len(names)} {what}: {', '.join(names[:3])}{', ...' if len(names) > 3 else ''}"
        for names, what in ((missing, "missing"), (unknown, "unknown"), (shapes, "of another shape"))
        if names
    ]
    if problems:
        raise WeightsMismatch(
            f"weights {path}: looked like RAFT-{model.architecture}, but of its {len(expected)} tensors "
            f"{'; '.join(problems)}. Use weights of the original RAFT-small or RAFT-large, or of this project"
        )


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:200]

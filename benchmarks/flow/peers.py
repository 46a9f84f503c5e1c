"""Other implementations of RAFT, with our weights, behind one call: two uint8 RGB images -> flow in px.

They upsample as the paper's networks do, also where ours looks at the image.
"""

from __future__ import annotations

import enum
import importlib.util
import sys
import types
from argparse import Namespace
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from raftline.raft.model import Raft
from raftline.raft.padding import Padding
from raftline.raft.weights.keys import canonical_keys

PairFlow = Callable[[npt.NDArray[np.uint8], npt.NDArray[np.uint8]], npt.NDArray[np.float32]]


def torchvision_flow(model: Raft, device: torch.device, iterations: int, autocast: torch.dtype | None) -> PairFlow:
    """torchvision's RAFT, as its documentation calls it: a pair, padded, all iterations' flows, the last one taken."""
    peer = torchvision_network(model).to(device)

    def network(image1: Tensor, image2: Tensor) -> Tensor:
        return peer(image1 / 127.5 - 1, image2 / 127.5 - 1, num_flow_updates=iterations)[-1]

    return pair_flow(network, device, autocast)


def torchvision_network(model: Raft) -> nn.Module:
    """torchvision's module with the weights of ours, on the CPU."""
    module = _torchvision_raft()
    peer = (module.raft_small if model.architecture == "small" else module.raft_large)(weights=None, progress=False)
    # The paper's small interpolates: a peer has no place for what this project's upsampling has learnt.
    peer.load_state_dict({name: model.state_dict()[name] for name in peer.state_dict()})
    return peer.eval()


def has_torchvision() -> bool:
    """Whether it is installed; whether it fits torch does not matter here."""
    return "torchvision" in sys.modules or importlib.util.find_spec("torchvision") is not None


def lookup_by_grid_sample(features1: Tensor, features2: Tensor, radius: int) -> Callable[[Tensor], Tensor]:
    """torchvision's correlation block, its volume built: coords (B, 2, H, W) in cells -> windows of all levels."""
    block = _torchvision_raft().CorrBlock(num_levels=4, radius=radius)
    block.build_pyramid(features1, features2)
    return block.index_pyramid


def lookup_by_localcorr(features1: Tensor, features2: Tensor, radius: int) -> Callable[[Tensor], Tensor] | str:
    """localcorr's lookup without a volume (Triton), as `lookup_by_grid_sample`; or why it is left out."""
    if features1.device.type != "cuda":
        return "localcorr runs on a GPU alone"
    try:
        localcorr = importlib.import_module("localcorr")
    except ImportError as error:
        return f"localcorr cannot be imported: {error}. pip install --no-deps localcorr"
    both = (features1.contiguous(), features2.contiguous())
    try:
        block = localcorr.get_localcorr_block(*both, num_levels=4, radius=radius, corr_mode="localcorr_triton")
        block(torch.zeros(len(features1), 2, *features1.shape[2:], device=features1.device))
    except Exception as error:  # a peer that does not run must not take our own figures with it
        return f"localcorr does not run here: {type(error).__name__}: {error}"
    return block


def authors_flow(folder: Path, model: Raft, device: torch.device, iterations: int) -> PairFlow:
    """The authors' code (github.com/princeton-vl/RAFT) in a folder that the user has."""
    core = folder / "core"
    if not (core / "raft.py").is_file():
        raise SystemExit(
            f"--authors {folder}: expected a checkout of princeton-vl/RAFT; {core / 'raft.py'} is not there"
        )
    sys.path.insert(0, str(core))
    raft = importlib.import_module("raft")
    arguments = Namespace(small=model.architecture == "small", mixed_precision=False, alternate_corr=False, dropout=0)
    # Their constructor asks `'dropout' not in args`.
    arguments.__class__ = type("Arguments", (Namespace,), {"__contains__": lambda self, key: hasattr(self, key)})
    peer = raft.RAFT(arguments)
    own = peer.state_dict()
    # Some of their tensors have two names.
    names = {tensor.data_ptr(): name for name, tensor in canonical_keys(own).items()}
    ours = model.state_dict()
    peer.load_state_dict({key: ours[names[tensor.data_ptr()]] for key, tensor in own.items()})
    peer = peer.eval().to(device)
    return pair_flow(lambda one, two: peer(one, two, iters=iterations, test_mode=True)[1], device, None)


def pair_flow(
    network: Callable[[Tensor, Tensor], Tensor], device: torch.device, autocast: torch.dtype | None
) -> PairFlow:
    """A network on padded float images (1, 3, H, W), behind the call of the benchmarks."""

    @torch.inference_mode()
    def flow(frame1: npt.NDArray[np.uint8], frame2: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        padding = Padding.for_size(*frame1.shape[:2])
        images = [padding.pad(torch.from_numpy(f).to(device).permute(2, 0, 1)[None].float()) for f in (frame1, frame2)]
        with torch.autocast(device.type, autocast or torch.bfloat16, enabled=autocast is not None):
            estimated = network(*images)
        return padding.unpad(estimated)[0].permute(1, 2, 0).float().cpu().contiguous().numpy()

    return flow


def _torchvision_raft() -> Any:
    """Its module. A torchvision that does not fit torch is not imported whole: the network needs none of its
    compiled operators."""
    try:
        from torchvision.models.optical_flow import raft

        return raft
    except (ImportError, RuntimeError):
        pass
    for name in [name for name in sys.modules if name.partition(".")[0] == "torchvision"]:
        del sys.modules[name]
    spec = importlib.util.find_spec("torchvision")
    if spec is None or spec.origin is None:
        raise SystemExit("torchvision is not installed. pip install --no-deps torchvision==0.28.0")
    return _load_without_operators(Path(spec.origin).parent)


class _WeightsEnum(enum.Enum):
    @classmethod
    def verify(cls, given: Any) -> Any:
        return given


def _load_without_operators(root: Path) -> Any:
    def anything(*_: Any, **__: Any) -> Any:
        return lambda decorated: decorated

    def package(name: str, **contents: Any) -> None:
        module = types.ModuleType(name)
        module.__path__ = [str(root.joinpath(*name.split(".")[1:]))]
        vars(module).update(contents)
        sys.modules[name] = module

    def ntuple(value: Any, count: int) -> tuple[Any, ...]:
        return tuple(value) if hasattr(value, "__iter__") else (value,) * count

    package("torchvision")
    package("torchvision.utils", _log_api_usage_once=lambda *_: None, _make_ntuple=ntuple)
    package("torchvision.ops")
    misc = importlib.import_module("torchvision.ops.misc")
    sys.modules["torchvision.ops"].Conv2dNormActivation = misc.Conv2dNormActivation  # type: ignore[attr-defined]
    package("torchvision.transforms")
    package("torchvision.transforms._presets", OpticalFlow=object)
    package("torchvision.models")
    weights = type("Weights", (), {"__init__": lambda self, **_: None})
    package("torchvision.models._api", register_model=anything, Weights=weights, WeightsEnum=_WeightsEnum)
    package("torchvision.models._utils", handle_legacy_interface=anything)
    package("torchvision.models.optical_flow")
    return importlib.import_module("torchvision.models.optical_flow.raft")

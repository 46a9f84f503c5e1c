"""The arithmetic of the network: float32, or fewer bits where the device is faster at it and the flow stays the same.

Weights are converted once (`Raft.to_precision`), not at each use. Coordinates and flow stay float32 throughout, and
so do the sums inside norms, convolutions and dot products.
"""

from dataclasses import dataclass, replace
from typing import get_args

import torch

from raftline.raft.choices import PrecisionChoice, PrecisionName, RuntimeName


@dataclass(frozen=True)
class Precision:
    """The types of the network's parts."""

    encoders: torch.dtype = torch.float32
    """Weights and activations of both encoders."""
    correlation: torch.dtype = torch.float32
    """The features that are matched, and the volume where there is one."""
    update: torch.dtype = torch.float32
    """Weights and activations of the update operator and the mask predictor, the context, the hidden state."""
    compiled: PrecisionName | None = None
    """What another runtime multiplies in, whatever the types of the tensors that it takes and gives."""

    @property
    def name(self) -> str:
        """The type, or those of each part where they differ."""
        if self.compiled is not None:
            return self.compiled
        names = [str(dtype).removeprefix("torch.") for dtype in (self.encoders, self.correlation, self.update)]
        if len(set(names)) == 1:
            return names[0]
        return f"encoders {names[0]}, correlation {names[1]}, update {names[2]}"


FLOAT32 = Precision()


def choose_precision(
    device: torch.device, asked: PrecisionChoice = "auto", runtime: RuntimeName = "torch"
) -> Precision:
    """Choose the precision for a device and a runtime.

    "auto" is 16 bits where the device multiplies such matrices in hardware, else float32. Measured with two
    weights of RAFT-small at 12 and 20 iterations, on Middlebury, Sintel, FlyingChairs and KITTI, bfloat16 moves the
    end-point error by at most 0.006 px and float16 by 0.001, whether the correlation is of 16 bits or not.

    In OpenVINO "auto" is 8 bits: see `raftline.raft.compiled.ranges`.

    Raises:
        ValueError: another name; float16 on a CPU, where it would be many times slower than float32; int8 in torch.
    """
    if asked not in get_args(PrecisionChoice):
        raise ValueError(f"precision: expected {', '.join(get_args(PrecisionChoice))}; found {asked!r}")
    if runtime == "openvino":
        return replace(FLOAT32, compiled="int8" if asked == "auto" else asked)
    name = _fastest(device) if asked == "auto" else asked
    if name == "int8":
        raise ValueError(
            "precision int8: only runtime openvino has it, on a CPU (pip install 'raftline[openvino]'). "
            "Use precision: auto"
        )
    if name == "float32":
        return FLOAT32
    if device.type != "cpu":
        dtype = getattr(torch, name)
        return Precision(dtype, dtype, dtype)
    if name == "float16":
        raise ValueError("precision float16: convolutions on a CPU have no fast float16. Use auto, bfloat16 or float32")
    # The lookup's kernel for the CPU reads float32.
    return Precision(torch.bfloat16, torch.float32, torch.bfloat16)


def _fastest(device: torch.device) -> PrecisionName:
    if device.type == "cuda":
        # Tensor cores begin at 7.0. float16 and not bfloat16 where both are: as fast, eight times finer.
        return "float16" if torch.cuda.get_device_capability(device) >= (7, 0) else "float32"
    if device.type == "cpu" and multiplies_bfloat16():
        return "bfloat16"
    return "float32"


def multiplies_bfloat16() -> bool:
    """Whether this CPU has instructions that multiply bfloat16 (AVX512-BF16 or AMX), and not only emulates them."""
    capabilities = torch.cpu.get_capabilities()
    return bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16"))

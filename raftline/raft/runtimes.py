"""What runs the convolutions: torch, or OpenVINO where it is installed (`pip install 'raftline[openvino]'`)."""

import functools
import platform
from typing import get_args

import torch

from raftline.raft.choices import PrecisionChoice, RuntimeChoice, RuntimeName
from raftline.raft.precision import multiplies_bfloat16

INSTALL = "pip install 'raftline[openvino]'"
_MEASURED_ON = ("x86_64", "amd64")
"""Processors on which OpenVINO was found faster than torch."""


def choose_runtime(
    device: torch.device, asked: RuntimeChoice = "auto", precision: PrecisionChoice = "auto"
) -> RuntimeName:
    """Choose the runtime for a device and the precision that is asked for.

    "auto" is OpenVINO where it is installed, the device is an x86 CPU, and it has the precision there; else torch.

    Raises:
        ValueError: another name, or a runtime that is not installed or has not the device or the precision.
    """
    if asked not in get_args(RuntimeChoice):
        raise ValueError(f"runtime: expected {', '.join(get_args(RuntimeChoice))}; found {asked!r}")
    if asked == "torch":
        return "torch"
    refused = _refused(device, precision)
    if asked == "openvino":
        if refused is not None:
            raise ValueError(f"runtime openvino: {refused}, or use runtime: auto")
        return "openvino"
    return "openvino" if refused is None and platform.machine().lower() in _MEASURED_ON else "torch"


def _refused(device: torch.device, precision: PrecisionChoice) -> str | None:
    """Why OpenVINO cannot be used, and what to do; None where it can."""
    if device.type != "cpu":
        return f"it runs on the CPU, and the device is {device}. Use device: cpu"
    if precision == "float16" or (precision == "bfloat16" and not multiplies_bfloat16()):
        return f"it has no fast {precision} on this CPU. Use precision: auto, int8 or float32"
    missing = openvino_missing()
    return None if missing is None else f"{missing}. {INSTALL}"


@functools.cache
def openvino_missing() -> str | None:
    """Why OpenVINO cannot be imported; None where it can."""
    try:
        from openvino import opset13  # noqa: F401
    except ModuleNotFoundError as error:
        return "not installed" if error.name == "openvino" else f"its installation is damaged ({error})"
    except ImportError as error:
        return f"its installation is damaged ({error})"
    return None

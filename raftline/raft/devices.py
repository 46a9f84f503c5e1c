"""Where to compute."""

import ctypes
import sys

import torch


def choose_device(device: str = "auto") -> torch.device:
    """Choose a device by name: "auto" (CUDA if available, else CPU), "cpu", "cuda" or "cuda:N".

    Raises:
        ValueError: CUDA was asked for and is not available, or another name.
    """
    if device == "cpu":
        return torch.device("cpu")
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if device != "cuda" and not (device.startswith("cuda:") and device[5:].isdigit()):
        raise ValueError(f"device: expected auto, cpu, cuda or cuda:N, found {device!r}")
    if not torch.cuda.is_available():
        reason = "torch was built without CUDA" if torch.version.cuda is None else "no GPU or no driver was found"
        raise ValueError(f"device {device!r}: {reason}. Use device: auto or cpu")
    if device != "cuda" and int(device[5:]) >= torch.cuda.device_count():
        found = torch.cuda.device_count()
        raise ValueError(f"device {device!r}: found {found} GPUs, numbered from 0. Use device: auto or one of them")
    return torch.device(device)


def keep_freed_memory() -> None:
    """Let the C library keep memory that tensors free, instead of returning it to the system after each layer.

    Mapping the same pages again for every layer takes a third of the encoders' time on a CPU. It holds for the whole
    process, whose memory then stays at its peak. Does nothing where the C library is not GNU's.
    """
    library = ctypes.CDLL(None)
    if sys.platform == "linux" and hasattr(library, "gnu_get_libc_version"):
        # malloc.h: M_TRIM_THRESHOLD -1, M_MMAP_THRESHOLD -3; 32 MiB is the largest that mallopt takes for the latter.
        library.mallopt(-3, 32 << 20)
        library.mallopt(-1, 1 << 30)

"""Where to compute, and with how many threads."""

import ctypes
import sys

import torch


def choose_device(device: str = "auto") -> torch.device:
    """The device of a name: "auto" (CUDA if there, else the CPU), "cuda", "cuda:N" or "cpu".

    Raises:
        ValueError: CUDA was asked for and is not there, or the name is none of these.
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
        raise ValueError(f"device {device!r}: there are {torch.cuda.device_count()} GPUs, numbered from 0")
    return torch.device(device)


def keep_freed_memory() -> None:
    """Let the C library keep what tensors gave back, instead of returning it to the system after each layer.

    Mapping the same pages again for every layer is a third of the encoders' time on a CPU. For this whole process;
    its memory stays at its high-water mark. Does nothing where the C library is not GNU's.
    """
    library = ctypes.CDLL(None)
    if sys.platform == "linux" and hasattr(library, "gnu_get_libc_version"):
        # malloc.h: M_TRIM_THRESHOLD -1, M_MMAP_THRESHOLD -3; 32 MiB is the largest that mallopt takes for the latter.
        library.mallopt(-3, 32 << 20)
        library.mallopt(-1, 1 << 30)


def set_cpu_threads(threads: int) -> None:
    """Threads of each operation on the CPU, for this whole process. Raises ValueError below 1."""
    if threads < 1:
        raise ValueError(f"cpu_threads: expected at least 1, found {threads}")
    torch.set_num_threads(threads)

"""Several processes of one run: started as torchrun starts them, joined in a process group of torch."""

import sys
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta

import torch
import torch.distributed as distributed
from torch import Tensor
from torch.distributed.elastic.multiprocessing.api import SignalException
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
from torch.distributed.launcher.api import LaunchConfig, elastic_launch

USER_MISTAKE = 2
"""Exit code of a process that cannot use its options or data."""
_TIMEOUT = timedelta(minutes=10)
"""Others wait this long for a process: for the first one's validation and checkpoint, which take seconds to minutes."""


class ProcessError(RuntimeError):
    """A process of the run ended."""


@contextmanager
def process_group(device: torch.device) -> Iterator[None]:
    """Join the other processes where torchrun, or `start_processes`, started this one."""
    if not distributed.is_torchelastic_launched():
        yield
        return
    # Tensors on the CPU, too, are sent on GPUs: whether to stop is known there.
    backend = "cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo"
    distributed.init_process_group(backend, timeout=_TIMEOUT)
    try:
        yield
    finally:
        distributed.destroy_process_group()


def rank() -> int:
    """This process's number, from 0."""
    return distributed.get_rank() if distributed.is_initialized() else 0


def process_count() -> int:
    """How many processes there are."""
    return distributed.get_world_size() if distributed.is_initialized() else 1


def average(tensor: Tensor) -> None:
    """Replace `tensor` by its mean over the processes. All wait for all."""
    if distributed.is_initialized():
        distributed.all_reduce(tensor)
        tensor /= process_count()


def start_processes(count: int, module: str, arguments: Sequence[str]) -> None:
    """`torchrun --nproc-per-node COUNT -m MODULE ARGUMENTS` on this machine. Returns when all are done.

    SIGINT and SIGTERM are passed on to the processes.

    Raises:
        ValueError: a process could not use its options or data and said so on stderr.
        ProcessError: a process ended in another way. The others were ended.
    """
    config = LaunchConfig(
        min_nodes=1,
        max_nodes=1,
        nproc_per_node=count,
        rdzv_backend="c10d",
        rdzv_endpoint="localhost:0",  # any free port
        local_addr="localhost",
        run_id=str(uuid.uuid4()),
        max_restarts=0,  # the same command resumes the run
    )
    try:
        elastic_launch(config, sys.executable)("-u", "-m", module, *arguments)
    except ChildFailedError as error:
        number, failure = error.get_first_failure()
        message = f"process {number} of {count} ended with exit code {failure.exitcode}; its own message is above"
        raise (ValueError if failure.exitcode == USER_MISTAKE else ProcessError)(message) from None
    except SignalException:
        return  # it was passed on, and the processes saved

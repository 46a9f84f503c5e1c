"""Several processes of one run, each on its own clips, their gradients averaged (gloo, on the CPU)."""

import multiprocessing
import tempfile
from collections.abc import Callable, Iterable
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any, Protocol

import torch
import torch.distributed as distributed
from torch import Tensor, nn

_PATIENCE = timedelta(minutes=10)


class Replicas(Protocol):
    """The other processes of the run."""

    rank: int
    count: int

    def average(self, tensors: Iterable[Tensor]) -> None:
        """Each tensor becomes its mean over the processes; all wait for all. Raises ReplicaError."""
        ...


class ReplicaError(RuntimeError):
    """Another process of the run is gone."""


class Alone:
    """One process."""

    rank = 0
    count = 1

    def average(self, tensors: Iterable[Tensor]) -> None:
        """Nothing to do."""


class Gloo:
    """A member of a group of processes on this machine that meet in a file."""

    def __init__(self, rank: int, count: int, meeting: Path) -> None:
        self.rank = rank
        self.count = count
        distributed.init_process_group(
            "gloo", init_method=f"file://{meeting}", rank=rank, world_size=count, timeout=_PATIENCE
        )

    def average(self, tensors: Iterable[Tensor]) -> None:
        """As one message: a message a tensor takes as long as the step itself for a network of a hundred."""
        tensors = list(tensors)
        message = torch.cat([tensor.reshape(-1) for tensor in tensors])
        try:
            distributed.all_reduce(message)
        except RuntimeError as error:
            raise ReplicaError("another process of this training run ended; its own message is above") from error
        message /= self.count
        for tensor, mean in zip(tensors, message.split([t.numel() for t in tensors]), strict=True):
            tensor.copy_(mean.view_as(tensor))


def gradients(model: nn.Module) -> list[Tensor]:
    """Those that there are."""
    return [parameter.grad for parameter in model.parameters() if parameter.grad is not None]


def run_replicas(count: int, run: Callable[..., Any], *arguments: Any) -> Any:
    """`run(replicas, *arguments)` in `count` processes; this one is rank 0, and its result is returned.

    When this process leaves, in whatever way, the others are ended.
    """
    if count == 1:
        return run(Alone(), *arguments)
    context = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory(prefix="raftline-train-") as folder:
        meeting = Path(folder) / "meeting"
        others = [
            context.Process(target=_replica, args=(rank, count, meeting, run, arguments), daemon=True)
            for rank in range(1, count)
        ]
        for other in others:
            other.start()
        try:
            return run(Gloo(0, count, meeting), *arguments)
        finally:
            with suppress(Exception):
                distributed.destroy_process_group()
            for other in others:
                other.join(timeout=10)
                other.kill()
                other.join()


def _replica(rank: int, count: int, meeting: Path, run: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
    try:
        run(Gloo(rank, count, meeting), *arguments)
    except ValueError as error:
        # The user's mistake, which rank 0 most likely meets as well and tells: one line, no traceback.
        raise SystemExit(f"process {rank}: {error}") from None
    distributed.destroy_process_group()

"""Open a session by name: what the command line and the flow stage call."""

from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt

from raftline.flow.dis import DisOptions, DisSession
from raftline.flow.options import SessionOptions
from raftline.flow.result import FlowResult, SessionStatus
from raftline.flow.session import FlowSession
from raftline.flow.update_loop import UpdateLoop
from raftline.raft.devices import choose_device, keep_freed_memory, set_cpu_threads
from raftline.raft.precision import PrecisionChoice, choose_precision
from raftline.raft.weights.loading import load_raft


class Session(Protocol):
    """What every estimator's session can do. One object per source; not to be shared between threads."""

    def __call__(
        self, frame_rgb: npt.NDArray[np.uint8], full_resolution: bool = True, confidence: bool = False
    ) -> FlowResult | None:
        """Flow from the previous frame, or None for the first of a run."""
        ...

    def reset(self) -> None:
        """The next frame is the first of a run."""
        ...

    @property
    def status(self) -> SessionStatus:
        """What it runs on."""
        ...


def open_raft(
    weights: str | Path = "default",
    device: str = "auto",
    cpu_threads: int | None = None,
    precision: PrecisionChoice = "auto",
) -> UpdateLoop:
    """The network on its device, once per process; give it to as many FlowSessions as there are sources.

    Args:
        weights: see `raftline.raft.weights.loading.load_raft`.
        device: "auto" (CUDA if there, else CPU), "cpu", "cuda" or "cuda:N".
        cpu_threads: threads of each operation on the CPU; None leaves torch's choice.
        precision: see `raftline.raft.precision.choose_precision`.

    Raises:
        ValueError: weights (WeightsError), device, precision or threads that cannot be had.
    """
    if cpu_threads is not None:
        set_cpu_threads(cpu_threads)
    chosen = choose_device(device)
    if chosen.type == "cpu":
        keep_freed_memory()
    return UpdateLoop(load_raft(weights, chosen).to_precision(choose_precision(chosen, precision)))


def open_session(
    estimator: str,
    update_loop: UpdateLoop | None = None,
    raft_options: SessionOptions | None = None,
    dis_options: DisOptions | None = None,
) -> Session:
    """A session of the estimator "raft" (which needs `update_loop`) or "dis".

    Raises:
        ValueError: another name, or no update_loop for "raft".
    """
    if estimator == "dis":
        return DisSession(dis_options)
    if estimator != "raft":
        raise ValueError(f"estimator: expected raft or dis, found {estimator!r}")
    if update_loop is None:
        raise ValueError("estimator 'raft' needs its network: open_raft(weights, device)")
    return FlowSession(update_loop, raft_options)

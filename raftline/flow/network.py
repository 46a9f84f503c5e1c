"""The network that options ask for."""

import torch

from raftline.flow.options import FlowOptions
from raftline.flow.update_loop import UpdateLoop
from raftline.raft.devices import choose_device, keep_freed_memory
from raftline.raft.model import Raft
from raftline.raft.precision import choose_precision
from raftline.raft.runtimes import choose_runtime
from raftline.raft.weights.loading import load_raft


def open_raft(options: FlowOptions | None = None) -> UpdateLoop:
    """Load RAFT, once per process; give the loop to as many FlowSessions as there are sources.

    Args:
        options: their weights, device, runtime, precision and threads are read.

    Raises:
        WeightsError: weights that are missing, damaged or of another network.
        ValueError: a device, a runtime or a precision that is not available.
    """
    options = options or FlowOptions()
    device = choose_device(options.device)
    runtime = choose_runtime(device, options.runtime, options.precision)
    precision = choose_precision(device, options.precision, runtime)
    model = load_raft(options.weights, device)
    if runtime == "openvino":
        from raftline.raft.compiled.loading import compile_raft  # imports an optional package

        return prepare(compile_raft(model, precision, options.weights == "default", keep=True), options)
    return prepare(model.to_precision(precision), options)


def prepare(model: Raft, options: FlowOptions) -> UpdateLoop:
    """The update loop of a loaded model, with this process set up for its device."""
    if options.threads is not None:
        torch.set_num_threads(options.threads)
    if next(model.parameters()).device.type == "cpu":
        keep_freed_memory()
    return UpdateLoop(model)

"""A loaded network, compiled."""

from raftline.raft.compiled.kept_graphs import kept_graphs
from raftline.raft.compiled.network import CompiledRaft
from raftline.raft.compiled.ranges import measure_ranges, shipped_ranges
from raftline.raft.model import Raft
from raftline.raft.precision import Precision


def compile_raft(model: Raft, precision: Precision, shipped: bool = False, keep: bool = False) -> CompiledRaft:
    """Make a model compiled.

    Args:
        model: in eval mode, float32, on the CPU; its weights are shared.
        precision: its `compiled` names the arithmetic.
        shipped: whether the weights are those that are shipped; for others int8 needs a second to measure ranges.
        keep: whether what is compiled is kept in the cache of the user, for the next process.
    """
    ranges = None
    if precision.compiled == "int8":
        ranges = shipped_ranges() if shipped else measure_ranges(model)
    return CompiledRaft(model, precision, ranges, kept_graphs(model, ranges) if keep else None)

"""What the status says of how flow is estimated."""

from __future__ import annotations

from collections.abc import Sequence

from raftline.flow.options import FlowOptions
from raftline.flow.result import SessionStatus


def said_accuracy(accuracy: str, asked: str, readers: Sequence[str]) -> str:
    """How exact the flow is, and who asked for that."""
    if asked != "auto":
        return f"{accuracy}, as set"
    return f"{accuracy} for {', '.join(readers)}" if readers else accuracy


def said_settings(options: FlowOptions, max_side_px: int | None, full_resolution: bool) -> str:
    """What is run, whether the user or the readers decided it."""
    size = "full size" if max_side_px is None else f"at most {max_side_px} px"
    if options.estimator == "dis":
        return f"{size}, {options.dis_preset}"
    if options.one_motion_side_px is not None:
        size += f", {options.one_motion_side_px} px while it moves as one"
    elif options.network_size == "adaptive":
        size += ", the network at half size where that explains the frames"
    if options.register_one_motion:
        size += ", registered without the network where its pixels move as one"
    stop = "" if options.early_stop_px is None else f" until less than {options.early_stop_px:g} px is gained"
    half = options.grid_refinement == "half" and not full_resolution
    refined = ("refined at half size" if half else "refined") if options.variational_refinement else "not refined"
    cold = max(options.iterations, options.cold_iterations)
    updates = f"{options.iterations} updates (cold {cold})"
    if options.only_changed:
        fewer = min(options.iterations, options.changed_iterations or options.iterations)
        updates += f", {fewer} where only a part changes"
    return f"{size}, {updates}{stop}, {refined}"


def said_small_size(options: FlowOptions) -> str:
    """The size of frames that are scaled down while that is enough, as part of a counter's name."""
    return "half_size" if options.one_motion_side_px is None else f"{options.one_motion_side_px}_px"


def said_session(said: SessionStatus) -> dict[str, str | int]:
    """What it runs on."""
    return {
        "estimator": said.estimator,
        "device": said.device,
        "runtime": said.runtime,
        "precision": said.precision,
        "lookup": said.lookup,
        "correlation": said.correlation,
        "update_loop": said.update_loop,
        "cpu_threads": said.cpu_threads,
        "fallback": "; ".join(said.fallbacks) or "none",
    }

"""What the stage runs, of all that its options leave open."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pipeline.stage import Context, Demand
from raftline.flow.accuracy import Accuracy, estimator_for, may_use_gpu, settings_for
from raftline.flow.options import FlowOptions

if TYPE_CHECKING:
    from raftline.flow.update_loop import UpdateLoop


_SHIPPED = {"weights": "default", "runtime": "auto", "precision": "auto"}
"""What is there wherever raftline is, so that loading it late cannot fail in the midst of a run."""


def chosen(options: Any, demand: Demand) -> tuple[Accuracy, dict[str, Any]]:
    """How exact the flow has to be, and every option with what follows from that in place of auto."""
    given = {name: value for name, value in options if name != "accuracy"}
    accuracy = demand.accuracy if options.accuracy == "auto" else options.accuracy
    if given["estimator"] == "auto":
        given["estimator"] = estimator_for(accuracy, options.device)
    also = demand.also if options.accuracy == "auto" else ()
    settings = settings_for(accuracy, given["estimator"], also)
    return accuracy, {**given, **{name: value for name, value in settings.items() if given[name] == "auto"}}


def modules_of_network(given: Mapping[str, Any]) -> list[str]:
    """What the network takes long to load, by the options as the user wrote them."""
    modules = ["raftline.flow.network", "raftline.flow.session"]
    if given.get("runtime") != "torch" and importlib.util.find_spec("openvino") is not None:
        modules.append("raftline.raft.compiled.loading")
    return [*modules, "raftline.kernels.ahead.network"]


def network_of(options: FlowOptions, context: Context) -> UpdateLoop:
    """The network; one per process for all its sources."""
    from raftline.flow.network import open_raft

    loaded = (options.weights, options.device, options.threads, options.runtime, options.precision)
    return context.shared(f"raft {loaded}", lambda: open_raft(options))


def may_need_no_network(given: Mapping[str, Any], demand: Demand) -> bool:
    """Whether a run may end before the network is needed, by the options as the user wrote them."""
    asked, needs = given.get("accuracy", "auto"), given.get("register_one_motion", "auto")
    accuracies = {demand.accuracy, *demand.also} if asked == "auto" else {asked}
    registers = accuracies == {"coarse"} if needs == "auto" else needs is True
    shipped = all(given.get(name, value) == value for name, value in _SHIPPED.items())
    return registers and shipped and not may_use_gpu(str(given.get("device", "auto")))


def opens_network_late(options: FlowOptions) -> bool:
    """Whether the network is loaded at the first frame that needs it: where that can hardly fail, and one may not."""
    shipped = all(getattr(options, name) == value for name, value in _SHIPPED.items())
    return options.register_one_motion and shipped and not may_use_gpu(options.device)

"""The store of flow that runs of one file share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.errors import OutputError
from pipeline.stage import Context
from raftline.flow.options import FlowOptions
from raftline.flow.store import FlowStore

if TYPE_CHECKING:
    from raftline.flow.update_loop import UpdateLoop


def opened_store(folder: str, options: FlowOptions, open_network: Callable[[], UpdateLoop]) -> FlowStore:
    """A store for flow with these options, by a network that runs like this one. Raises `OutputError`."""
    runs_on: tuple[str, ...] = ()
    if options.estimator == "raft":
        loop = open_network()
        runs_on = loop.model.runtime, loop.model.precision.name, str(loop.device)
    try:
        return FlowStore(Path(folder), f"{options} {runs_on}")
    except OSError as error:
        raise OutputError(f"cannot write {folder}: {error.strerror or error}; free some space") from error


def say_trouble(store: FlowStore, context: Context) -> None:
    """Say that flow is not kept any more, and why."""
    if store.trouble is not None:
        why = store.trouble.strerror or str(store.trouble)
        context.status(store=f"flow is not kept: {why}")
        context.log.warning("flow is not kept for other runs of this file: %s", why)

"""One interface to both estimators: RAFT and DIS."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import numpy.typing as npt

from raftline.flow.accuracy import may_use_gpu
from raftline.flow.changed_part import Box
from raftline.flow.dis import DisSession
from raftline.flow.options import FlowOptions
from raftline.flow.registered_session import RegisteredSession
from raftline.flow.result import FlowResult, SessionStatus
from raftline.flow.store import FlowStore

if TYPE_CHECKING:
    from raftline.flow.session import FlowSession
    from raftline.flow.update_loop import UpdateLoop


class Session(Protocol):
    """What every estimator's session can do. One object per source; not to be shared between threads."""

    def __call__(
        self,
        frame_rgb: npt.NDArray[np.uint8],
        *,
        full_resolution: bool = True,
        confidence: bool = False,
        changed: Box | None = None,
    ) -> FlowResult | None:
        """Flow from the previous frame, or None for the first of a run."""
        ...

    def reset(self) -> None:
        """The next frame is the first of a run."""
        ...

    def full_state(self) -> dict[str, Any]:
        """All that the next frame depends on, as JSON values and arrays, which may be no copies."""
        ...

    def restore_full(self, state: Mapping[str, Any]) -> None:
        """Go on exactly where a session with the same options had this `full_state`."""
        ...

    @property
    def status(self) -> SessionStatus:
        """What it runs on."""
        ...


def open_session(
    options: FlowOptions | None = None,
    open_network: Callable[[], UpdateLoop] | None = None,
    store: FlowStore | None = None,
) -> Session:
    """Open a session of the estimator that the options name.

    Args:
        options: how to estimate.
        open_network: returns the network, where sessions share one (`raftline.flow.network.open_raft`); None: one is
            loaded. Called when the network is needed. RAFT only.
        store: where flow is looked for before it is estimated, and kept; None: nowhere.

    Raises:
        ValueError: weights (WeightsError), a device or a precision that is not available.
    """
    options = options or FlowOptions()
    if options.estimator == "dis":
        return DisSession(options, store)
    if not options.register_one_motion:
        return _network(options, open_network, store)
    alone = replace(options, duplicates=None, scene_cut=None, register_one_motion=False)
    if not may_use_gpu(options.device):
        return RegisteredSession(options, lambda: _network(alone, open_network, store))
    network = _network(alone, open_network, store)
    if network.batching_pays:  # a GPU estimates several streams in one pass
        return _network(options, open_network, store)
    return RegisteredSession(options, lambda: network)


def _network(
    options: FlowOptions, open_network: Callable[[], UpdateLoop] | None, store: FlowStore | None
) -> FlowSession:
    from raftline.flow.session import FlowSession  # here: DIS needs no torch

    return FlowSession(None if open_network is None else open_network(), options, store)

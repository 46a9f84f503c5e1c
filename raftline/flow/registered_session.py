"""RAFT over a stream whose frames mostly move as one: those are registered, and the network runs on the others."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import numpy.typing as npt

from raftline.flow.changed_part import Box
from raftline.flow.grid import Cells
from raftline.flow.options import FlowOptions
from raftline.flow.registered_flow import Registration, SmallFrame
from raftline.flow.result import FlowResult, SessionStatus, zero_result
from raftline.flow.scene_change import ChangeDetector
from raftline.raft.padding import Padding
from raftline.raft.rgb import check_rgb, luma_of

if TYPE_CHECKING:
    from raftline.flow.session import FlowSession

_NOT_LOADED = "none before the first frame that does not move as one"


@dataclass
class _Seen:
    """The last frame."""

    rgb: npt.NDArray[np.uint8]
    small: SmallFrame
    grid_px: npt.NDArray[np.float32] | None = None
    """Flow into it; None: not known."""

    @classmethod
    def of(cls, rgb: npt.NDArray[np.uint8], grid_px: npt.NDArray[np.float32] | None = None) -> _Seen:
        return cls(rgb, SmallFrame.of(luma_of(rgb)), grid_px)


class RegisteredSession:
    """One stream, with the interface of `raftline.flow.session.FlowSession`.

    The network is opened at the first frame that does not move as one.

    Args:
        options: their duplicates and scene_cut are read.
        open_network: a session that finds neither duplicates nor cuts itself.
    """

    def __init__(self, options: FlowOptions, open_network: Callable[[], FlowSession]) -> None:
        self._options = options
        self._open_network = open_network
        self._network: FlowSession | None = None
        self._registration = Registration()
        self._changes = ChangeDetector(options.duplicates, options.scene_cut)
        self._last: _Seen | None = None
        self._before_cut: _Seen | None = None
        """The frame before a cut that the next frame may withdraw."""
        self._behind = True
        """Whether the network has not seen the last frame."""

    def __call__(
        self,
        frame_rgb: npt.NDArray[np.uint8],
        *,
        full_resolution: bool = True,
        confidence: bool = False,
        changed: Box | None = None,
    ) -> FlowResult | None:
        """Flow from the previous frame to this one, or None for the first frame of a run; as FlowSession's.

        The network runs wherever `full_resolution` or `confidence` is wanted.
        """
        del changed
        check_rgb(frame_rgb)
        luma = luma_of(frame_rgb)
        change = self._changes.judge(luma)
        height, width = luma.shape
        padding = Padding.for_size(height, width)
        last, before_cut = self._last, self._before_cut
        if change == "duplicate" and last is not None:
            return zero_result(padding, height, width, full_resolution, confidence)
        now = self._last = _Seen(frame_rgb.copy(), SmallFrame.of(luma))
        self._before_cut = None
        if change == "first" or last is None:
            self._reset_network()
            return None
        if change == "scene_cut":
            self._before_cut, self._behind = last, True
            result = zero_result(padding, height, width, full_resolution, confidence)
            return FlowResult(result.grid_px, result.flow_px, "scene_cut", 0, padding, result.confidence)
        if change == "resumed" and before_cut is not None:
            last, self._behind = before_cut, True
        result = None
        if not full_resolution and not confidence:
            result = self._registered(last, now, padding)
        result = result or self._estimated(last, now, full_resolution, confidence)
        now.grid_px = result.grid_px
        return FlowResult(**{**vars(result), "start": "resumed"}) if change == "resumed" else result

    def reset(self) -> None:
        """End the run: after a gap the next frame is a first one."""
        self._changes.reset()
        self._last = self._before_cut = None
        self._reset_network()

    def full_state(self) -> dict[str, Any]:
        """All that the next frame depends on, as JSON values and arrays, which are no copies."""
        seen = [None if each is None else [each.rgb, each.grid_px] for each in (self._last, self._before_cut)]
        network = None if self._network is None else self._network.full_state()
        return {"changes": self._changes.full_state(), "seen": seen, "behind": self._behind, "network": network}

    def restore_full(self, state: Mapping[str, Any]) -> None:
        """Go on exactly where `full_state` was taken."""
        self._changes.restore_full(state["changes"])
        self._last, self._before_cut = (None if each is None else _Seen.of(*each) for each in state["seen"])
        self._behind = state["behind"]
        if state["network"] is not None:
            self._opened().restore_full(state["network"])

    @property
    def status(self) -> SessionStatus:
        """What this session runs on; before the network is opened, that it is not."""
        if self._network is not None:
            return self._network.status
        threads = self._options.threads or cv2.getNumThreads()
        return SessionStatus(
            "raft", "cpu", _NOT_LOADED, _NOT_LOADED, _NOT_LOADED, _NOT_LOADED, _NOT_LOADED, threads, ()
        )

    def _registered(self, last: _Seen, now: _Seen, padding: Padding) -> FlowResult | None:
        cells = Cells.padded(now.small.height, now.small.width, padding)
        grid_px = self._registration(last.small, now.small, cells)
        if grid_px is None:
            return None
        self._behind = True
        return FlowResult(grid_px, None, "registered", 0, padding)

    def _estimated(self, last: _Seen, now: _Seen, full_resolution: bool, confidence: bool) -> FlowResult:
        network = self._opened()
        if self._behind:
            network.begin_at(last.rgb, last.grid_px)
        self._behind = False
        result = network(now.rgb, full_resolution=full_resolution, confidence=confidence)
        assert result is not None
        return result

    def _opened(self) -> FlowSession:
        if self._network is None:
            self._network = self._open_network()
        return self._network

    def _reset_network(self) -> None:
        self._behind = True
        if self._network is not None:
            self._network.reset()

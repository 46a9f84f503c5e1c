"""Flow of a stream, frame after frame: each frame is encoded once and matched with the previous one.

Several streams of one size can share a pass of the network (`estimate_together`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from raftline.flow.changed_part import Box, PartChoice, whole_result
from raftline.flow.grid import Cells
from raftline.flow.half_size import HalfSize
from raftline.flow.network import open_raft, prepare
from raftline.flow.options import FlowOptions
from raftline.flow.result import FlowResult, SessionStatus, zero_result
from raftline.flow.scene_change import Change, ChangeDetector
from raftline.flow.size_choice import SizeChoice, at_frame_size
from raftline.flow.step import Step
from raftline.flow.store import FlowStore
from raftline.flow.stream import Stream, estimate
from raftline.flow.update_loop import UpdateLoop
from raftline.kernels.choice import kernel_choice
from raftline.raft.model import Raft
from raftline.raft.padding import Padding
from raftline.raft.rgb import check_rgb


class FlowSession:
    """RAFT over one stream. Holds the last frame's features and the last flow; the network can be shared.

    ::

        session = FlowSession()
        for frame in frames:  # (H, W, 3) uint8 RGB
            result = session(frame)  # None for the first frame

    With `warm_start` never, and `region_matching`, `variational_refinement` and `early_stop_px` off, the flow of each
    pair is that of the model called on the pair.

    Args:
        model: from `load_raft`, which runs as it was loaded; or an UpdateLoop, which sessions share to run in one pass
            (`estimate_together`). None loads what the options' weights, device and precision say.
        options: see FlowOptions.
        store: where flow between two frames that follow each other is looked for before it is estimated, and kept. It
            goes on as after a cold start from what it finds.

    Raises:
        ValueError: the options name another estimator; weights (WeightsError), a device or a precision that is not
            available.
        TypeError: a model of another type.
    """

    def __init__(
        self,
        model: Raft | UpdateLoop | None = None,
        options: FlowOptions | None = None,
        store: FlowStore | None = None,
    ) -> None:
        self._options = options or FlowOptions()
        self._update_loop = _update_loop(model, self._options)
        self._changes = ChangeDetector(self._options.duplicates, self._options.scene_cut)
        self._stream = Stream(self._update_loop, self._options, store)
        small_px = self._options.one_motion_side_px
        halves = self._options.network_size == "adaptive" and self._options.variational_refinement
        self._halves = halves and small_px is None
        self._size = HalfSize() if self._halves else SizeChoice(small_px)
        one_size = small_px is None and not self._halves
        self._part = PartChoice(self._options.only_changed and one_size and not self.batching_pays)
        self._last_rgb: npt.NDArray[np.uint8] | None = None
        """The last frame, where flow may go on from it at another size or with another part."""
        self._rgb_before_cut: npt.NDArray[np.uint8] | None = None
        """The same of the frame before a cut that the next frame may withdraw."""

    def __call__(
        self,
        frame_rgb: npt.NDArray[np.uint8],
        *,
        full_resolution: bool = True,
        confidence: bool = False,
        changed: Box | None = None,
    ) -> FlowResult | None:
        """Estimate the flow from the previous frame to this one.

        A run begins with the session, after `reset()`, and with a frame of another size than the last.

        Args:
            frame_rgb: (H, W, 3) uint8 RGB, any size from 1x1. It is not kept.
            full_resolution: whether `flow_px` is wanted; the grid alone is cheaper.
            confidence: whether `confidence` is wanted; it also estimates the flow back, twice the iterations.
            changed: for the option `only_changed`: where the frame differs by more than noise from those before
                (`StillnessDetector.changed`); None: nowhere, or unknown.

        Returns:
            The flow, or None for the first frame of a run.

        Raises:
            TypeError: not a NumPy array.
            ValueError: another dtype or shape.
        """
        return estimate_together([FrameRequest(self, frame_rgb, full_resolution, confidence, changed)])[0]

    def begin_at(self, frame_rgb: npt.NDArray[np.uint8], grid_px: npt.NDArray[np.float32] | None = None) -> None:
        """Begin a run with a frame, as after a call with it.

        Args:
            frame_rgb: as in a call.
            grid_px: flow into it from the frame before, as in `FlowResult.grid_px`, from which the next pair goes on;
                None: not known, the next start is cold.
        """
        goes_on = self._stream.has_begun
        self.reset()
        self._changes.judge(frame_rgb)
        if goes_on:
            self._size.moved_as_one()
        else:
            self._size.begin(*frame_rgb.shape[:2])
        self._stream.begin_at(self._size.scaled(frame_rgb), frame_rgb.shape[:2], grid_px)
        if self._size.is_small or self._part.able:
            self._last_rgb = frame_rgb.copy()

    def reset(self) -> None:
        """End the run, as after a gap: the next frame is the first of a new one."""
        self._changes.reset()
        self._stream.reset()
        self._part.reset()
        self._last_rgb = self._rgb_before_cut = None

    def full_state(self) -> dict[str, Any]:
        """All that the next frame depends on, as JSON values and arrays, which may be no copies."""
        return {
            "changes": self._changes.full_state(),
            "stream": self._stream.full_state(),
            "size": self._size.full_state(),
            "part": self._part.full_state(),
            "rgb": [self._last_rgb, self._rgb_before_cut],
        }

    def restore_full(self, state: Mapping[str, Any]) -> None:
        """Go on exactly where a session with the same options and network had this `full_state`."""
        self._changes.restore_full(state["changes"])
        self._stream.restore_full(state["stream"])
        self._size.restore_full(state["size"])
        self._part.restore_full(state["part"])
        self._last_rgb, self._rgb_before_cut = state["rgb"]

    @property
    def batching_pays(self) -> bool:
        """Whether `estimate_together` is faster than one call after the other.

        So on a GPU, which one stream of common size does not fill. On a CPU a batch takes as long as its frames one by
        one, and the first would wait for the last.
        """
        return self._update_loop.device.type == "cuda"

    @property
    def status(self) -> SessionStatus:
        """What this session runs on."""
        device = self._update_loop.device
        choice = kernel_choice(device)
        return SessionStatus(
            estimator=f"raft-{self._update_loop.model.architecture}",
            device=_device_name(device),
            runtime=self._update_loop.model.runtime,
            precision=self._update_loop.model.precision.name,
            lookup=choice.name,
            correlation=self._stream.correlation_mode,
            update_loop="recorded" if self._update_loop.recorded else "eager",
            cpu_threads=torch.get_num_threads(),
            fallbacks=() if choice.fallback is None else (choice.fallback,),
        )

    def _prepare(self, request: "FrameRequest") -> FlowResult | Step:
        """The result of a frame that needs no network, or what the network has to do."""
        check_rgb(request.frame_rgb)
        change = self._changes.judge(request.frame_rgb)
        if change == "duplicate" and self._stream.has_begun:
            height, width = request.frame_rgb.shape[:2]
            padding = Padding.for_size(height, width)
            return zero_result(padding, height, width, request.full_resolution, request.confidence)
        if change == "first":
            self._size.begin(*request.frame_rgb.shape[:2])
            self._part.reset()
        elif self._last_rgb is not None and self._part.able:
            self._choose_part(request, change, self._last_rgb)
        return self._step(request.frame_rgb, change, request.full_resolution, request.confidence)

    def _choose_part(self, request: "FrameRequest", change: Change, last_rgb: npt.NDArray[np.uint8]) -> None:
        height, width = request.frame_rgb.shape[:2]
        cells = Cells.padded(height, width, Padding.for_size(height, width))
        wanted: Change = "first" if request.full_resolution else change
        if self._part.choose(wanted, request.changed, cells):
            self._stream.resize(self._step(last_rgb, "first"))

    def _step(
        self,
        frame_rgb: npt.NDArray[np.uint8],
        change: Change,
        full_resolution: bool = False,
        confidence: bool = False,
    ) -> Step:
        """The step of a frame at the size, or of the part, of now."""
        image = self._size.scaled(frame_rgb)
        whole = frame_rgb if self._halves and image is not frame_rgb else None
        return Step.of(image, self._stream, change, full_resolution, confidence, self._part.part, whole)

    def _go_on(self, request: "FrameRequest", step: Step, result: FlowResult | None) -> Step | None:
        """Choose the size to go on at. Returns what the network still has to do for this frame: all of it, at full
        size, where the small one is not enough."""
        last_rgb = self._rgb_before_cut if step.change == "resumed" else self._last_rgb
        self._rgb_before_cut = self._last_rgb if step.change == "scene_cut" else None
        self._last_rgb = None
        moved = result is not None and self._size.judge(result)
        again = None
        if moved and self._size.is_small:
            self._stream.resize(self._step(request.frame_rgb, "first"))
        elif moved and last_rgb is not None:
            self._stream.resize(self._step(last_rgb, "first"), redo=self._halves)
            again = self._step(request.frame_rgb, "continuous", request.full_resolution, request.confidence)
        if self._size.is_small or self._part.able:
            self._last_rgb = request.frame_rgb.copy()
        return again


@dataclass(frozen=True)
class FrameRequest:
    """The next frame of a session, and what is wanted: the arguments of `FlowSession.__call__`."""

    session: FlowSession
    frame_rgb: npt.NDArray[np.uint8]
    full_resolution: bool = True
    confidence: bool = False
    changed: Box | None = None


@torch.inference_mode()
def estimate_together(requests: Sequence[FrameRequest]) -> list[FlowResult | None]:
    """Take several sessions one frame further, in as few passes of the network as their sizes and options allow.

    Args:
        requests: one for each session.

    Returns:
        What the call of each session would have returned, up to the order of sums within a batch.

    Raises:
        ValueError: a frame of another dtype or shape than `FlowSession.__call__` takes; a session named twice.
    """
    if len({id(request.session) for request in requests}) < len(requests):
        raise ValueError("requests: a session can take one frame at a time, but one is named twice")
    prepared = {number: request.session._prepare(request) for number, request in enumerate(requests)}
    results = {number: result for number, result in prepared.items() if isinstance(result, FlowResult)}
    steps = {number: step for number, step in prepared.items() if isinstance(step, Step)}
    while steps:
        found = estimate(steps)
        for number, result in found.items():
            start = results[number].start if number in results else result.start
            frame, step = requests[number].frame_rgb.shape[:2], steps[number]
            whole = whole_result(replace(result, start=start), step.part, step.refined_cells)
            results[number] = at_frame_size(whole, step.refined_cells, frame)
        again = {
            number: requests[number].session._go_on(requests[number], step, found.get(number))
            for number, step in steps.items()
        }
        steps = {number: step for number, step in again.items() if step is not None}
    return [results.get(number) for number in range(len(requests))]


def _update_loop(model: Raft | UpdateLoop | None, options: FlowOptions) -> UpdateLoop:
    if options.estimator != "raft":
        raise ValueError(
            f"estimator: FlowSession runs raft, found {options.estimator!r}. Use raftline.flow.estimators.open_session"
        )
    if model is None:
        return open_raft(options)
    if isinstance(model, Raft):
        return prepare(model, options)
    if isinstance(model, UpdateLoop):
        return model
    raise TypeError(f"model: expected what load_raft returns, an UpdateLoop or None, found {type(model).__name__}")


def _device_name(device: torch.device) -> str:
    return f"{device} ({torch.cuda.get_device_name(device)})" if device.type == "cuda" else str(device)

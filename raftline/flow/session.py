"""Flow of a stream, frame after frame: each frame is encoded once and matched with the previous one.

Several streams of one size can share a pass of the network (`estimate_together`).
"""

from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from raftline.flow.batches import batch, grouped, item_of, join
from raftline.flow.confidence import round_trip_confidence
from raftline.flow.network import open_raft, prepare
from raftline.flow.options import FlowOptions
from raftline.flow.result import FlowResult, SessionStatus, Start, zero_result
from raftline.flow.scene_change import Change, ChangeDetector
from raftline.flow.update_loop import UpdateLoop
from raftline.flow.variational import luma_of, refine_on_images, refined_grid
from raftline.kernels.cell import CELL_PX
from raftline.kernels.choice import kernel_choice
from raftline.raft.model import CoarseFlow, EncodedFrame, Raft
from raftline.raft.padding import Padding
from raftline.raft.preprocess import to_network_input
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

    Raises:
        ValueError: the options name another estimator; weights (WeightsError), a device or a precision that is not
            available.
        TypeError: a model of another type.
    """

    def __init__(self, model: Raft | UpdateLoop | None = None, options: FlowOptions | None = None) -> None:
        self._options = options or FlowOptions()
        self._update_loop = _update_loop(model, self._options)
        self._changes = ChangeDetector(self._options.duplicates, self._options.scene_cut)
        self._last_frame: EncodedFrame | None = None
        self._last_flow: Tensor | None = None
        self._last_luma: Tensor | None = None
        self._before_cut: tuple[EncodedFrame, Tensor | None] | None = None
        """Frame and luma before a cut that the next frame may withdraw."""
        self._correlation_mode: str = self._options.correlation

    def __call__(
        self, frame_rgb: npt.NDArray[np.uint8], *, full_resolution: bool = True, confidence: bool = False
    ) -> FlowResult | None:
        """Estimate the flow from the previous frame to this one.

        A run begins with the session, after `reset()`, and with a frame of another size than the last.

        Args:
            frame_rgb: (H, W, 3) uint8 RGB, any size from 1x1. It is not kept.
            full_resolution: whether `flow_px` is wanted; the grid alone is cheaper.
            confidence: whether `confidence` is wanted; it also estimates the flow back, twice the iterations.

        Returns:
            The flow, or None for the first frame of a run.

        Raises:
            TypeError: not a NumPy array.
            ValueError: another dtype or shape.
        """
        return estimate_together([FrameRequest(self, frame_rgb, full_resolution, confidence)])[0]

    def reset(self) -> None:
        """End the run, as after a gap: the next frame is the first of a new one."""
        self._changes.reset()
        self._last_frame = self._last_flow = self._last_luma = self._before_cut = None

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
            correlation=self._correlation_mode,
            update_loop="recorded" if self._update_loop.recorded else "eager",
            cpu_threads=torch.get_num_threads(),
            fallbacks=() if choice.fallback is None else (choice.fallback,),
        )

    def _prepare(self, request: "FrameRequest") -> "FlowResult | _Step":
        """The result of a frame that needs no network, or what the network has to do."""
        check_rgb(request.frame_rgb)
        height, width = request.frame_rgb.shape[:2]
        padding = Padding.for_size(height, width)
        change = self._changes.judge(request.frame_rgb)
        if change == "duplicate" and self._last_frame is not None:
            return zero_result(padding, height, width, request.full_resolution, request.confidence)
        image = to_network_input(request.frame_rgb, padding, self._update_loop.device)
        return _Step(request, self, self._update_loop, image, padding, change)

    def _pair(self, step: "_Step", encoded: EncodedFrame) -> "_Pair | None":
        """Move on to a frame. None: it is the first of a run."""
        last_frame, self._last_frame = self._last_frame, encoded
        crop = step.padding.crop(step.image)
        luma = luma_of(step.image, crop) if self._options.variational_refinement else None
        last_luma, self._last_luma = self._last_luma, luma
        before_cut, self._before_cut = self._before_cut, None
        if step.change == "first" or last_frame is None:
            self._last_flow = None
            return None
        start: Start = "cold"
        if step.change == "scene_cut":
            start, self._before_cut = "scene_cut", (last_frame, last_luma)
        elif step.change == "resumed" and before_cut is not None:
            start, (last_frame, last_luma) = "resumed", before_cut
        elif self._options.warm_start != "never" and self._last_flow is not None:
            start = "warm"
        options = self._options_for(start)
        self._correlation_mode = self._update_loop.correlation_mode(encoded.features, options, step.request.confidence)
        lumas = None if last_luma is None or luma is None else (last_luma, luma)
        return _Pair(step, last_frame, encoded, self._last_flow if start == "warm" else None, start, options, lumas)

    def _options_for(self, start: Start) -> FlowOptions:
        """Of a pair. The stream goes on from the flow of a cold start, which is worth more iterations."""
        options = self._options
        if start == "scene_cut":
            return replace(options, warm_start="never")
        if start in ("cold", "resumed") and options.warm_start != "never":
            return replace(options, iterations=max(options.iterations, options.cold_iterations))
        return options

    def _finish(self, pair: "_Pair", coarse: CoarseFlow, back: Tensor | None) -> FlowResult:
        """The result of a pair, from a batch of one; `back` is the flow from the later frame, in cells."""
        self._last_flow = None if pair.start == "scene_cut" else coarse.flow
        grid_px = CELL_PX * coarse.flow
        trusted = None if back is None else round_trip_confidence(grid_px, CELL_PX * back)[0].cpu().numpy()
        padding, full_resolution = pair.step.padding, pair.step.request.full_resolution
        flow_px = None
        if pair.lumas is not None and not full_resolution and self._options.grid_refinement == "half":
            earlier, later = pair.lumas
            grid_px = refined_grid(padding.pad(earlier), padding.pad(later), grid_px)
        elif full_resolution or pair.lumas is not None:
            fine_px = self._update_loop.model.upsample(coarse, padding.crop(pair.step.image))
            if pair.lumas is not None:
                fine_px = refine_on_images(*pair.lumas, fine_px)
                grid_px = F.avg_pool2d(padding.pad(fine_px), CELL_PX)
            flow_px = _to_array(fine_px) if full_resolution else None
        return FlowResult(_to_array(grid_px), flow_px, pair.start, coarse.iterations, padding, trusted)


@dataclass(frozen=True)
class FrameRequest:
    """The next frame of a session, and what is wanted: the arguments of `FlowSession.__call__`."""

    session: FlowSession
    frame_rgb: npt.NDArray[np.uint8]
    full_resolution: bool = True
    confidence: bool = False


@dataclass(frozen=True)
class _Step:
    """A frame that the network has to encode."""

    request: FrameRequest
    session: FlowSession
    update_loop: UpdateLoop
    image: Tensor
    padding: Padding
    change: Change


@dataclass(frozen=True)
class _Pair:
    """Two encoded frames whose flow the network has to estimate."""

    step: _Step
    earlier: EncodedFrame
    later: EncodedFrame
    last_flow: Tensor | None
    start: Start
    options: FlowOptions
    lumas: tuple[Tensor, Tensor] | None
    """Of the two frames, where the flow is refined on them."""

    def key(self) -> Hashable:
        """What pairs must agree in to share a pass."""
        step = self.step
        kind = (self.options, step.request.confidence, self.last_flow is None)
        return id(step.update_loop), step.image.shape, *kind


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
    prepared = [request.session._prepare(request) for request in requests]
    results = {number: result for number, result in enumerate(prepared) if isinstance(result, FlowResult)}
    steps = {number: step for number, step in enumerate(prepared) if isinstance(step, _Step)}
    pairs: dict[int, _Pair] = {}
    for numbers in grouped(steps, lambda step: (id(step.update_loop), step.image.shape)):
        encoded = steps[numbers[0]].update_loop.model.encode(batch([steps[number].image for number in numbers]))
        for place, number in enumerate(numbers):
            step = steps[number]
            pair = step.session._pair(step, item_of(encoded, place))
            if pair is not None:
                pairs[number] = pair
    for numbers in grouped(pairs, _Pair.key):
        results |= dict(zip(numbers, _estimate([pairs[number] for number in numbers]), strict=True))
    return [results.get(number) for number in range(len(requests))]


def _estimate(pairs: list[_Pair]) -> Iterator[FlowResult]:
    """The results of pairs with the same key."""
    count, first = len(pairs), pairs[0]
    flows = [pair.last_flow for pair in pairs if pair.last_flow is not None]
    earlier = join([pair.earlier for pair in pairs])
    later = join([pair.later for pair in pairs])
    both_ways = first.step.request.confidence
    coarse = first.step.update_loop(earlier, later, batch(flows) if flows else None, first.options, both_ways=both_ways)
    for place, pair in enumerate(pairs):
        flow, hidden, guide = (part[place : place + 1] for part in (coarse.flow, coarse.hidden, coarse.guide))
        own = CoarseFlow(flow, hidden, guide, coarse.iterations)
        back = coarse.flow[count + place : count + place + 1] if both_ways else None
        yield pair.step.session._finish(pair, own, back)


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


def _to_array(flow: Tensor) -> npt.NDArray[np.float32]:
    return flow[0].permute(1, 2, 0).contiguous().cpu().numpy()


def _device_name(device: torch.device) -> str:
    return f"{device} ({torch.cuda.get_device_name(device)})" if device.type == "cuda" else str(device)

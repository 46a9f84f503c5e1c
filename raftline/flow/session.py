"""Flow of a stream, frame after frame: each is encoded once and matched with the one before it.

Several streams of one size can be taken a step further in one pass of the network (`estimate_together`).
"""

from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from raftline.flow.confidence import round_trip_confidence
from raftline.flow.options import SessionOptions
from raftline.flow.result import FlowResult, SessionStatus, Start, zero_result
from raftline.flow.scene_change import Change, ChangeDetector
from raftline.flow.update_loop import UpdateLoop, UpdateOptions
from raftline.flow.variational import luma_of, refine_in_pictures
from raftline.kernels.cell import CELL_PX
from raftline.kernels.choice import kernel_choice
from raftline.raft.model import CoarseFlow, EncodedFrame
from raftline.raft.padding import Padding
from raftline.raft.preprocess import check_rgb, to_network_input

T = TypeVar("T")


class FlowSession:
    """RAFT over one stream. Holds the last frame's features and the last flow; the network is shared.

    With `warm_start` never, and `region_matching`, `variational_refinement` and `early_stop_px` off, the flow of each
    pair is that of the model called on the pair.

    Args:
        update_loop: the network on the device to run on (`raftline.flow.estimators.open_raft`).
        options: see SessionOptions.
    """

    def __init__(self, update_loop: UpdateLoop, options: SessionOptions | None = None) -> None:
        self._update_loop = update_loop
        self._options = options or SessionOptions()
        self._changes = ChangeDetector(self._options.duplicate_threshold, self._options.scene_cut_threshold)
        self._last_frame: EncodedFrame | None = None
        self._last_flow: Tensor | None = None
        self._last_luma: Tensor | None = None
        self._held: str = self._options.correlation

    def __call__(
        self, frame_rgb: npt.NDArray[np.uint8], full_resolution: bool = True, confidence: bool = False
    ) -> FlowResult | None:
        """Flow from the previous frame to this one, or None for the first frame of a run.

        A run begins with the session, after `reset()`, and with a frame of another size than the last.

        Args:
            frame_rgb: (H, W, 3) uint8, any size from 1x1. It is not kept.
            full_resolution: whether `flow_px` is wanted; the grid alone is cheaper.
            confidence: whether `confidence` is wanted; it takes the flow back as well, twice the iterations.

        Raises:
            ValueError: another dtype or shape.
        """
        return estimate_together([FrameRequest(self, frame_rgb, full_resolution, confidence)])[0]

    def reset(self) -> None:
        """End the run: after a gap the next frame is a first one."""
        self._changes.reset()
        self._last_frame = self._last_flow = self._last_luma = None

    @property
    def batching_pays(self) -> bool:
        """Whether `estimate_together` is faster than one call after the other: on a GPU, which one stream of common
        size does not fill. On a CPU a batch takes as long as its frames, and the first would wait for the last."""
        return self._update_loop.device.type == "cuda"

    @property
    def status(self) -> SessionStatus:
        """What this session runs on."""
        device = self._update_loop.device
        choice = kernel_choice(device)
        return SessionStatus(
            estimator=f"raft-{self._update_loop.model.architecture}",
            device=_device_name(device),
            precision=self._update_loop.model.precision.name,
            lookup=choice.name,
            correlation=self._held,
            update_loop="recorded" if self._update_loop.recorded else "eager",
            cpu_threads=torch.get_num_threads(),
            fallbacks=() if choice.fallback is None else (choice.fallback,),
        )

    def _look(self, request: "FrameRequest") -> "FlowResult | _Step":
        """What a frame needs no network for; otherwise what the network is to do."""
        check_rgb(request.frame_rgb)
        height, width = request.frame_rgb.shape[:2]
        padding = Padding.for_size(height, width)
        change = self._changes.judge(request.frame_rgb)
        if change == "duplicate" and self._last_frame is not None:
            return zero_result(padding, height, width, request.full_resolution, request.confidence)
        image = to_network_input(request.frame_rgb, padding, self._update_loop.device)
        return _Step(request, self, self._update_loop, image, padding, change)

    def _pair(self, step: "_Step", encoded: EncodedFrame) -> "_Pair | None":
        """Move on to a frame; None where it is the first of a run."""
        last_frame, self._last_frame = self._last_frame, encoded
        luma = luma_of(step.image, step.padding.crop(step.image)) if self._options.variational_refinement else None
        last_luma, self._last_luma = self._last_luma, luma
        if step.change == "first" or last_frame is None:
            self._last_flow = None
            return None
        start: Start = "cold"
        if step.change == "scene_cut":
            start = "scene_cut"
        elif self._options.warm_start != "never" and self._last_flow is not None:
            start = "warm"
        options = UpdateOptions(
            self._iterations(start),
            self._options.early_stop_px,
            self._options.correlation,
            "never" if start == "scene_cut" else self._options.warm_start,
            step.request.confidence,
            self._options.region_matching,
        )
        self._held = self._update_loop.correlation_mode(encoded.features, options)
        lumas = None if last_luma is None or luma is None else (last_luma, luma)
        return _Pair(step, last_frame, encoded, self._last_flow if start == "warm" else None, start, options, lumas)

    def _iterations(self, start: Start) -> int:
        """Of a pair; what a stream begins with is carried on, so it is worth more of them."""
        wanted = self._options
        if start == "cold" and wanted.warm_start != "never":
            return max(wanted.iterations, wanted.cold_iterations)
        return wanted.iterations

    def _finish(self, pair: "_Pair", refined: CoarseFlow, back: Tensor | None) -> FlowResult:
        """The result of a pair, from a batch of one; `back` is the flow from the later frame, in cells."""
        self._last_flow = None if pair.start == "scene_cut" else refined.flow
        grid_px = CELL_PX * refined.flow
        trusted = None if back is None else round_trip_confidence(grid_px, CELL_PX * back)[0].cpu().numpy()
        padding, full_resolution = pair.step.padding, pair.step.request.full_resolution
        flow_px = None
        if full_resolution or pair.lumas is not None:
            fine_px = self._update_loop.model.upsample(refined, padding.crop(pair.step.image))
            if pair.lumas is not None:
                fine_px = refine_in_pictures(*pair.lumas, fine_px)
                grid_px = F.avg_pool2d(padding.pad(fine_px), CELL_PX)
            flow_px = _to_array(fine_px) if full_resolution else None
        return FlowResult(_to_array(grid_px), flow_px, pair.start, refined.iterations, padding, trusted)


@dataclass(frozen=True)
class FrameRequest:
    """The next frame of a session, and what is wanted of it: the arguments of `FlowSession.__call__`."""

    session: FlowSession
    frame_rgb: npt.NDArray[np.uint8]
    full_resolution: bool = True
    confidence: bool = False


@dataclass(frozen=True)
class _Step:
    request: FrameRequest
    session: FlowSession
    update_loop: UpdateLoop
    image: Tensor
    padding: Padding
    change: Change


@dataclass(frozen=True)
class _Pair:
    step: _Step
    earlier: EncodedFrame
    later: EncodedFrame
    last_flow: Tensor | None
    start: Start
    options: UpdateOptions
    lumas: tuple[Tensor, Tensor] | None
    """Of the two pictures, where the flow is to be brought nearer to them."""


@torch.inference_mode()
def estimate_together(requests: Sequence[FrameRequest]) -> list[FlowResult | None]:
    """Take several sessions one frame further, in as few passes of the network as their sizes and options allow.

    Returns:
        What each session's call would have returned, up to the arithmetic's order within a batch.

    Raises:
        ValueError: a frame of another dtype or shape than `FlowSession.__call__` takes; a session named twice.
    """
    if len({id(request.session) for request in requests}) < len(requests):
        raise ValueError("requests: a session can take one frame at a time, but one is named twice")
    looked = [request.session._look(request) for request in requests]
    results = {number: result for number, result in enumerate(looked) if isinstance(result, FlowResult)}
    steps = {number: step for number, step in enumerate(looked) if isinstance(step, _Step)}
    pairs: dict[int, _Pair] = {}
    for numbers in _alike(steps, lambda step: (id(step.update_loop), step.image.shape)):
        encoded = steps[numbers[0]].update_loop.model.encode(_batch([steps[number].image for number in numbers]))
        for place, number in enumerate(numbers):
            step = steps[number]
            pair = step.session._pair(step, _item(encoded, place))
            if pair is not None:
                pairs[number] = pair
    for numbers in _alike(
        pairs, lambda pair: (id(pair.step.update_loop), pair.step.image.shape, pair.options, pair.last_flow is None)
    ):
        results |= dict(zip(numbers, _refine([pairs[number] for number in numbers]), strict=True))
    return [results.get(number) for number in range(len(requests))]


def _refine(pairs: list[_Pair]) -> Iterator[FlowResult]:
    """The results of pairs that agree in network, size, options and kind of start."""
    count, first = len(pairs), pairs[0]
    flows = [pair.last_flow for pair in pairs if pair.last_flow is not None]
    earlier = _join([pair.earlier for pair in pairs])
    later = _join([pair.later for pair in pairs])
    refined = first.step.update_loop(earlier, later, _batch(flows) if flows else None, first.options)
    for place, pair in enumerate(pairs):
        flow, hidden, guide = (part[place : place + 1] for part in (refined.flow, refined.hidden, refined.guide))
        own = CoarseFlow(flow, hidden, guide, refined.iterations)
        back = refined.flow[count + place : count + place + 1] if first.options.both_ways else None
        yield pair.step.session._finish(pair, own, back)


def _alike(items: Mapping[int, T], key: Callable[[T], Hashable]) -> list[list[int]]:
    """The numbers of the items, those with the same key together."""
    groups: dict[Hashable, list[int]] = {}
    for number, item in items.items():
        groups.setdefault(key(item), []).append(number)
    return list(groups.values())


def _batch(tensors: list[Tensor]) -> Tensor:
    return tensors[0] if len(tensors) == 1 else torch.cat(tensors)


def _join(frames: list[EncodedFrame]) -> EncodedFrame:
    return EncodedFrame(*(_batch(list(parts)) for parts in zip(*frames, strict=True)))


def _item(frames: EncodedFrame, place: int) -> EncodedFrame:
    return EncodedFrame(*(part[place : place + 1] for part in frames))


def _to_array(flow: Tensor) -> npt.NDArray[np.float32]:
    return flow[0].permute(1, 2, 0).contiguous().cpu().numpy()


def _device_name(device: torch.device) -> str:
    return f"{device} ({torch.cuda.get_device_name(device)})" if device.type == "cuda" else str(device)

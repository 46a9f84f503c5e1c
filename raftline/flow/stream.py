"""One stream on its way through the network: each frame is encoded once and matched with the one before it."""

from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from raftline.flow.batches import batch, grouped, item_of, join
from raftline.flow.changed_part import Part
from raftline.flow.confidence import round_trip_confidence
from raftline.flow.grid import Cells, resampled, resampled_flow
from raftline.flow.half_size import unexplained_share
from raftline.flow.kept_tensors import kept_tensor, restored_tensor
from raftline.flow.options import FlowOptions
from raftline.flow.result import FlowResult, Start
from raftline.flow.step import Step
from raftline.flow.store import FlowStore, StoredFlow
from raftline.flow.update_loop import UpdateLoop
from raftline.flow.variational import refine_from_smaller, refine_on_images, refined_grid
from raftline.kernels.cell import CELL_PX
from raftline.raft.model import CoarseFlow, EncodedFrame
from raftline.raft.padding import Padding


class Stream:
    """What the next pair goes on from: the features, luma and flow of the last frame, all at one size.

    Args:
        update_loop: the network.
        options: see FlowOptions.
        store: where flow is looked for before it is estimated, and kept.
    """

    def __init__(self, update_loop: UpdateLoop, options: FlowOptions, store: FlowStore | None = None) -> None:
        self.update_loop = update_loop
        self._store = store
        self._options = options
        self.correlation_mode: str = options.correlation
        self.reset()

    def reset(self) -> None:
        """Forget the last frame."""
        self._last_frame: EncodedFrame | None = None
        self._last_image: Tensor | None = None
        """The network's input of the last frame, where there is a store: it is encoded when that is needed."""
        self._last_flow: Tensor | None = None
        self._flow_before: Tensor | None = None
        """The last flow that the last pair had to start from."""
        self._last_luma: Tensor | None = None
        self._last_cells: Cells | None = None
        self._last_part: Part | None = None
        self._before_cut: tuple[EncodedFrame, Tensor | None] | None = None
        """Frame and luma before a cut that the next frame may withdraw."""

    @property
    def has_begun(self) -> bool:
        """Whether there is a last frame."""
        return self._last_frame is not None or self._last_image is not None

    def full_state(self) -> dict[str, Any]:
        """All that the next pair depends on, as JSON values and arrays."""
        before = self._before_cut
        return {
            "frame": _kept_frame(self._last_encoded()),
            "flow": kept_tensor(self._last_flow),
            "luma": kept_tensor(self._last_luma),
            "cells": None if self._last_cells is None else list(self._last_cells),
            "part": self._last_part and list(self._last_part),
            "before_cut": None if before is None else [_kept_frame(before[0]), kept_tensor(before[1])],
        }

    def restore_full(self, state: Mapping[str, Any]) -> None:
        """Go on exactly where `full_state` was taken."""
        device = self.update_loop.device
        self._last_frame, self._last_image = _restored_frame(state["frame"], device), None
        self._last_flow = restored_tensor(state["flow"], device)
        self._last_luma = restored_tensor(state["luma"], device)
        self._last_cells = None if state["cells"] is None else Cells(*state["cells"])
        self._last_part = state["part"] and Part(*state["part"])
        frame, luma = state["before_cut"] or (None, None)
        before = _restored_frame(frame, device)
        self._before_cut = None if before is None else (before, restored_tensor(luma, device))

    def resize(self, step: Step, redo: bool = False) -> None:
        """Go on at another size, or with another part of the frames.

        Args:
            step: the last frame at that size, or that part of it. The last flow is resampled to it.
            redo: forget the flow of the last pair, which is estimated again; step is then the frame before it.
        """
        last_flow, last_cells, last_part = self._last_flow, self._last_cells, self._last_part
        if redo:
            last_flow = self._last_flow = self._flow_before
        self._before_cut = None
        self._move_on(step, self.update_loop.model.encode(step.image))
        if last_flow is not None and last_cells is not None:
            flow = _to_array(last_flow)
            whole = flow if last_part is None else last_part.placed(flow, last_cells)
            moved = torch.from_numpy(resampled_flow(whole, last_cells, step.cells)).permute(2, 0, 1)[None]
            self._last_flow = (moved if step.part is None else step.part.of(moved)).to(last_flow)

    def begin_at(
        self, frame_rgb: npt.NDArray[np.uint8], frame: tuple[int, ...], grid_px: npt.NDArray[np.float32] | None
    ) -> None:
        """Begin at a frame.

        Args:
            frame_rgb: uint8 (h, w, 3) RGB, the frame at the size to work at.
            frame: (H, W) of the frame itself.
            grid_px: (H', W', 2) in px of that: flow into it; None: not known.
        """
        self.reset()
        step = Step.of(frame_rgb, self, "first")
        self._move_on(step, None if self._store is not None else self.update_loop.model.encode(step.image))
        if grid_px is not None:
            height, width = frame
            cells = Cells.padded(height, width, Padding.for_size(height, width))
            flow = torch.from_numpy(resampled_flow(grid_px, cells, step.cells) / CELL_PX).permute(2, 0, 1)[None]
            self._last_flow = flow.to(step.image)

    def stored(self, step: "Step") -> FlowResult | None:
        """Move on to a frame whose flow is in the store; None: it is not."""
        if self._store is None or self._last_image is None or step.full_resolution or step.change != "continuous":
            return None
        found = self._store.get(_to_pixels(self._last_image), _to_pixels(step.image), step.confidence)
        if found is None:
            return None
        self._move_on(step, None)
        self._last_flow = self._before_cut = None
        return FlowResult(found.grid_px, None, found.start, found.iterations, step.padding, found.confidence)

    def pair(self, step: "Step", encoded: EncodedFrame) -> "_Pair | None":
        """Move on to a frame. None: it is the first of a run."""
        last_frame, last_luma, last_image = self._last_encoded(), self._last_luma, self._last_image
        self._move_on(step, encoded)
        luma = self._last_luma
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
        options = self._options_for(start, step.part)
        self.correlation_mode = self.update_loop.correlation_mode(encoded.features, options, step.confidence)
        lumas = None if last_luma is None or luma is None else (last_luma, luma)
        last_flow = self._last_flow if start == "warm" else None
        return _Pair(step, last_frame, encoded, last_flow, start, options, lumas, last_image)

    def finish(self, pair: "_Pair", coarse: CoarseFlow, back: Tensor | None) -> FlowResult:
        """The result of a pair, from a batch of one; `back` is the flow from the later frame, in cells."""
        step, self._flow_before = pair.step, pair.last_flow
        self._last_flow = None if pair.start == "scene_cut" else coarse.flow
        grid_px = CELL_PX * coarse.flow
        trusted = None if back is None else round_trip_confidence(grid_px, CELL_PX * back)[0].cpu().numpy()
        padding, flow_px, unexplained = step.padding, None, 0.0
        grid_alone = not step.full_resolution and step.whole is None
        if pair.lumas is not None and grid_alone and self._options.grid_refinement == "half":
            earlier, later = pair.lumas
            grid_px = refined_grid(padding.pad(earlier), padding.pad(later), grid_px)
        elif step.full_resolution or pair.lumas is not None:
            fine_px = self.update_loop.model.upsample(coarse, padding.crop(step.image))
            if pair.lumas is not None:
                refine = refine_on_images if step.whole is None else refine_from_smaller
                fine_px, padding = refine(*pair.lumas, fine_px), step.refined_padding
                unexplained = 0.0 if step.whole is None else unexplained_share(*pair.lumas, fine_px)
                grid_px = F.avg_pool2d(padding.pad(fine_px), CELL_PX)
            flow_px = _to_array(fine_px) if step.full_resolution else None
        result = FlowResult(_to_array(grid_px), flow_px, pair.start, coarse.iterations, padding, trusted)
        if step.whole is not None:
            trusted = None if trusted is None else resampled(trusted, step.cells, step.refined_cells)
            result = replace(result, confidence=trusted, unexplained=unexplained, scaled_down=True)
        self._keep(pair, result)
        return result

    def _keep(self, pair: "_Pair", result: FlowResult) -> None:
        if self._store is None or pair.earlier_image is None or pair.step.full_resolution:
            return
        if pair.start in ("cold", "warm"):
            flow = StoredFlow(result.grid_px, pair.start, result.iterations, result.confidence)
            self._store.put(_to_pixels(pair.earlier_image), _to_pixels(pair.step.image), flow)

    def _last_encoded(self) -> EncodedFrame | None:
        if self._last_frame is None and self._last_image is not None:
            self._last_frame = self.update_loop.model.encode(self._last_image)
        return self._last_frame

    def _move_on(self, step: "Step", encoded: EncodedFrame | None) -> None:
        self._last_frame, self._last_cells, self._last_part = encoded, step.cells, step.part
        self._last_image = step.image if self._store is not None and step.whole is None else None
        self._last_luma = step.luma if self._options.variational_refinement else None

    def _options_for(self, start: Start, part: Part | None) -> FlowOptions:
        """Of a pair. The stream goes on from the flow of a cold start, which is worth more iterations."""
        options = self._options
        if start == "scene_cut":
            return replace(options, warm_start="never")
        if start in ("cold", "resumed") and options.warm_start != "never":
            return replace(options, iterations=max(options.iterations, options.cold_iterations))
        fewer = options.changed_iterations or options.iterations
        return options if part is None else replace(options, iterations=min(options.iterations, fewer))


@dataclass(frozen=True)
class _Pair:
    """Two encoded frames whose flow the network has to estimate."""

    step: Step
    earlier: EncodedFrame
    later: EncodedFrame
    last_flow: Tensor | None
    start: Start
    options: FlowOptions
    lumas: tuple[Tensor, Tensor] | None
    """Of the two frames, where the flow is refined on them."""
    earlier_image: Tensor | None = None
    """The network's input of the earlier frame, where its flow is kept."""

    def key(self) -> Hashable:
        """What pairs must agree in to share a pass."""
        step = self.step
        kind = (self.options, step.confidence, self.last_flow is None, step.part is None)
        return id(step.stream.update_loop), step.image.shape, *kind


def estimate(steps: Mapping[int, Step]) -> dict[int, FlowResult]:
    """Take streams one frame further, in as few passes of the network as their sizes and options allow.

    Args:
        steps: by number, each of another stream.

    Returns:
        By number, without those whose frame is the first of a run.
    """
    stored = {number: step.stream.stored(step) for number, step in steps.items()}
    results = {number: result for number, result in stored.items() if result is not None}
    steps = {number: step for number, step in steps.items() if number not in results}
    pairs: dict[int, _Pair] = {}
    for numbers in grouped(steps, lambda step: (id(step.stream.update_loop), step.image.shape)):
        model = steps[numbers[0]].stream.update_loop.model
        encoded = model.encode(batch([steps[number].image for number in numbers]))
        for place, number in enumerate(numbers):
            pair = steps[number].stream.pair(steps[number], item_of(encoded, place))
            if pair is not None:
                pairs[number] = pair
    for numbers in grouped(pairs, _Pair.key):
        results |= dict(zip(numbers, _estimate([pairs[number] for number in numbers]), strict=True))
    return results


def _estimate(pairs: list[_Pair]) -> Iterator[FlowResult]:
    """The results of pairs with the same key."""
    count, first = len(pairs), pairs[0]
    flows = [pair.last_flow for pair in pairs if pair.last_flow is not None]
    earlier = join([pair.earlier for pair in pairs])
    later = join([pair.later for pair in pairs])
    last, both_ways, camera = batch(flows) if flows else None, first.step.confidence, first.step.part is None
    coarse = first.step.stream.update_loop(earlier, later, last, first.options, both_ways=both_ways, camera=camera)
    for place, pair in enumerate(pairs):
        flow, hidden, guide = (part[place : place + 1] for part in (coarse.flow, coarse.hidden, coarse.guide))
        own = CoarseFlow(flow, hidden, guide, coarse.iterations)
        back = coarse.flow[count + place : count + place + 1] if both_ways else None
        yield pair.step.stream.finish(pair, own, back)


def _kept_frame(frame: EncodedFrame | None) -> list[Any] | None:
    return None if frame is None else [kept_tensor(part) for part in frame]


def _restored_frame(kept: Sequence[Any] | None, device: torch.device) -> EncodedFrame | None:
    return None if kept is None else EncodedFrame(*(restored_tensor(part, device) for part in kept))


def _to_pixels(image: Tensor) -> npt.NDArray[np.float32]:
    return image.detach().cpu().numpy()


def _to_array(flow: Tensor) -> npt.NDArray[np.float32]:
    return flow[0].permute(1, 2, 0).contiguous().cpu().numpy()

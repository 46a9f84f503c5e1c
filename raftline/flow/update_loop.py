"""From encoded frames to refined flow: which correlation, which start, a second look; on a GPU from a recording."""

from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from raftline.flow.cuda_graph import Capture, GraphPool
from raftline.flow.options import WarmStart
from raftline.flow.region_matching import match_regions
from raftline.flow.warm_start import choose_start
from raftline.kernels.cell import CELL_PX
from raftline.kernels.forward_splat import forward_splat
from raftline.raft.correlation import CorrelationChoice, CorrelationMode, choose_correlation, correlate
from raftline.raft.model import CoarseFlow, EncodedFrame, PairTerms, Raft, UpdateState

_RECORDINGS = 8
"""Shapes whose recordings are kept; each holds the memory of its correlation."""


@dataclass(frozen=True)
class UpdateOptions:
    """What the iterations of a pair depend on. Pairs that agree in all of it can share a pass."""

    iterations: int
    early_stop_px: float | None = None
    """Stop when the mean update of every pair is shorter; None runs all iterations."""
    correlation: CorrelationChoice = "auto"
    warm_start: WarmStart = "never"
    both_ways: bool = False
    """Also the flow from the later frame to the earlier one."""
    region_matching: bool = False
    """After the first iteration, if others follow, look for regions where their flow does not lead
    (`raftline.flow.region_matching`)."""


_Begin = Callable[..., tuple[PairTerms, UpdateState]]
_Step = Callable[[PairTerms, UpdateState], UpdateState]
_LookAgain = Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]


class UpdateLoop:
    """The iterations of one model.

    Args:
        new_capture: makes what records one shape's work; None runs every operation as it comes. By default recordings
            are made where the model is on a GPU: an iteration is dozens of launches, a replay one.
    """

    def __init__(self, model: Raft, new_capture: Callable[[], Capture] | None = None) -> None:
        self._model = model
        self._device = next(model.parameters()).device
        self._new_capture = GraphPool if new_capture is None and self._device.type == "cuda" else new_capture
        self._recordings: OrderedDict[object, _Recording] = OrderedDict()
        self._modes: dict[object, CorrelationMode] = {}

    @property
    def model(self) -> Raft:
        """The network, in eval mode."""
        return self._model

    @property
    def device(self) -> torch.device:
        """Where the network is."""
        return self._device

    @property
    def recorded(self) -> bool:
        """Whether the iterations are replayed from a recording."""
        return self._new_capture is not None

    def __call__(
        self, earlier: EncodedFrame, later: EncodedFrame, last_flow: Tensor | None, options: UpdateOptions
    ) -> CoarseFlow:
        """Refine the flow of B pairs.

        Args:
            last_flow: (B, 2, H/8, W/8) in cells, the flow of the pair before each, for a warm start; None: there is
                none.

        Returns:
            B flows; with `both_ways` 2B, the later half from the later frames to the earlier.
        """
        mode = self.correlation_mode(earlier.features, options)
        tensors = [*earlier, *later] if last_flow is None else [*earlier, *later, last_flow]
        begin = partial(self._begin, mode, options)
        step: _Step = self._model.step
        look_again: _LookAgain = _look_again
        if self._new_capture is not None:
            recording = self._recording(begin, tensors, self._new_capture, mode, options)
            begin, step, look_again = recording.begin, recording.step, recording.look_again
        terms, state = begin(*tensors)
        done = 0
        while done < options.iterations:
            if done == 1 and options.region_matching:
                coords = look_again(state.coords, terms.origin, earlier.features, later.features)
                state = state._replace(coords=coords)
            before = state.coords.clone() if options.early_stop_px is not None else state.coords
            state = step(terms, state)
            done += 1
            if options.early_stop_px is not None and _largest_mean_px(state.coords - before) < options.early_stop_px:
                break
        # A recording's outputs are overwritten by its next replay.
        hidden = state.hidden.clone() if self.recorded else state.hidden
        guide = torch.cat([earlier.guide, later.guide]) if options.both_ways else earlier.guide
        return CoarseFlow(state.coords - terms.origin, hidden, guide, done)

    def correlation_mode(self, features: Tensor, options: UpdateOptions) -> CorrelationMode:
        """How the correlation of features (B, C, H/8, W/8) is held; once chosen for a shape, it stays."""
        key = (features.shape, features.dtype, options.correlation, options.both_ways)
        if key not in self._modes:
            batch, _, height, width = features.shape
            pairs = 2 * batch if options.both_ways else batch
            self._modes[key] = choose_correlation(
                self._device, pairs, height, width, features.dtype, options.correlation
            )
        return self._modes[key]

    def _begin(self, mode: CorrelationMode, options: UpdateOptions, *tensors: Tensor) -> tuple[PairTerms, UpdateState]:
        earlier, later = _frames(tensors)
        last_flow = tensors[-1] if len(tensors) > len(earlier) + len(later) else None
        flow_init = _start(earlier, later, last_flow, options)
        radius = self._model.dimensions.radius
        correlation = correlate(earlier.features, later.features, radius, mode, options.both_ways)
        if options.both_ways:
            flow_init = (
                None if flow_init is None else torch.cat([flow_init, _start_back(earlier, later, flow_init, options)])
            )
            earlier = EncodedFrame(*(torch.cat(both) for both in zip(earlier, later, strict=True)))
        return self._model.begin(earlier, correlation, flow_init)

    def _recording(
        self,
        begin: _Begin,
        tensors: list[Tensor],
        new_capture: Callable[[], Capture],
        mode: CorrelationMode,
        options: UpdateOptions,
    ) -> "_Recording":
        key = (mode, options, *((tensor.shape, tensor.dtype) for tensor in tensors))
        if key not in self._recordings:
            capture = new_capture()
            recorded = capture(begin, tensors)
            terms, state = recorded(*tensors)
            step = capture(lambda *state: self._model.step(terms, UpdateState(*state)), state)
            look_again: _LookAgain = _look_again
            if options.region_matching:
                earlier, later = _frames(tensors)
                look_again = capture(_look_again, [state.coords, terms.origin, earlier.features, later.features])
            self._recordings[key] = _Recording(recorded, lambda _, state: step(*state), look_again)
            if len(self._recordings) > _RECORDINGS:
                self._recordings.popitem(last=False)
        self._recordings.move_to_end(key)
        return self._recordings[key]


@dataclass(frozen=True)
class _Recording:
    begin: _Begin
    step: _Step
    look_again: _LookAgain


def _frames(tensors: Sequence[Tensor]) -> tuple[EncodedFrame, EncodedFrame]:
    """The two that a recording was given the tensors of."""
    parts = len(EncodedFrame._fields)
    return EncodedFrame(*tensors[:parts]), EncodedFrame(*tensors[parts : 2 * parts])


def _look_again(coords: Tensor, origin: Tensor, earlier: Tensor, later: Tensor) -> Tensor:
    """Coordinates, of B or both ways 2B pairs, with what `match_regions` finds elsewhere moved there.

    earlier, later: (B, C, H/8, W/8) features.
    """
    if len(coords) > len(earlier):
        earlier, later = torch.cat([earlier, later]), torch.cat([later, earlier])
    return origin + match_regions(earlier, later, coords - origin).flow


def _start(
    earlier: EncodedFrame, later: EncodedFrame, last_flow: Tensor | None, options: UpdateOptions
) -> Tensor | None:
    """(B, 2, H/8, W/8) in cells; None for zero."""
    if options.warm_start == "chosen":
        return choose_start(earlier.features, later.features, options.iterations, last_flow).flow
    if options.warm_start == "always" and last_flow is not None:
        return forward_splat(last_flow).flow
    return None


def _start_back(earlier: EncodedFrame, later: EncodedFrame, flow_init: Tensor, options: UpdateOptions) -> Tensor:
    """Where the flow from the later frame begins, in cells: chosen by that pair itself, or the way there turned."""
    if options.warm_start == "chosen":
        return choose_start(later.features, earlier.features, options.iterations).flow
    return -forward_splat(flow_init).flow


def _largest_mean_px(flow: Tensor) -> float:
    """(B, 2, H/8, W/8) cells -> the mean length in px of the one of the B where it is largest."""
    return CELL_PX * float(flow.norm(dim=1).flatten(1).mean(dim=1).max())

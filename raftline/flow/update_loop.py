"""The update loop of a pair of encoded frames: correlation, start, iterations, region matching.

On a GPU it is recorded once per shape as CUDA graphs and replayed.
"""

from collections import OrderedDict
from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from raftline.flow.cuda_graph import Capture, GraphPool
from raftline.flow.options import FlowOptions
from raftline.flow.region_matching import match_regions
from raftline.flow.warm_start import choose_start
from raftline.kernels.cell import CELL_PX
from raftline.kernels.forward_splat import forward_splat
from raftline.raft.choices import CorrelationMode
from raftline.raft.correlation import choose_correlation, correlate
from raftline.raft.model import CoarseFlow, EncodedFrame, PairTerms, Raft, UpdateState

_RECORDINGS = 8
"""Shapes whose recordings are kept, each with the memory of its correlation. Chosen by hand: a process rarely sees more
sizes, batches and kinds of start than that at a time."""

_REGION = 4
"""Side of the regions that are looked at before the updates stop early, cells: 32 px, a small object."""
_REGION_MOVES = 5
"""Times the `early_stop_px` by which a region may still move. By the mean of the frame alone what is small and fast is
cut off: of 12 updates 5.3 are run with 0.1 px and synthetic clips, whose objects are small, lose 11 %; by both 8.3 and
2 % (`python -m benchmarks.bench_early_stop`)."""

_Begin = Callable[..., tuple[PairTerms, UpdateState]]
_Step = Callable[[PairTerms, UpdateState], UpdateState]
_Rematch = Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]


class _Job(NamedTuple):
    """How the pairs of a call are estimated."""

    options: FlowOptions
    mode: CorrelationMode
    both_ways: bool
    camera: bool


class _Operations(NamedTuple):
    """The parts of a call: as they are, or recorded."""

    begin: _Begin
    step: _Step
    rematch: _Rematch


class UpdateLoop:
    """The iterations of one model. Give the same loop to as many sessions as there are sources.

    Args:
        model: in eval mode, on the device to run on.
        new_capture: makes what records one shape's work; None runs every operation as it comes. By default recordings
            are made where the model is on a GPU: an iteration is dozens of launches, a replay one.
    """

    def __init__(self, model: Raft, new_capture: Callable[[], Capture] | None = None) -> None:
        self._model = model
        self._device = next(model.parameters()).device
        self._new_capture = GraphPool if new_capture is None and self._device.type == "cuda" else new_capture
        self._recordings: OrderedDict[object, _Operations] = OrderedDict()
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
        self,
        earlier: EncodedFrame,
        later: EncodedFrame,
        last_flow: Tensor | None,
        options: FlowOptions,
        *,
        both_ways: bool = False,
        camera: bool = True,
    ) -> CoarseFlow:
        """Estimate the flow of B pairs on the 1/8 grid.

        Args:
            earlier, later: the encoded frames of B pairs.
            last_flow: (B, 2, H/8, W/8) in cells, the flow of the pair before each, for a warm start; None: there is
                none.
            options: their iterations, early_stop_px, correlation, warm_start and region_matching are read.
            both_ways: also the flow from the later frame to the earlier one.
            camera: whether it may move; if not, an adaptive start does not look for its motion.

        Returns:
            B flows; with `both_ways` 2B, the later half from the later frames to the earlier.
        """
        job = _Job(options, self.correlation_mode(earlier.features, options, both_ways), both_ways, camera)
        tensors = [*earlier, *later] if last_flow is None else [*earlier, *later, last_flow]
        begin, step, rematch = self._operations(job, tensors)
        terms, state = begin(*tensors)
        done = 0
        while done < options.iterations:
            if done == 1 and options.region_matching:
                coords = rematch(state.coords, terms.origin, earlier.features, later.features)
                state = state._replace(coords=coords)
            before = state.coords.clone() if options.early_stop_px is not None else state.coords
            state = step(terms, state)
            done += 1
            if options.early_stop_px is not None and _left_to_gain_px(state.coords - before) < options.early_stop_px:
                break
        # A recording's outputs are overwritten by its next replay.
        hidden = state.hidden.clone() if self.recorded else state.hidden
        guide = torch.cat([earlier.guide, later.guide]) if both_ways else earlier.guide
        return CoarseFlow(state.coords - terms.origin, hidden, guide, done)

    def correlation_mode(self, features: Tensor, options: FlowOptions, both_ways: bool = False) -> CorrelationMode:
        """How the correlation of features (B, C, H/8, W/8) is held; once chosen for a shape, it stays."""
        key = (features.shape, features.dtype, options.correlation, both_ways)
        if key not in self._modes:
            batch, _, height, width = features.shape
            pairs = 2 * batch if both_ways else batch
            self._modes[key] = choose_correlation(
                self._device, pairs, height, width, features.dtype, options.correlation
            )
        return self._modes[key]

    def _begin(self, job: _Job, *tensors: Tensor) -> tuple[PairTerms, UpdateState]:
        earlier, later = _frames(tensors)
        last_flow = tensors[-1] if len(tensors) > len(earlier) + len(later) else None
        flow_init = _start(earlier, later, last_flow, job)
        radius = self._model.dimensions.radius
        correlation = correlate(earlier.features, later.features, radius, job.mode, job.both_ways)
        if job.both_ways:
            if flow_init is not None:
                flow_init = torch.cat([flow_init, _start_back(earlier, later, flow_init, job)])
            earlier = EncodedFrame(*(torch.cat(both) for both in zip(earlier, later, strict=True)))
        return self._model.begin(earlier, correlation, flow_init)

    def _operations(self, job: _Job, tensors: list[Tensor]) -> _Operations:
        """As they are, or from the recording of these shapes, which is made first where there is none."""
        begin = partial(self._begin, job)
        if self._new_capture is None:
            return _Operations(begin, self._model.step, _rematch)
        key = (job, *((tensor.shape, tensor.dtype) for tensor in tensors))
        if key not in self._recordings:
            self._recordings[key] = self._record(begin, tensors, self._new_capture(), job.options.region_matching)
            if len(self._recordings) > _RECORDINGS:
                self._recordings.popitem(last=False)
        self._recordings.move_to_end(key)
        return self._recordings[key]

    def _record(self, begin: _Begin, tensors: list[Tensor], capture: Capture, region_matching: bool) -> _Operations:
        recorded = capture(begin, tensors)
        terms, state = recorded(*tensors)
        step = capture(lambda *state: self._model.step(terms, UpdateState(*state)), state)
        rematch: _Rematch = _rematch
        if region_matching:
            earlier, later = _frames(tensors)
            rematch = capture(_rematch, [state.coords, terms.origin, earlier.features, later.features])
        return _Operations(recorded, lambda _, state: step(*state), rematch)


def _frames(tensors: Sequence[Tensor]) -> tuple[EncodedFrame, EncodedFrame]:
    """The two that a recording was given the tensors of."""
    parts = len(EncodedFrame._fields)
    return EncodedFrame(*tensors[:parts]), EncodedFrame(*tensors[parts : 2 * parts])


def _rematch(coords: Tensor, origin: Tensor, earlier: Tensor, later: Tensor) -> Tensor:
    """Coordinates, of B or both ways 2B pairs, with the regions moved that `match_regions` finds elsewhere.

    earlier, later: (B, C, H/8, W/8) features.
    """
    if len(coords) > len(earlier):
        earlier, later = torch.cat([earlier, later]), torch.cat([later, earlier])
    return origin + match_regions(earlier, later, coords - origin).flow


def _start(earlier: EncodedFrame, later: EncodedFrame, last_flow: Tensor | None, job: _Job) -> Tensor | None:
    """(B, 2, H/8, W/8) in cells; None for zero."""
    if job.options.warm_start == "adaptive":
        updates = job.options.iterations
        return choose_start(earlier.features, later.features, updates, last_flow, camera=job.camera).flow
    if job.options.warm_start == "always" and last_flow is not None:
        return forward_splat(last_flow).flow
    return None


def _start_back(earlier: EncodedFrame, later: EncodedFrame, flow_init: Tensor, job: _Job) -> Tensor:
    """Where the flow from the later frame starts, in cells: adaptive by that pair itself, else the way there turned."""
    if job.options.warm_start == "adaptive":
        return choose_start(later.features, earlier.features, job.options.iterations, camera=job.camera).flow
    return -forward_splat(flow_init).flow


def _left_to_gain_px(update: Tensor) -> float:
    """(B, 2, H/8, W/8) cells -> px: the mean length of the update of the pair that moves most; a region counts for a
    tenth."""
    length = update.norm(dim=1, keepdim=True)
    frame = length.mean(dim=(2, 3)).max()
    region = F.avg_pool2d(length, min(_REGION, *length.shape[-2:]), ceil_mode=True).max()
    return CELL_PX * float(torch.maximum(frame, region / _REGION_MOVES))

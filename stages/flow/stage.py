"""Estimates dense optical flow from frame to frame."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from pipeline import stage
from pipeline.errors import ConfigError, WeightsError
from pipeline.messages import EndOfStream, Flow, FlowStart, Frame, Gap, Message
from pipeline.sections import Sections
from pipeline.segments import ComputesAhead, WorksInSections
from raftline.flow.accuracy import may_use_gpu
from raftline.flow.dis import DisSession
from raftline.flow.estimators import open_session
from raftline.flow.grid import working_size
from raftline.flow.options import FlowOptions
from raftline.flow.result import FlowResult, SessionStatus
from raftline.flow.stillness import StillnessDetector
from raftline.raft.weights import errors as raft_weights
from stages.flow.chosen import chosen, may_need_no_network, modules_of_network, network_of, opens_network_late
from stages.flow.flow_messages import Place, cut_message, flow_message, zero_message
from stages.flow.options import Options as FlowStageOptions
from stages.flow.said import said_accuracy, said_session, said_settings, said_small_size
from stages.flow.stored_flow import opened_store, say_trouble
from stages.shared.color import gray, rgb

if TYPE_CHECKING:
    from raftline.flow.store import FlowStore

_TOGETHER = 8
"""Sources that share a pass at most: a frame may wait for as long as all of them take. Chosen by hand."""


class OpticalFlow(stage.Stage, ComputesAhead, WorksInSections):
    """One Flow for every frame: where the content of the previous frame went.

    The first frame, the first after a gap or a change of size, and a frame after a scene cut have no flow. A frame that
    seems to be the first after a cut waits for the next one: if that goes on from the frame before it, there was no
    cut, and the flow passes over the stray frame. While nothing changes in view of a camera that stands, flow is zero
    and nothing is estimated.
    After a crash a file's flow goes on as if nothing had been; a camera's goes on from the previous frame, which is
    delivered again, with a cold start.
    """

    Options = FlowStageOptions

    reads = (Frame,)
    writes = Flow
    takes_10_bits = True
    work = 10.0

    @classmethod
    def modules(cls, given: Mapping[str, Any]) -> Iterable[str]:
        network = modules_of_network(given) if given.get("estimator", "auto") == "raft" else ()
        return ("raftline.kernels.ahead.flow", *network)

    @classmethod
    def modules_for(cls, given: Mapping[str, Any], demand: stage.Demand) -> Iterable[str]:
        return cls.modules({} if may_need_no_network(given, demand) else given)

    @classmethod
    def in_one_process(cls, options: Any) -> bool:
        return options.estimator != "dis" and may_use_gpu(options.device)

    @classmethod
    def ahead(cls, options: Any, needs: frozenset[str], folder: str) -> Mapping[str, Any] | None:
        return None if "flow" in needs or options.store is not None else {"store": folder}

    @classmethod
    def sections(cls, options: Any) -> Sections | None:
        return Sections.of_minutes(options.section_minutes)

    @classmethod
    def ahead_stage(cls) -> str:
        return "stages.flow:FlowAhead"

    def __init__(self, options: Any, context: stage.Context) -> None:
        super().__init__(options, context)
        self._store: FlowStore | None = None
        self._previous: Place | None = None
        self._before: Place | None = None
        """The frame before the previous one."""
        self._cut: tuple[Place, Flow] | None = None
        """The frame before a cut, and the message of the cut, which the next frame may withdraw."""
        self._ahead: tuple[Frame, FlowResult | None] | None = None
        self._looked: tuple[Frame, bool] | None = None
        """The last frame, and whether it is still."""
        self._skipped: Frame | None = None
        """The last frame, if it was still: the session has not seen it. It is in the unacknowledged window."""
        self._begun: int | None = None
        """The last section whose run-up has begun."""
        self._last = (0, -1)
        """Epoch and sequence of the last message in the state."""
        self._again: Mapping[str, Any] = {}
        """What a restored state says of the last frame."""

    def open(self) -> None:
        self._accuracy, given = chosen(self.options, self.context.demand)
        self._sections = Sections.of_minutes(given.pop("section_minutes"))
        self._max_side_px, still_seconds = given.pop("max_side_px"), given.pop("still_seconds")
        folder = given.pop("store")
        parts = given["only_changed"] and given["estimator"] == "raft"
        self._stillness = None if still_seconds is None else StillnessDetector(still_seconds, finds_changed=parts)
        try:
            options = self._flow_options = FlowOptions(**given)
            network = partial(network_of, options, self.context)
            if options.estimator == "raft" and not opens_network_late(options):
                network()
            self._store = None if folder is None else opened_store(folder, options, network)
            self._session = open_session(options, network, self._store)
        except raft_weights.WeightsError as error:
            raise WeightsError(f"stage {self.context.stage!r}: {error}") from error
        except ValueError as error:
            raise ConfigError(f"stage {self.context.stage!r}: {error}") from error
        self._said: SessionStatus | None = None
        self._say_status()

    @classmethod
    def prepare_batch(cls, waiting: Sequence[tuple[stage.Stage, Message]]) -> None:
        """On a GPU the frames of up to 8 sources share a pass of the network."""
        frames = [(each, it) for each, it in waiting if isinstance(each, OpticalFlow) and isinstance(it, Frame)]
        if all(each._flow_options.estimator != "raft" for each, _ in frames):
            return
        from raftline.flow.session import FlowSession, FrameRequest, estimate_together

        able = [
            (each, each._session, frame)
            for each, frame in frames
            if isinstance(each._session, FlowSession) and each._session.batching_pays and not each._is_still(frame)
        ]
        for begin in range(0, len(able), _TOGETHER):
            batch = able[begin : begin + _TOGETHER]
            for each, _, _ in batch:
                each._catch_up()
            requests = [
                FrameRequest(session, rgb(frame, each._worked(frame)), **each._wanted) for each, session, frame in batch
            ]
            for (each, _, frame), result in zip(batch, estimate_together(requests), strict=True):
                each._ahead = frame, result

    def process(self, message: Frame) -> Iterable[Message]:
        if (position := (message.header.epoch, message.header.sequence)) <= self._last:
            self._take_again(message, position)
            return
        self._last = position
        flow = self._flow(message)
        if self.context.policy == "lossless" and (begun := self._sections.begun(message.header)) is not None:
            if self._begun is not None and begun > self._begun:
                self._begin_anew(message)
            self._begun = begun
        yield from self._waiting_cut(withdrawn=flow.start == "resumed")
        if flow.start == "scene_cut" and self._before is not None:
            self._cut = self._before, flow
        else:
            yield self._counted(flow)

    def _flow(self, message: Frame) -> Flow:
        previous, self._previous, self._before = self._previous, Place.of(message), self._previous
        ahead, self._ahead = self._ahead, None
        if ahead is not None and ahead[0] is message:
            result = ahead[1]
        elif self._is_still(message) and previous is not None:
            return self._still(message, previous)
        else:
            self._catch_up()
            result = self._estimated(message, **self._wanted)
        if previous is None or result is None:
            return Flow(message.header, message, "first", None)
        self._say_status()
        if result.scaled_down:
            self.context.count(f"frames_at_{said_small_size(self._flow_options)}")
        if result.start == "resumed" and self._cut is not None:
            previous = self._cut[0]
        return flow_message(message, previous, result, self._worked(message))

    def _waiting_cut(self, withdrawn: bool = False) -> Iterable[Flow]:
        """The message of the last frame, if that waits: it begins a scene, unless it is withdrawn."""
        waiting, self._cut = self._cut, None
        if waiting is None:
            return
        before, cut = waiting
        yield self._counted(zero_message(cut.frame, before, "passing", self.context.needs) if withdrawn else cut)

    def _counted(self, flow: Flow) -> Flow:
        if flow.start != "first":
            self.context.count(f"frames_{flow.start}")
        return flow

    def gap(self, gap: Gap) -> Iterable[Message]:
        self._last = (gap.header.epoch, gap.header.sequence)
        yield from self._waiting_cut()
        self._session.reset()
        self._previous = self._before = self._skipped = None
        if self._stillness is not None:
            self._stillness.reset()

    def flush(self, end: EndOfStream) -> Iterable[Message]:
        if self._store is not None:
            say_trouble(self._store, self.context)
        yield from self._waiting_cut()
        self._previous = self._before = self._skipped = None

    def checkpoint(self) -> Mapping[str, Any] | None:
        """Everything but the last frames, which are delivered again."""
        if self.context.policy == "live":
            return None
        return {
            "session": self._session.full_state(),
            "stillness": self._stillness and self._stillness.full_state(),
            "last": self._last,
            "places": [self._before, self._previous],
            "cut": self._cut and {"before": self._cut[0], "iterations": self._cut[1].iterations},
            "skipped": self._skipped is not None,
            "begun": self._begun,
        }

    def restore_checkpoint(self, checkpoint: Mapping[str, Any]) -> None:
        self._session.restore_full(checkpoint["session"])
        if self._stillness is not None:
            self._stillness.restore_full(checkpoint["stillness"])
        self._last, self._begun, self._again = tuple(checkpoint["last"]), checkpoint["begun"], checkpoint
        self._before, self._previous = (each and Place(*each) for each in checkpoint["places"])

    def _take_again(self, message: Frame, position: tuple[int, int]) -> None:
        """Take a frame that is in the restored state: the last one may be needed itself."""
        if position == self._last:
            cut = self._again["cut"]
            if cut and self._before is not None:
                flow = cut_message(message, self._before, cut["iterations"])
                self._cut = Place(*cut["before"]), flow
            self._skipped = message if self._again["skipped"] else None

    def close(self) -> None:
        if self._store is not None:
            self._store.close()

    def unacked_window(self) -> int:
        return (self._previous is not None) + (self._cut is not None)

    @property
    def _wanted(self) -> dict[str, Any]:
        needs = self.context.needs
        return {"full_resolution": "flow" in needs, "confidence": "confidence" in needs}

    def _is_still(self, frame: Frame) -> bool:
        if self._stillness is None:
            return False
        if self._looked is None or self._looked[0] is not frame:
            planes = [np.asarray(plane) for plane in frame.in_8_bits().planes]
            self._looked = frame, self._stillness.is_still(planes, frame.header.pts_seconds)
        return self._looked[1]

    def _still(self, frame: Frame, previous: Place) -> Flow:
        repeats = self._stillness is not None and self._stillness.most_levels <= (self.options.duplicates or 0.0)
        start: FlowStart = "duplicate" if repeats and self.options.duplicates is not None else "still"
        if start == "still" or self._skipped is not None:
            self._skipped = frame
        return zero_message(frame, previous, start, self.context.needs)

    def _catch_up(self) -> None:
        """Show the session the last frame, if it was still: flow goes on from it, with a cold start."""
        if self._skipped is not None:
            self._start_from(self._skipped)

    def _start_from(self, frame: Frame) -> None:
        self._skipped = None
        self._session.reset()
        self._estimated(frame, full_resolution=False)

    def _begin_anew(self, frame: Frame) -> None:
        """From the next frame on let it be as if this one were the first."""
        if self._stillness is not None:
            self._stillness.reset()
            self._looked = None
            self._is_still(frame)
        self._start_from(frame)

    def _estimated(self, frame: Frame, **wanted: bool) -> FlowResult | None:
        worked, stillness = self._worked(frame), self._stillness
        if isinstance(self._session, DisSession):
            return self._session.of_luma(gray(frame, worked), **wanted)
        return self._session(rgb(frame, worked), **wanted, changed=stillness and stillness.changed)

    def _worked(self, frame: Frame) -> tuple[int, int]:
        return working_size(frame.height, frame.width, self._max_side_px)

    def _say_status(self) -> None:
        said = self._session.status
        if said == self._said:
            return
        self._said = said
        self.context.status(
            accuracy=said_accuracy(self._accuracy, self.options.accuracy, self.context.demand.readers),
            settings=said_settings(self._flow_options, self._max_side_px, self._wanted["full_resolution"]),
            **said_session(said),
        )
        for fallback in said.fallbacks:
            self.context.log.warning("%s", fallback)

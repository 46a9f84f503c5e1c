"""Estimates dense optical flow from frame to frame."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Literal

import cv2
import numpy as np
import torch
from pydantic import Field

from pipeline import stage
from pipeline.errors import ConfigError, WeightsError
from pipeline.messages import EndOfStream, Flow, FlowStart, Frame, Gap, Message
from raftline.flow.dis import DisOptions
from raftline.flow.estimators import open_raft, open_session
from raftline.flow.grid import frame_cells, frame_flow, frame_grid, working_size
from raftline.flow.options import SessionOptions, WarmStart
from raftline.flow.result import FlowResult, SessionStatus
from raftline.flow.session import FlowSession, FrameRequest, estimate_together
from raftline.flow.update_loop import UpdateLoop
from raftline.raft.correlation import CorrelationChoice
from raftline.raft.precision import PrecisionChoice
from raftline.raft.weights import loading as raft_weights
from stages.shared.color import rgb

_TOGETHER = 8
"""Sources that share a pass at most: so many times one frame's time is what a frame may wait for the others'."""


class OpticalFlow(stage.Stage):
    """One Flow for every frame: where the content of the frame before went.

    The first frame, the first after a gap or a change of size, and a frame after a scene cut have no flow.
    After a crash the frame before is delivered again, and the flow goes on from it, with a cold start.
    """

    class Options(stage.Options):
        estimator: Literal["raft", "dis"] = Field(
            "raft", description="raft: the network; dis: OpenCV's Dense Inverse Search, for many cameras on few cores"
        )
        weights: str = Field(
            "default", description="of raft: default, a name such as torchvision/raft_large, or a file"
        )
        iterations: int = Field(12, ge=1, le=100, description="updates of raft per frame, at most")
        cold_iterations: int = Field(
            12,
            ge=1,
            le=100,
            description="the same where there is no last flow to go on from, if that are more: the first pair of a "
            "stream, and after a gap or a cut",
        )
        warm_start: WarmStart = Field(
            "chosen",
            description="where raft begins: never: at zero; always: at the last flow carried forward; chosen: each "
            "cell at zero, the camera's motion or the last flow, whichever the pictures fit best",
        )
        region_matching: bool = Field(
            True,
            description="after the first update of raft, look up to 64 px away for regions that their flow has lost",
        )
        variational_refinement: bool = Field(
            True,
            description="raft's flow is brought nearer to the pictures, pixel by pixel; the grid is then its mean over "
            "each cell",
        )
        early_stop_px: float | None = Field(
            None, ge=0, description="raft stops when the mean update is shorter, px; null: never"
        )
        correlation: CorrelationChoice = Field(
            "auto",
            description="how raft holds it: all-pairs takes memory by the square of the pixels, on-demand by "
            "the pixels; auto: on-demand on a CPU, and on a GPU where all pairs would take half of the free memory",
        )
        dis_preset: Literal["ultrafast", "fast", "medium"] = Field(
            "medium", description="of dis: speed against quality"
        )
        duplicates: float | None = Field(
            0.5, ge=0, description="a frame that differs by less everywhere, grey levels, has zero flow; null: never"
        )
        scene_cut: float | None = Field(
            0.4,
            ge=0,
            le=1,
            description="share of a picture not found in the last, above which it is a cut; null: never",
        )
        device: str = Field("auto", description="of raft: auto (CUDA if there, else cpu), cpu, cuda or cuda:N")
        precision: PrecisionChoice = Field(
            "auto",
            description="of raft's arithmetic; auto: 16 bits where the device multiplies them faster, "
            "which moves the end-point error by less than 0.01 px, else float32",
        )
        max_side_px: int | None = Field(
            None,
            ge=64,
            description="flow of larger pictures is computed at this size and scaled up, px; null: full size",
        )
        threads: int | None = Field(None, ge=1, description="CPU threads of an operation; null: the library's choice")

    reads = (Frame,)
    writes = Flow

    def __init__(self, options: Options, context: stage.Context) -> None:
        super().__init__(options, context)
        self._previous: Frame | None = None
        self._ahead: tuple[Frame, FlowResult | None] | None = None

    def open(self) -> None:
        options = self.options
        try:
            session_options = SessionOptions(
                options.iterations,
                options.warm_start,
                options.early_stop_px,
                options.correlation,
                options.duplicates,
                options.scene_cut,
                options.cold_iterations,
                options.region_matching,
                options.variational_refinement,
            )
            dis_options = DisOptions(options.dis_preset, options.duplicates, options.scene_cut)
            update_loop = self._network() if options.estimator == "raft" else None
            if options.estimator == "dis" and options.threads is not None:
                cv2.setNumThreads(options.threads)
            self._session = open_session(options.estimator, update_loop, session_options, dis_options)
        except raft_weights.WeightsError as error:
            raise WeightsError(f"stage {self.context.stage!r}: {error}") from error
        except ValueError as error:
            raise ConfigError(f"stage {self.context.stage!r}: {error}") from error
        self._said: SessionStatus | None = None
        self._say_status()

    @classmethod
    def prepare_batch(cls, waiting: Sequence[tuple[stage.Stage, Message]]) -> None:
        """On a GPU the frames of up to 8 sources share a pass of the network."""
        able = [
            (each, each._session, frame)
            for each, frame in waiting
            if isinstance(each, OpticalFlow) and isinstance(each._session, FlowSession) and isinstance(frame, Frame)
            if each._session.batching_pays
        ]
        for begin in range(0, len(able), _TOGETHER):
            batch = able[begin : begin + _TOGETHER]
            requests = [FrameRequest(session, each._picture(frame), *each._wanted) for each, session, frame in batch]
            for (each, _, frame), result in zip(batch, estimate_together(requests), strict=True):
                each._ahead = frame, result

    def process(self, message: Frame) -> Iterable[Message]:
        previous, self._previous = self._previous, message
        ahead, self._ahead = self._ahead, None
        if ahead is not None and ahead[0] is message:
            result = ahead[1]
        else:
            result = self._session(self._picture(message), *self._wanted)
        if previous is None or result is None:
            yield Flow(message.header, message, "first", None)
            return
        self._say_status()
        flow = _flow(message, previous, result, self._worked(message))
        self.context.count(f"frames_{flow.start}")
        yield flow

    def gap(self, gap: Gap) -> Iterable[Message]:
        self._session.reset()
        self._previous = None
        return ()

    def flush(self, end: EndOfStream) -> Iterable[Message]:
        self._previous = None
        return ()

    def unacked_window(self) -> int:
        return 0 if self._previous is None else 1

    @property
    def _wanted(self) -> tuple[bool, bool]:
        return "flow" in self.context.needs, "confidence" in self.context.needs

    def _worked(self, frame: Frame) -> tuple[int, int]:
        return working_size(frame.height, frame.width, self.options.max_side_px)

    def _picture(self, frame: Frame) -> np.ndarray:
        """The frame as RGB at the size to work at."""
        worked, picture = self._worked(frame), rgb(frame)
        if worked == (frame.height, frame.width):
            return picture
        return np.asarray(cv2.resize(picture, worked[::-1], interpolation=cv2.INTER_AREA), np.uint8)

    def _network(self) -> UpdateLoop:
        """One per process for all its sources."""
        options = self.options
        asked = (options.weights, options.device, options.threads, options.precision)
        return self.context.shared(f"raft {asked}", lambda: open_raft(*asked))

    def _say_status(self) -> None:
        said = self._session.status
        if said == self._said:
            return
        self._said = said
        self.context.status(
            estimator=said.estimator,
            device=said.device,
            precision=said.precision,
            lookup=said.lookup,
            correlation=said.correlation,
            update_loop=said.update_loop,
            cpu_threads=said.cpu_threads,
            fallback="; ".join(said.fallbacks) or "none",
        )
        for fallback in said.fallbacks:
            self.context.log.warning("%s", fallback)


def _flow(frame: Frame, previous: Frame, result: FlowResult, worked: tuple[int, int]) -> Flow:
    start: FlowStart = result.start
    seconds, before = frame.header.pts_seconds, previous.header.pts_seconds
    flow = Flow(
        frame.header,
        frame,
        start,
        None,
        previous_index=previous.index,
        step_seconds=None if seconds is None or before is None else seconds - before,
        iterations=result.iterations,
    )
    if start == "scene_cut":
        return flow
    shape = (frame.height, frame.width)
    origin_px = (-result.padding.left, -result.padding.top)
    grid_px = frame_grid(result.grid_px, origin_px, worked, shape)
    flow_px = None if result.flow_px is None else _halved(frame_flow(result.flow_px, shape))
    confidence = None
    if result.confidence is not None:
        confidence = np.ascontiguousarray(frame_cells(result.confidence, origin_px, worked, shape), np.float32)
    return replace(flow, grid_px=np.ascontiguousarray(grid_px, np.float32), flow_px=flow_px, confidence=confidence)


def _halved(flow_px: np.ndarray) -> np.ndarray:
    # torch's conversion takes a ninth of the time of numpy's.
    return torch.from_numpy(np.ascontiguousarray(flow_px)).half().numpy()

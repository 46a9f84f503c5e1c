"""From a session's result to the message that readers get."""

from __future__ import annotations

import sys
from collections.abc import Collection
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from pipeline.messages import Flow, FlowStart, Frame
from raftline.flow.grid import Cells, frame_flow, resampled, resampled_flow
from raftline.flow.result import FlowResult
from raftline.kernels.cell import CELL_PX


class Place(NamedTuple):
    """What a message says of the frame that its flow comes from."""

    index: int
    pts_seconds: float | None

    @classmethod
    def of(cls, frame: Frame) -> Place:
        """That of a frame."""
        return cls(frame.index, frame.header.pts_seconds)


def flow_message(frame: Frame, previous: Place, result: FlowResult, worked: tuple[int, int]) -> Flow:
    """The message of a result, which was estimated at the size `worked` (height, width)."""
    start: FlowStart = result.start
    if start == "scene_cut":
        return cut_message(frame, previous, result.iterations)
    flow = replace(_follows(frame, previous, start), iterations=result.iterations)
    shape = (frame.height, frame.width)
    source, target = Cells.padded(*worked, result.padding), Cells.of(*shape)
    grid_px = resampled_flow(result.grid_px, source, target)
    flow_px = None if result.flow_px is None else _halved(frame_flow(result.flow_px, shape))
    confidence = None
    if result.confidence is not None:
        confidence = np.ascontiguousarray(resampled(result.confidence, source, target), np.float32)
    return replace(flow, grid_px=np.ascontiguousarray(grid_px, np.float32), flow_px=flow_px, confidence=confidence)


def cut_message(frame: Frame, previous: Place, iterations: int) -> Flow:
    """The message of the first frame of a scene."""
    return replace(_follows(frame, previous, "scene_cut"), iterations=iterations)


def zero_message(frame: Frame, previous: Place, start: FlowStart, needs: Collection[str]) -> Flow:
    """The message of a frame in which nothing moves, with the costly fields that readers need."""
    cells = (-(-frame.height // CELL_PX), -(-frame.width // CELL_PX))
    return replace(
        _follows(frame, previous, start),
        grid_px=np.zeros((*cells, 2), np.float32),
        flow_px=np.zeros((frame.height, frame.width, 2), np.float16) if "flow" in needs else None,
        confidence=np.ones(cells, np.float32) if "confidence" in needs else None,
    )


def _follows(frame: Frame, previous: Place, start: FlowStart) -> Flow:
    """The message without its arrays."""
    seconds, before = frame.header.pts_seconds, previous.pts_seconds
    step_seconds = None if seconds is None or before is None else seconds - before
    return Flow(frame.header, frame, start, None, previous_index=previous.index, step_seconds=step_seconds)


def _halved(flow_px: np.ndarray) -> np.ndarray:
    # torch converts in a third of the time of numpy, but is not worth being loaded for that.
    torch = sys.modules.get("torch")
    if torch is None:
        return flow_px.astype(np.float16)
    return torch.from_numpy(np.ascontiguousarray(flow_px)).half().numpy()

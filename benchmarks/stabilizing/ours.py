"""Our stages for flow and stabilization on the same frames, as the pipeline runs them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from typing import Any

import cv2
import numpy as np

from benchmarks.stabilizing.clips import Clip
from pipeline.messages import EndOfStream, Flow, Frame, Header, Stabilized
from pipeline.stage import Demand
from pipeline.testing import TestContext
from stages.stabilization import Stabilization
from stages.stabilization.kept_frames import KeptFrames

_TIME_BASE = Fraction(1, 90_000)
ESTIMATORS: dict[str, dict[str, Any]] = {
    "dis": {"estimator": "dis"},
    "raft": {"estimator": "raft", "device": "cpu"},
}
"""Options of the flow stage; what they leave out is chosen for stabilization, as in configs/stabilize.yaml."""


def measured_flows(clip: Clip, estimator: str) -> list[Flow]:
    """Return the flow stage's messages; their frames are grey, to take less memory."""
    from stages.flow import OpticalFlow  # torch

    flows = []
    context = TestContext(demand=Demand(Stabilization.accuracy))
    stage = OpticalFlow(OpticalFlow.Options(**ESTIMATORS[estimator]), context)
    stage.open()
    for at, image in enumerate(clip.frames):
        for message in stage.process(_frame(clip, at, image[..., ::-1], "rgb24")):
            assert isinstance(message, Flow)
            luma = _frame(clip, at, cv2.cvtColor(image, cv2.COLOR_BGR2GRAY), "gray8")
            flows.append(replace(message, frame=luma))
    stage.close()
    return flows


def stabilized_markers(clip: Clip, flows: Sequence[Flow], options: dict[str, Any]) -> tuple[np.ndarray, TestContext]:
    """Return the markers (N, H, W) uint8 as the stage moves them, and what it said to its context."""
    frames = [_frame(clip, at, marker, "gray8") for at, marker in enumerate(clip.markers)]
    context = TestContext(frames=frames, live=options.get("smoothing") == "look_ahead")
    stage = Stabilization(Stabilization.Options(**options), context)
    stage.open()
    mode: Any = stage._mode
    if context.policy != "live":
        mode.frames = KeptFrames(most_bytes=0)  # it is to read the markers, not the frames that it measured
    else:  # it corrects those; here the markers that lie behind them
        correct = mode._corrector
        mode._corrector = lambda frame, *move: correct(replace(frames[frame.index], header=frame.header), *move)
    done = [item for flow in flows for item in stage.process(flow)]
    done += stage.flush(EndOfStream(flows[-1].header))
    stage.close()
    return np.stack([np.asarray(item.frame.planes[0]) for item in done if isinstance(item, Stabilized)]), context


def _frame(clip: Clip, at: int, plane: np.ndarray, pixel_format: Any) -> Frame:
    pts = round(float(clip.seconds[at]) / _TIME_BASE)
    header = Header("clip", pts, _TIME_BASE, 10**18 + at, epoch=1, sequence=at + 1)
    height, width = plane.shape[:2]
    space = "rgb" if pixel_format == "rgb24" else "bt709"
    return Frame(header, at, width, height, pixel_format, (np.ascontiguousarray(plane),), space, "pc")

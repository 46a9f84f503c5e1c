"""Runs clips through the flow and motion mask stages; flow is computed once and kept."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import replace
from fractions import Fraction
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from pipeline.messages import EndOfStream, Flow, Frame, Header, Mask, Message
from pipeline.testing import TestContext
from raftline.flow.accuracy import settings_for
from stages.motion_mask import MotionMask

_ROOT = Path(__file__).resolve().parents[2]


def live_options(estimator: str) -> dict[str, Any]:
    """The flow stage's options in configs/cameras.yaml, with another estimator, as exact as the masks need."""
    plan = yaml.safe_load((_ROOT / "configs" / "cameras.yaml").read_text())
    set_there = {name: value for name, value in plan["stages"]["flow"]["options"].items() if value != "auto"}
    options = {
        **settings_for(MotionMask.accuracy, "dis" if estimator == "dis" else "raft"),
        **set_there,
        "estimator": estimator,
    }
    return options if estimator == "raft" else {name: options[name] for name in ("estimator", "max_side_px")}


def rgb_frame(image: np.ndarray, at: int, fps: int) -> Frame:
    """A message of uint8 (H, W, 3) RGB."""
    height, width = image.shape[:2]
    header = Header("clip", at, Fraction(1, fps), 10**18 + at, epoch=1, sequence=at + 1)
    return Frame(header, at, width, height, "rgb24", (image,), "rgb", "pc")


def flows(name: str, frames: Iterable[Frame], options: dict[str, Any], cache: Path | None) -> Iterator[Flow]:
    """The flow stage's messages for frames; with `cache`, what it computed the last time."""
    kept = None if cache is None else cache / f"{name}_{_digest(options)}.npz"
    if kept is not None and kept.exists():
        with np.load(kept) as values:
            grids, starts, steps = values["grids"], values["starts"], values["steps"]
        for at, frame in enumerate(frames):
            start = str(starts[at])
            grid = None if start in ("first", "scene_cut") else grids[at]
            yield Flow(frame.header, frame, start, grid, previous_index=at - 1, step_seconds=float(steps[at]))  # pyright: ignore[reportArgumentType]
        return
    from stages.flow import OpticalFlow  # here: flow that was kept needs no network

    stage = OpticalFlow(OpticalFlow.Options(**options), TestContext())
    stage.open()
    made: list[Flow] = []
    for message in chain.from_iterable(stage.process(frame) for frame in frames):
        assert isinstance(message, Flow)
        yield message
        made.append(replace(message, frame=replace(message.frame, planes=())))
    if kept is not None and made:
        _keep(kept, made)


def masks(messages: Iterable[Flow], options: dict[str, Any] | None = None) -> Iterator[Mask]:
    """The motion mask stage's messages for flows."""
    stage = open_motion_mask(options or {})
    end = EndOfStream(Header("clip", None, Fraction(1), 0))

    def made() -> Iterator[Message]:
        for flow in messages:
            yield from stage.process(flow)
        yield from stage.flush(end)

    for message in made():
        assert isinstance(message, Mask)
        yield message


def open_motion_mask(options: dict[str, Any]) -> MotionMask:
    """The stage, ready for its first message."""
    stage = MotionMask(MotionMask.Options(**options), TestContext())
    stage.open()
    return stage


def _keep(path: Path, made: list[Flow]) -> None:
    shape = next((np.asarray(flow.grid_px).shape for flow in made if flow.grid_px is not None), (1, 1, 2))
    grids = [np.zeros(shape, np.float32) if flow.grid_px is None else np.asarray(flow.grid_px) for flow in made]
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez(
        path,
        grids=np.stack(grids).astype(np.float32),
        starts=np.array([flow.start for flow in made]),
        steps=np.array([flow.step_seconds or 0.0 for flow in made]),
    )


def _digest(options: dict[str, Any]) -> str:
    weights = sorted((_ROOT / "raftline" / "raft" / "weights").glob("*.safetensors"))
    contents = b"".join(path.read_bytes() for path in weights) if options["estimator"] == "raft" else b""
    return hashlib.sha256(json.dumps(options, sort_keys=True).encode() + contents).hexdigest()[:16]

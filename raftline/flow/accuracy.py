"""What is set for flow that has to be so exact and no more: size, updates, refinement.

Tuned by `python -m benchmarks.bench_stabilization` (the shake that stabilization leaves) and `python -m
benchmarks.bench_motion_masks` (masks of moving objects), against the time of a frame.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import Any, Literal

from raftline.flow.options import DisPreset, Estimator, FlowOptions

Accuracy = Literal["coarse", "cells", "pixels", "full"]
"""``coarse``: within about a pixel over the frame, for what registers the frames itself. ``cells``: right in each cell
of the 8 px grid, small objects included. ``pixels``: at every pixel as exact as the paper's network with 12 updates.
``full``: as exact as it can be."""

_LESS: dict[Accuracy, dict[str, Any]] = {
    "coarse": {
        "iterations": 2,
        "cold_iterations": 12,
        "early_stop_px": None,
        "max_side_px": 640,
        "one_motion_side_px": 256,
        "register_one_motion": True,
    },
    "cells": {
        "iterations": 6,
        "cold_iterations": 12,
        "early_stop_px": 0.05,
        "max_side_px": 384,
        "only_changed": True,
        "changed_iterations": 2,
    },
    "pixels": {"iterations": 4, "network_size": "adaptive"},
    "full": {},
}
"""What differs from the defaults of `FlowOptions` at full size. The grid is refined at the size that is left. Half of
that is too coarse: before a blank wall it leaves 0.17 px of shake, not 0.11; highway's small cars have a J of 0.47, not
0.54. 256 px leave no more shake than 640 while a frame moves as one (0.23 px against 0.25 on meshflow-3), but 1.8 px
against 0.4 behind an object that moves on its own over 60 % of the frame. Of `coarse` updates, which start at the
camera's motion, 2 leave as little shake as 4: 0.107 px against 0.106 with two layers of depth, 0.102 against 0.105
before a blank wall, where 1 leaves 0.123. 448 px instead of 640 leave 0.123 with two layers of depth. For `pixels`, 4
updates are the fewest at which no scene has a larger end-point error than the authors' network with 12 (`python -m
benchmarks.bench_flow --only runtimes`)."""
_PRESETS_BY_EXACTNESS: tuple[DisPreset, ...] = ("ultrafast", "fast", "adaptive", "medium")
_LESS_OF_DIS: dict[Accuracy, dict[str, Any]] = {
    "coarse": {"dis_preset": "adaptive", "max_side_px": 640},
    "cells": {"max_side_px": 384},
    "pixels": {},
    "full": {},
}
CHOSEN = (
    "iterations",
    "cold_iterations",
    "early_stop_px",
    "variational_refinement",
    "dis_preset",
    "max_side_px",
    "one_motion_side_px",
    "register_one_motion",
    "network_size",
    "only_changed",
    "changed_iterations",
)
"""Options whose value follows from the accuracy where the user sets none."""


_GPU_DRIVERS = ("/dev/nvidiactl", "/dev/nvidia0", "/dev/dxg")
"""Where a driver of CUDA's shows itself, on Linux and in its subsystem on Windows."""


def estimator_for(accuracy: Accuracy, device: str = "auto") -> Estimator:
    """Choose the estimator: RAFT on a GPU and where the flow has to be right at every pixel, else DIS.

    What registers the frames itself loses nothing by DIS: as little shake is left as with RAFT, within 5 % on handheld
    clips, for a twentieth of the CPU time (``python -m benchmarks.bench_stabilization``), and motion masks agree with
    the truth as well, within 1 % of J, for a quarter of it (``python -m benchmarks.bench_motion_masks``).

    Args:
        accuracy: how exact the flow has to be.
        device: as in `FlowOptions`.
    """
    return "dis" if accuracy not in ("pixels", "full") and not _runs_on_gpu(device) else "raft"


def may_use_gpu(device: str) -> bool:
    """Whether there is a driver of a GPU that `device` allows; quickly, without torch."""
    return device != "cpu" and any(Path(driver).exists() for driver in _GPU_DRIVERS)


def _runs_on_gpu(device: str) -> bool:
    if not may_use_gpu(device):
        return False
    import torch  # here: without a driver there is no need to load it

    return torch.cuda.is_available()


def settings_for(accuracy: Accuracy, estimator: Estimator, also: Iterable[Accuracy] = ()) -> dict[str, Any]:
    """Return a value for each option in `CHOSEN`; all but `max_side_px` are fields of `FlowOptions`.

    Args:
        accuracy: how exact the flow has to be.
        estimator: which one estimates it.
        also: other readers' accuracies. Each option has the value that is exact enough for all.
    """
    defaults = {field.name: field.default for field in dataclasses.fields(FlowOptions) if field.name in CHOSEN}
    less = _LESS if estimator == "raft" else _LESS_OF_DIS
    wanted = [{**defaults, "max_side_px": None, **less[each]} for each in (accuracy, *also)]
    return {name: max((each[name] for each in wanted), key=partial(_exactness, name)) for name in CHOSEN}


def _exactness(name: str, value: Any) -> float:
    """Grows with how exact an option's value makes the flow."""
    if name == "dis_preset":
        return _PRESETS_BY_EXACTNESS.index(value)
    if name in ("only_changed", "register_one_motion"):
        return float(not value)
    if name == "network_size":
        return float(value == "full")
    if name == "early_stop_px":
        return math.inf if value is None else -value
    return math.inf if value is None else float(value)

"""What the two ways of stabilizing share: moving a frame, and a spool whose failures the user can read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from pipeline.errors import OutputError
from pipeline.messages import Frame, Stabilized
from pipeline.stage import Context
from stages.motion.path_records import JsonLinesSpool
from stages.motion.path_smoothing import Method
from stages.motion.warp import Interpolation, warp_planes


class Settings(Protocol):
    """The options of `stages.stabilization.Stabilization`, which says what they mean."""

    cutoff_hz: float
    method: Method
    look_ahead_seconds: float
    max_zoom: float
    zoom: float
    interpolation: Interpolation
    path: str


def corrected(frame: Frame, correction: np.ndarray, settings: Settings, context: Context) -> Stabilized:
    """`frame` moved by `correction` (3, 3)."""
    planes = warp_planes([np.asarray(plane) for plane in frame.planes], correction, settings.interpolation)
    original = frame if "original" in context.needs else None
    return Stabilized(frame.header, replace(frame, planes=planes), tuple(flat(correction)), original)


def flat(matrix: np.ndarray) -> list[float]:
    """Row-major, as messages and files hold a matrix."""
    return [round(float(value), 12) for value in matrix.ravel()]


def appended(spool: JsonLinesSpool | None, path: Path, values: Mapping[str, Any]) -> JsonLinesSpool:
    """The spool, begun where there is none, with a line more. Raises `OutputError`."""
    try:
        spool = spool or JsonLinesSpool(path)
        spool.append(values)
    except OSError as error:
        raise OutputError(f"cannot write {path}: {error.strerror}; free space or choose another directory") from error
    return spool


def cut_back(path: Path, length: int, context: Context) -> JsonLinesSpool:
    """The spool as it was when it held `length` bytes. Raises `OutputError`."""
    try:
        return JsonLinesSpool(path, length)
    except (EOFError, OSError) as error:
        raise OutputError(
            f"stage {context.stage!r} cannot go on with {context.source.name!r}: {error}. What was measured "
            "lies beside the output: a worker on another host needs the same output directory; start the run again"
        ) from error

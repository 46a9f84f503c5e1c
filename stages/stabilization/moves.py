"""How each frame of a file is to be moved, in a file: what a whole clip's measurement leaves to others to carry out."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from pipeline.errors import OutputError
from raftline.camera.bars import Bars
from raftline.whole_file import written_whole
from stages.shared.output_errors import writing
from stages.stabilization.options import StabilizationOptions

Move = tuple[np.ndarray, "np.ndarray | None", "np.ndarray | None", "np.ndarray | None", Bars]
"""The arguments of `Corrector` after the frame."""
_OPTIONS = ("zooming", "border", "interpolation")
"""What a `Corrector` reads of the options."""


class MovedFrame(NamedTuple):
    """A frame by its time, and how it is moved."""

    pts: int
    index: int
    move: Move


def write_moves(
    path: Path, options: StabilizationOptions, lines: Sequence[Mapping[str, Any]], moves: Sequence[Move]
) -> None:
    """Write the moves of the frames among the spool's lines, exactly. Raises `OutputError`."""
    frames = [line for line in lines if "frame" in line]
    head = {"options": {name: getattr(options, name) for name in _OPTIONS}, "whole": _why_whole(lines)}
    with writing(path), written_whole(path) as part, part.open("w") as file:
        file.write(json.dumps(head) + "\n")
        for line, move in zip(frames, moves, strict=True):
            values = [line["frame"]["index"], *(_plain(each) for each in move[:-1]), move[-1].to_json()]
            file.write(f"{line['header']['pts']} {json.dumps(values)}\n")


def read_head(path: Path) -> tuple[StabilizationOptions, str | None]:
    """The options that concern the correction, and why the frames must be corrected in one piece, if they must.

    Raises `OutputError`.
    """
    with writing(path), path.open() as file:
        head = json.loads(file.readline())
    return StabilizationOptions(**head["options"]), head["whole"]


def read_moves(path: Path, first: int | None, end: int | None) -> Iterator[MovedFrame]:
    """Moves of the frames with a time from `first` on and before `end`. Raises `OutputError`."""
    with writing(path), path.open() as file:
        file.readline()
        for line in file:
            time, _, values = line.partition(" ")
            if first is not None and int(time) < first:
                continue
            if end is not None and int(time) >= end:
                return
            index, *arrays, bars = json.loads(values)
            correction, *others = (None if each is None else np.array(each, np.float64) for each in arrays)
            if correction is None or len(others) != 3:
                raise OutputError(f"{path}: is not a file of moves of this version; remove it and run again")
            yield MovedFrame(int(time), index, (correction, others[0], others[1], others[2], Bars(*bars)))


def _plain(values: np.ndarray | None) -> Any:
    return None if values is None else np.asarray(values, np.float64).tolist()


def _why_whole(lines: Sequence[Mapping[str, Any]]) -> str | None:
    times = [line["header"]["pts"] for line in lines if "frame" in line]
    if any("gap" in line for line in lines):
        return "its frames change their size"
    if None in times or any(later <= earlier for earlier, later in itertools.pairwise(times)):
        return "its times do not grow"
    return None

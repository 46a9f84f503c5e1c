"""The contact sheet of a run: a row per video, the same times in each."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pipeline.errors import InputError
from raftline.cli.sheets.layout import CELL_WIDTH_PX, GAP_PX, GROUND, QUIET, TEXT_PX, TITLE, cell, strip, write_sheet
from raftline.cli.sheets.video_frames import VideoFrames
from raftline.drawing import clock, label

_COLUMNS = 5
"""Frames of each video, evenly spaced."""
_SIDE_PX = 132
"""Width of the labels of rows."""
_TITLE_PX = 44
_MEAN_SECONDS = 0.5
"""Long enough for shake to blur the mean, short enough for slow camera movement not to. Chosen by hand."""
_MOST_SOURCES = 8
"""More would not fit a screen."""


@dataclass(frozen=True)
class Row:
    """A video, or a half of one."""

    label: str
    path: Path
    part: tuple[float, float] = (0.0, 1.0)
    """Columns of the frame, as shares of its width."""
    mean: bool = False
    """Show the mean of half a second in a last column: it is sharp if the camera stands still."""


def write_contact_sheet(folder: Path) -> Path:
    """Write ``contact_sheet.png`` of the videos that a run left in a folder.

    Returns:
        Path of the sheet.

    Raises:
        InputError: the folder holds no video of a run, or one that cannot be read.
        OutputError: the sheet cannot be written.
    """
    runs = find_runs(folder)
    if not runs:
        raise InputError(
            f"{folder}: holds no video of a run (SOURCE.stabilized.mp4, .side_by_side.mp4, .overlay.mp4, .flow.mp4); "
            "give the output directory of a run"
        )
    sheets = [_sheet(source, rows) for source, rows in list(runs.items())[:_MOST_SOURCES]]
    width = max(sheet.shape[1] for sheet in sheets)
    path = folder / "contact_sheet.png"
    write_sheet(path, np.concatenate([_widened(sheet, width) for sheet in sheets]))
    return path


def find_runs(folder: Path) -> dict[str, list[Row]]:
    """The rows of each source with videos in a folder."""
    found: dict[str, dict[str, Path]] = {}
    for path in sorted(each for suffix in _SUFFIXES for each in folder.glob(f"*.*{suffix}")):
        source, kind = path.stem.rsplit(".", 1)
        if kind in _ROWS:
            found.setdefault(source, {})[kind] = path
    return {source: _rows(kinds) for source, kinds in found.items()}


_SUFFIXES = (".mp4", ".mkv", ".mov")
_ROWS: Mapping[str, Callable[[Path], Row]] = {
    "side_by_side": lambda path: Row("original", path, (0.0, 0.5), mean=True),
    "stabilized": lambda path: Row("stabilized", path, mean=True),
    "overlay": lambda path: Row("motion", path),
    "flow": lambda path: Row("flow", path),
}


def _rows(kinds: Mapping[str, Path]) -> list[Row]:
    rows = [make(kinds[kind]) for kind, make in _ROWS.items() if kind in kinds]
    if "side_by_side" in kinds and "stabilized" not in kinds:
        rows.insert(1, Row("stabilized", kinds["side_by_side"], (0.5, 1.0), mean=True))
    return rows


def _sheet(title: str, rows: Sequence[Row]) -> np.ndarray:
    with ExitStack() as stack:
        videos = [stack.enter_context(closing(VideoFrames(row.path))) for row in rows]
        first = videos[0]
        step = first.duration_seconds / _COLUMNS
        times = [first.begin_seconds + (i + 0.5) * step for i in range(_COLUMNS)]
        means = any(row.mean for row in rows)
        lines = [_line(row, video, times, means) for row, video in zip(rows, videos, strict=True)]
        about = f"{first.count} frames, {first.duration_seconds:.1f} s"
    header = _header(title, about, times, means, lines[0].shape[1])
    return np.concatenate([header, *lines])


def _line(row: Row, video: VideoFrames, times: Sequence[float], means: bool) -> np.ndarray:
    images = [video.frame_at(seconds) for seconds in times]
    if row.mean:
        begin = times[len(times) // 2] - _MEAN_SECONDS / 2
        images.append(video.mean(max(video.begin_seconds, begin), _MEAN_SECONDS))
    cells = [cell(_cut(image, row.part)) for image in images]
    if means and not row.mean:
        cells.append(np.full_like(cells[0], GROUND))
    line = np.concatenate([part for cell in cells for part in (cell, strip(cell.shape[0], GAP_PX))], axis=1)
    side = strip(line.shape[0], _SIDE_PX)
    label(side, row.label, (GAP_PX, line.shape[0] // 2 - TEXT_PX), TEXT_PX + 1, TITLE, GROUND)
    return np.concatenate([np.concatenate([side, line], axis=1), strip(GAP_PX, _SIDE_PX + line.shape[1])])


def _header(title: str, about: str, times: Sequence[float], means: bool, width: int) -> np.ndarray:
    header = strip(_TITLE_PX + 2 * TEXT_PX + 8, width)
    label(header, title, (GAP_PX, 6), TEXT_PX + 6, TITLE, GROUND)
    label(header, about, (width, 10), TEXT_PX, QUIET, GROUND)
    captions = [clock(seconds) for seconds in times] + ([f"mean of {_MEAN_SECONDS:g} s"] if means else [])
    for column, caption in enumerate(captions):
        x = _SIDE_PX + column * (CELL_WIDTH_PX + GAP_PX) - GAP_PX
        label(header, caption, (x, _TITLE_PX), TEXT_PX, QUIET, GROUND)
    return header


def _cut(image: np.ndarray, part: tuple[float, float]) -> np.ndarray:
    begin, end = (round(share * image.shape[1]) for share in part)
    return image[:, begin:end]


def _widened(sheet: np.ndarray, width: int) -> np.ndarray:
    return np.concatenate([sheet, strip(sheet.shape[0], width - sheet.shape[1])], axis=1)

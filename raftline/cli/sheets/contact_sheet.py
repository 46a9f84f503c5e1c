"""One picture that shows what a run made: ``python -m raftline.cli.sheets.contact_sheet DIR``."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pipeline.errors import InputError
from raftline.cli.sheets.layout import CELL_WIDTH_PX, GROUND, QUIET, TITLE, cell, sheet_command, strip, write_png
from raftline.cli.sheets.video_frames import VideoMoments
from raftline.drawing import clock, label

MOMENTS = 5
"""Pictures of each video, evenly spread."""
_GAP_PX = 6
_SIDE_PX = 132
_TITLE_PX = 44
_TEXT_PX = 13
_MEAN_SECONDS = 0.5
_MOST_SOURCES = 8


@dataclass(frozen=True)
class Row:
    """A video, or a half of one."""

    label: str
    path: Path
    part: tuple[float, float] = (0.0, 1.0)
    """Columns of the picture, as shares of its width."""
    mean: bool = False
    """Show in a last column the mean of half a second: sharp where the camera stands still."""


def contact_sheet(videos: Mapping[str, Path], out: Path) -> None:
    """Write a PNG: a row for each video under its label, the same moments in each.

    Raises `InputError` for a file that is no video, `OutputError` where `out` cannot be written.
    """
    write_png(out, _sheet(out.stem, [Row(name, path) for name, path in videos.items()]))


def folder_sheet(folder: Path) -> Path:
    """Write ``contact_sheet.png`` of the videos that a run left in a folder; returns its path. Errors as above."""
    runs = find_runs(folder)
    if not runs:
        raise InputError(
            f"{folder}: holds no video of a run (SOURCE.stabilized.mp4, .side_by_side.mp4, .overlay.mp4, .flow.mp4); "
            "give the output directory of one"
        )
    sheets = [_sheet(source, rows) for source, rows in list(runs.items())[:_MOST_SOURCES]]
    width = max(sheet.shape[1] for sheet in sheets)
    out = folder / "contact_sheet.png"
    write_png(out, np.concatenate([_widened(sheet, width) for sheet in sheets]))
    return out


def find_runs(folder: Path) -> dict[str, list[Row]]:
    """The rows of each source whose videos lie in a folder."""
    found: dict[str, dict[str, Path]] = {}
    for path in sorted(folder.glob("*.*.mp4")):
        source, kind = path.name[: -len(".mp4")].rsplit(".", 1)
        if kind in _ROWS:
            found.setdefault(source, {})[kind] = path
    return {source: _rows(kinds) for source, kinds in found.items()}


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
        videos = [stack.enter_context(closing(VideoMoments(row.path))) for row in rows]
        first = videos[0]
        step = first.duration_seconds / MOMENTS
        times = [first.begin_seconds + (i + 0.5) * step for i in range(MOMENTS)]
        means = any(row.mean for row in rows)
        lines = [_line(row, video, times, means) for row, video in zip(rows, videos, strict=True)]
        about = f"{first.frames} frames, {first.duration_seconds:.1f} s"
    header = _header(title, about, times, means, lines[0].shape[1])
    return np.concatenate([header, *lines])


def _line(row: Row, video: VideoMoments, times: Sequence[float], means: bool) -> np.ndarray:
    pictures = [video.at(seconds).picture for seconds in times]
    if row.mean:
        middle = times[len(times) // 2] - _MEAN_SECONDS / 2
        pictures.append(video.mean(max(video.begin_seconds, middle), _MEAN_SECONDS))
    cells = [cell(_cut(picture, row.part)) for picture in pictures]
    if means and not row.mean:
        cells.append(np.full_like(cells[0], GROUND))
    line = np.concatenate([part for cell in cells for part in (cell, strip(cell.shape[0], _GAP_PX))], axis=1)
    side = strip(line.shape[0], _SIDE_PX)
    label(side, row.label, (_GAP_PX, line.shape[0] // 2 - _TEXT_PX), _TEXT_PX + 1, TITLE, GROUND)
    return np.concatenate([np.concatenate([side, line], axis=1), strip(_GAP_PX, _SIDE_PX + line.shape[1])])


def _header(title: str, about: str, times: Sequence[float], means: bool, width: int) -> np.ndarray:
    header = strip(_TITLE_PX + 2 * _TEXT_PX + 8, width)
    label(header, title, (_GAP_PX, 6), _TEXT_PX + 6, TITLE, GROUND)
    label(header, about, (width, 10), _TEXT_PX, QUIET, GROUND)
    captions = [clock(seconds) for seconds in times] + ([f"mean of {_MEAN_SECONDS:g} s"] if means else [])
    for column, caption in enumerate(captions):
        x = _SIDE_PX + column * (CELL_WIDTH_PX + _GAP_PX) - _GAP_PX
        label(header, caption, (x, _TITLE_PX), _TEXT_PX, QUIET, GROUND)
    return header


def _cut(picture: np.ndarray, part: tuple[float, float]) -> np.ndarray:
    begin, end = (round(share * picture.shape[1]) for share in part)
    return picture[:, begin:end]


def _widened(sheet: np.ndarray, width: int) -> np.ndarray:
    return np.concatenate([sheet, strip(sheet.shape[0], width - sheet.shape[1])], axis=1)


def main() -> int:
    return sheet_command("raftline.cli.sheets.contact_sheet", __doc__, folder_sheet, "DIR", "output directory of a run")


if __name__ == "__main__":
    sys.exit(main())

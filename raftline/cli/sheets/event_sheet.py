"""The sheet of an event log: thumbnail, begin, duration and peak of each event."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from pipeline.errors import InputError
from raftline.cli.sheets.layout import CELL_WIDTH_PX, GAP_PX, GROUND, QUIET, TEXT_PX, TITLE, cell, strip, write_sheet
from raftline.drawing import clock, label

MOST_EVENTS = 60
"""The newest ones: a sheet of everything a camera saw would be no overview."""
_COLUMNS = 4
_CAPTION_PX = 2 * TEXT_PX + 22
_EMPTY_SIZE = (9, 16)
"""Height and width, px, of what stands for a missing thumbnail; scaled up to a cell."""
_EMPTY_GREY = 60


def write_event_sheet(log: Path) -> Path:
    """Write a PNG beside a log of the stage `event_log`.

    Returns:
        Path of the sheet.

    Raises:
        InputError: the file is no such log, or holds no event.
        OutputError: the sheet cannot be written.
    """
    events = _events(log)[-MOST_EVENTS:]
    if not events:
        raise InputError(f"{log}: holds no event, so there is nothing to show")
    cells = [_captioned(event, log.parent) for event in events]
    columns = min(_COLUMNS, len(cells))
    rows = [_row(cells[at : at + columns], columns) for at in range(0, len(cells), columns)]
    path = log.with_suffix(".png")
    write_sheet(path, np.concatenate(rows))
    return path


def _events(log: Path) -> list[dict[str, Any]]:
    try:
        lines = log.read_text().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or "it is not UTF-8 text"
        raise InputError(f"{log}: cannot be read: {why}; give a log of the stage event_log") from error
    events = []
    for number, line in enumerate(lines, 1):
        try:
            event = json.loads(line)
            events.append({key: event[key] for key in ("begin_seconds", "duration_seconds", "peak_area")} | event)
        except (ValueError, KeyError, TypeError) as error:
            raise InputError(
                f"{log}: line {number} is no motion event ({error!r}); give a log of the stage event_log"
            ) from error
    return events


def _captioned(event: dict[str, Any], folder: Path) -> np.ndarray:
    """An event's thumbnail above its caption: uint8 (H, W, 3) RGB."""
    thumbnail = cell(_thumbnail(event, folder))
    caption = strip(_CAPTION_PX, CELL_WIDTH_PX)
    when = event.get("begin_time") or clock(event["begin_seconds"])
    uncertain = ", uncertain" if event.get("uncertain") else ""
    label(caption, f"{when}", (0, 2), TEXT_PX, TITLE, GROUND)
    about = f"{event['duration_seconds']:.1f} s, at most {event['peak_area']:.1%} of the frame{uncertain}"
    label(caption, about, (0, TEXT_PX + 12), TEXT_PX - 2, QUIET, GROUND)
    return np.concatenate([thumbnail, caption])


def _thumbnail(event: dict[str, Any], folder: Path) -> np.ndarray:
    """RGB; plain grey if the log was written without thumbnails, or this one was deleted since."""
    read = cv2.imread(str(folder / event["thumbnail"])) if event.get("thumbnail") else None
    if read is None:
        return np.full((*_EMPTY_SIZE, 3), _EMPTY_GREY, np.uint8)
    return np.asarray(read[..., ::-1], np.uint8)


def _row(cells: list[np.ndarray], columns: int) -> np.ndarray:
    height, width = max(part.shape[0] for part in cells) + GAP_PX, CELL_WIDTH_PX + GAP_PX
    row = strip(height, columns * width)
    for column, part in enumerate(cells):
        row[: part.shape[0], column * width : column * width + CELL_WIDTH_PX] = part
    return row

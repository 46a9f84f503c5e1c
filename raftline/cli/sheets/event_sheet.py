"""One picture of what moved when: ``python -m raftline.cli.sheets.event_sheet SOURCE.motion.jsonl``."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from pipeline.errors import InputError
from raftline.cli.sheets.layout import CELL_WIDTH_PX, GROUND, QUIET, TITLE, cell, sheet_command, strip, write_png
from raftline.drawing import clock, label

MOST_EVENTS = 60
"""Newest ones; a sheet of all that a camera saw would be no overview."""
_COLUMNS = 4
_GAP_PX = 6
_TEXT_PX = 13
_CAPTION_PX = 2 * _TEXT_PX + 22
_NO_PICTURE = (9, 16)


def event_sheet(log: Path) -> Path:
    """Write a PNG beside a log of `EventLog`: picture, begin, duration and peak of each event; returns its path.

    Raises `InputError` for a file that is no such log, or tells of no event; `OutputError`.
    """
    events = _events(log)[-MOST_EVENTS:]
    if not events:
        raise InputError(f"{log}: tells of no event, so there is nothing to show")
    cells = [_captioned(event, log.parent) for event in events]
    columns = min(_COLUMNS, len(cells))
    rows = [_row(cells[at : at + columns], columns) for at in range(0, len(cells), columns)]
    out = log.with_suffix(".png")
    write_png(out, np.concatenate(rows))
    return out


def _events(log: Path) -> list[dict[str, Any]]:
    try:
        lines = log.read_text().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{log}: cannot be read: {error}") from error
    events = []
    for number, line in enumerate(lines, 1):
        try:
            event = json.loads(line)
            events.append({key: event[key] for key in ("begin_seconds", "duration_seconds", "peak_area")} | event)
        except (ValueError, KeyError, TypeError) as error:
            raise InputError(f"{log}: line {number} is no motion event ({error!r}); give a log of event_log") from error
    return events


def _captioned(event: dict[str, Any], folder: Path) -> np.ndarray:
    """uint8 (H, W, 3) RGB: an event's picture over what is to be said of it."""
    picture = cell(_picture(event, folder))
    caption = strip(_CAPTION_PX, CELL_WIDTH_PX)
    when = event.get("begin_time") or clock(event["begin_seconds"])
    doubt = ", uncertain" if event.get("uncertain") else ""
    label(caption, f"{when}", (0, 2), _TEXT_PX, TITLE, GROUND)
    about = f"{event['duration_seconds']:.1f} s, at most {event['peak_area']:.1%} of the frame{doubt}"
    label(caption, about, (0, _TEXT_PX + 12), _TEXT_PX - 2, QUIET, GROUND)
    return np.concatenate([picture, caption])


def _picture(event: dict[str, Any], folder: Path) -> np.ndarray:
    """RGB; grey where the log was written without pictures, or this one was removed since."""
    read = cv2.imread(str(folder / event["thumbnail"])) if event.get("thumbnail") else None
    return np.full((*_NO_PICTURE, 3), 60, np.uint8) if read is None else np.asarray(read[..., ::-1], np.uint8)


def _row(cells: list[np.ndarray], columns: int) -> np.ndarray:
    high, wide = max(part.shape[0] for part in cells) + _GAP_PX, CELL_WIDTH_PX + _GAP_PX
    row = strip(high, columns * wide)
    for column, part in enumerate(cells):
        row[: part.shape[0], column * wide : column * wide + CELL_WIDTH_PX] = part
    return row


def main() -> int:
    told = "what event_log wrote, best with its option `thumbnails`"
    return sheet_command("raftline.cli.sheets.event_sheet", __doc__, event_sheet, "LOG", told)


if __name__ == "__main__":
    sys.exit(main())

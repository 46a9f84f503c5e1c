"""Results of a run for the page to show: events, thumbnails, a clip."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from raftline.event_database import NAME, Event, EventDatabase, cells_of

BEGIN = 1_770_000_000.0
LEFT = cells_of(lambda column, row: column < 8)
OUTSIDE = "outside.jpg"


def lay_out(folder: Path) -> None:
    """Two events of the gate, of which the newer has a clip, and one of the yard, which goes on."""
    (folder / "gate.events").mkdir(parents=True)
    image = np.full((36, 64, 3), 90, np.uint8)
    cv2.imwrite(str(folder / "gate.events/1.jpg"), image)
    (folder.parent / OUTSIDE).write_bytes(b"not yours")
    recordings = folder / "gate.recordings"
    recordings.mkdir()
    (recordings / "one.mp4").write_bytes(bytes(range(200)))
    begin_ns = int((BEGIN + 57) * 1e9)
    record = {"source": "gate", "begin_ns": begin_ns, "end_ns": begin_ns + 10 * 10**9, "begin_seconds": 0.0}
    (recordings / "one.json").write_text(json.dumps({**record, "events": ["b"]}))
    path = ((0.0, 100.0, 100.0), (4.0, 500.0, 200.0))
    with EventDatabase.opened(folder / NAME) as database:
        for uid, source, after, more in (
            ("a", "gate", 0, {"until": BEGIN + 8, "thumbnail": f"../{OUTSIDE}", "cells": LEFT}),
            (
                "b",
                "gate",
                60,
                {"until": BEGIN + 70, "thumbnail": "gate.events/1.jpg", "zones": ("drive",), "path": path},
            ),
            ("c", "yard", 90, {"peak_area": 0.4}),
        ):
            values: dict[str, Any] = {"peak_area": 0.1, "speed_px_s": 50.0, "direction_degrees": 10.0, **more}
            database.put(Event(uid, source, True, BEGIN + after, float(after), 1.0, width=640, height=360, **values))

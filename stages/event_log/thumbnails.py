"""Thumbnails of motion events: one JPEG each, close to its peak."""

from __future__ import annotations

import re
from datetime import datetime, timezone
from pathlib import Path

import cv2
import numpy as np

from pipeline.messages import Mask
from pipeline.stage import Context
from raftline.drawing import box, palette
from stages.shared.color import rgb
from stages.shared.image_files import jpeg
from stages.shared.name_templates import check_fields
from stages.shared.output_errors import write_whole

_QUALITY = 85
"""Of JPEG, 0-100. Chosen by hand."""
_NAME = re.compile(r"(?:\d{8}T\d{6}Z-)?\d{6,}\.jpg")
"""Names that are ours; no other file is ever deleted."""


def check_folder(folder: str) -> str:
    """Return the template if it names a folder per source; raise ValueError if not."""
    check_fields(folder, ("source", "stage"), "source", "sources would overwrite each other's thumbnails; add {source}")
    return folder


class EventThumbnails:
    """Writes thumbnails of the events of one source into a folder; each appears complete or not at all.

    A thumbnail shows the frame with a box around each moving object. It is named by its event's id, for cameras also
    by the event's begin (UTC), because ids start again with each run.
    """

    def __init__(self, context: Context, folder: str, side_px: int, most: int) -> None:
        """
        Args:
            context: of the stage.
            folder: template of the folder's path.
            side_px: longest side of a thumbnail.
            most: largest number in the folder; the oldest are deleted.
        """
        self._context, self._folder, self._side_px, self._most = context, folder, side_px, most

    def name(self, event_id: int, begin_ns: int) -> str:
        """Name of an event's thumbnail, without the folder."""
        if not self._context.source.live:
            return f"{event_id:06d}.jpg"
        return f"{datetime.fromtimestamp(begin_ns // 10**9, timezone.utc):%Y%m%dT%H%M%SZ}-{event_id:06d}.jpg"

    def path(self, name: str) -> Path:
        """Path of the thumbnail with this name."""
        return self._context.output(f"{self._folder}/{name}").path

    def write(self, name: str, message: Mask) -> None:
        """Write an event's thumbnail, or replace it. Raises `OutputError`."""
        output = self._context.output(f"{self._folder}/{name}")
        is_new = not output.path.exists()
        write_whole(output, jpeg(_image(message, self._side_px), _QUALITY))
        if is_new:
            for path in self._all()[: -self._most]:
                path.unlink(missing_ok=True)

    def keep_only(self, last_id: int) -> None:
        """Delete what an earlier run over the same file left: events with higher ids; 0 deletes all."""
        for path in self._all():
            if path.stem.isdigit() and int(path.stem) > last_id:
                path.unlink(missing_ok=True)

    def _all(self) -> list[Path]:
        folder = self.path("000000.jpg").parent
        return sorted(path for path in folder.glob("*.jpg") if _NAME.fullmatch(path.name))


def _image(message: Mask, side_px: int) -> np.ndarray:
    """The frame with boxes: uint8 (H, W, 3) RGB, each side at most `side_px`."""
    image = rgb(message.frame)
    scale = min(1.0, side_px / max(image.shape[:2]))
    size = (max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale)))
    small = np.array(cv2.resize(image, size, interpolation=cv2.INTER_AREA))
    for moving in message.objects:
        x, y, width, height = (round(value * scale) for value in moving.box)
        box(small, x, y, max(1, width), max(1, height), palette(moving.id))
    return small

"""Pictures of motion events: one JPEG each, of about its peak."""

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
from stages.shared.name_templates import check_fields
from stages.shared.output_errors import write_whole

_QUALITY = 85
_NAME = re.compile(r"(?:\d{8}T\d{6}Z-)?\d{6,}\.jpg")
"""So that nothing else is ever removed."""


def check_folder(folder: str) -> str:
    """The template, if it names a folder of one source; ValueError if not."""
    check_fields(folder, ("source", "stage"), "source", "sources would overwrite each other's pictures; add {source}")
    return folder


class EventThumbnails:
    """Writes pictures of the events of one source into a folder, each complete under its name or not at all.

    A picture is named by its event's id, a camera's by when it began (UTC), too, as ids begin anew with each run. It
    shows the frame with the boxes of what moves.
    """

    def __init__(self, context: Context, folder: str, side_px: int, most: int) -> None:
        """side_px: the longer side of a picture at most. most: in the folder; the oldest are removed."""
        self._context, self._folder, self._side_px, self._most = context, folder, side_px, most

    def name(self, event_id: int, begin_ns: int) -> str:
        """The name of an event's picture, without the folder."""
        if not self._context.source.live:
            return f"{event_id:06d}.jpg"
        return f"{datetime.fromtimestamp(begin_ns // 10**9, timezone.utc):%Y%m%dT%H%M%SZ}-{event_id:06d}.jpg"

    def path(self, name: str) -> Path:
        """Where the picture lies."""
        return self._context.output(f"{self._folder}/{name}").path

    def write(self, name: str, message: Mask) -> None:
        """Write an event's picture, or replace it. Raises `OutputError`."""
        output = self._context.output(f"{self._folder}/{name}")
        picture = _picture(message, self._side_px)
        _, encoded = cv2.imencode(".jpg", picture[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
        isnew = not output.path.exists()
        write_whole(output, encoded.data)
        if isnew:
            for path in self._all()[: -self._most]:
                path.unlink(missing_ok=True)

    def keep_only(self, last_id: int) -> None:
        """Remove what an earlier run over the same file left behind: events of higher ids; 0 removes all."""
        for path in self._all():
            if path.stem.isdigit() and int(path.stem) > last_id:
                path.unlink(missing_ok=True)

    def _all(self) -> list[Path]:
        folder = self.path("000000.jpg").parent
        return sorted(path for path in folder.glob("*.jpg") if _NAME.fullmatch(path.name))


def _picture(message: Mask, side_px: int) -> np.ndarray:
    """uint8 (H, W, 3) RGB, at most `side_px` long."""
    picture = rgb(message.frame)
    scale = min(1.0, side_px / max(picture.shape[:2]))
    size = (max(1, round(picture.shape[1] * scale)), max(1, round(picture.shape[0] * scale)))
    small = np.array(cv2.resize(picture, size, interpolation=cv2.INTER_AREA))
    for moving in message.objects:
        x, y, width, height = (round(value * scale) for value in moving.box)
        box(small, x, y, max(1, width), max(1, height), palette(moving.id))
    return small

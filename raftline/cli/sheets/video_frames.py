"""Single frames of a video, by time."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from av.container import InputContainer
from av.error import FFmpegError

from pipeline.errors import InputError
from stages.shared.media_files import open_media, reason


class _Shown(NamedTuple):
    seconds: float
    """Presentation time."""
    image: np.ndarray
    """uint8 (H, W, 3) RGB"""


class VideoFrames:
    """Random access to the frames of a video file. Raises `InputError` if it is none."""

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            self._container: InputContainer = open_media(path)
        except (OSError, FFmpegError, ValueError) as error:
            raise InputError(f"{path}: cannot be opened as a video: {reason(error)}") from error
        if not self._container.streams.video or self._container.streams.video[0].time_base is None:
            self._container.close()
            raise InputError(f"{path}: contains no video")
        stream = self._container.streams.video[0]
        self._stream, self._unit = stream, float(stream.time_base or 1)
        self.begin_seconds = (stream.start_time or 0) * self._unit
        self.duration_seconds = (stream.duration or 0) * self._unit
        self.count = stream.frames

    def frame_at(self, seconds: float) -> np.ndarray:
        """The frame shown at a presentation time, or the nearest: uint8 (H, W, 3) RGB."""
        found = None
        for frame in self._from(seconds):
            if found is not None and frame.seconds > seconds + 0.5 * self._unit:
                break
            found = frame
        if found is None:
            raise InputError(f"{self._path}: no frame can be decoded")
        return found.image

    def mean(self, begin_seconds: float, lasting_seconds: float) -> np.ndarray:
        """The mean of all frames of a time span: uint8 (H, W, 3) RGB. What stands still is sharp in it."""
        total, count = None, 0
        for frame in self._from(begin_seconds):
            if frame.seconds > begin_seconds + lasting_seconds and count:
                break
            if frame.seconds >= begin_seconds or total is None:
                total = frame.image.astype(np.float32) + (0 if total is None else total)
                count += 1
        if total is None:
            raise InputError(f"{self._path}: no frame can be decoded")
        return (total / count).round().astype(np.uint8)

    def close(self) -> None:
        self._container.close()

    def _from(self, seconds: float) -> Iterator[_Shown]:
        """Every frame from the key frame before a time on."""
        self._container.seek(int(seconds / self._unit), stream=self._stream, backward=True)
        for frame in self._container.decode(self._stream):
            yield _Shown((frame.pts or 0) * self._unit, frame.to_ndarray(format="rgb24"))

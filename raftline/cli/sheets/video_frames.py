"""Single pictures out of a video, by time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
from av.container import InputContainer
from av.error import FFmpegError

from pipeline.errors import InputError


@dataclass(frozen=True)
class Moment:
    """A picture and when it is shown."""

    seconds: float
    """Presentation time."""
    picture: np.ndarray
    """uint8 (H, W, 3) RGB"""


class VideoMoments:
    """A video file, for looking at here and there. Raises `InputError` where it is none."""

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            self._container: InputContainer = av.open(str(path), options={"protocol_whitelist": "file"})
        except (OSError, FFmpegError) as error:
            raise InputError(f"{path}: cannot be opened as a video: {error.strerror or error}") from error
        if not self._container.streams.video or self._container.streams.video[0].time_base is None:
            self._container.close()
            raise InputError(f"{path}: holds no video")
        stream = self._container.streams.video[0]
        self._stream, self._unit = stream, float(stream.time_base or 1)
        self.begin_seconds = (stream.start_time or 0) * self._unit
        self.duration_seconds = (stream.duration or 0) * self._unit
        self.frames = stream.frames

    def at(self, seconds: float) -> Moment:
        """The picture that is shown at a presentation time, or the nearest."""
        found = None
        for moment in self._from(seconds):
            if found is not None and moment.seconds > seconds + 0.5 * self._unit:
                break
            found = moment
        if found is None:
            raise InputError(f"{self._path}: no picture can be decoded")
        return found

    def mean(self, seconds: float, lasting_seconds: float) -> np.ndarray:
        """The mean of all pictures from a time on: uint8 (H, W, 3) RGB. What stands still in it is sharp."""
        total, count = None, 0
        for moment in self._from(seconds):
            if moment.seconds > seconds + lasting_seconds and count:
                break
            if moment.seconds >= seconds or total is None:
                total = moment.picture.astype(np.float32) + (0 if total is None else total)
                count += 1
        if total is None:
            raise InputError(f"{self._path}: no picture can be decoded")
        return (total / count).round().astype(np.uint8)

    def close(self) -> None:
        self._container.close()

    def _from(self, seconds: float) -> Iterator[Moment]:
        """Every picture from the key frame before a time on."""
        self._container.seek(int(seconds / self._unit), stream=self._stream, backward=True)
        for frame in self._container.decode(self._stream):
            yield Moment((frame.pts or 0) * self._unit, frame.to_ndarray(format="rgb24"))

"""The frames of a short clip, kept so that they are decoded once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from pipeline.messages import Frame

_MOST_BYTES = 128_000_000
"""As much as all streams of a run take in shared memory by default: 370 frames of 640x360. Chosen by hand."""


class KeptFrames:
    """All frames of a clip from its first one on, in this process' memory; none once they are too many."""

    def __init__(self, most_bytes: int = _MOST_BYTES) -> None:
        """Begin with no frame, and keep up to `most_bytes` of pixels."""
        self._frames: list[Frame] | None = []
        self._room = most_bytes

    @property
    def all(self) -> Sequence[Frame] | None:
        """The frames, in order; None: they are to be read again."""
        return self._frames

    def add(self, frame: Frame) -> None:
        """Keep a copy of a frame, while there is room."""
        if self._frames is None:
            return
        planes = [np.asarray(plane) for plane in frame.planes]
        self._room -= sum(plane.nbytes for plane in planes)
        if self._room < 0:
            self.give_up()
        else:
            self._frames.append(replace(frame, planes=tuple(plane.copy() for plane in planes)))

    def give_up(self) -> None:
        """Keep none: some are not here, or others are to be corrected."""
        self._frames = None

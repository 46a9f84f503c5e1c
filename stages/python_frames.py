"""Frames that a Python program hands over, in its own process."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from fractions import Fraction
from typing import Any

import numpy as np
from pydantic import Field

from pipeline import stage
from pipeline.errors import InputError
from pipeline.messages import Frame, Gap
from raftline.raft.rgb import check_rgb

_TIME_BASE = 90_000
"""Ticks a second, as of RTP and MPEG-TS: common frame rates are whole numbers of them."""
_HANDED_OVER: dict[int, Iterable[np.ndarray]] = {}
_NUMBERS = itertools.count(1)


class _Exhausted:
    """What is left of a generator once it is read."""

    def __iter__(self) -> Iterator[np.ndarray]:
        raise InputError(
            "frames: a generator can be read only once, and this needs to read it twice; hand over a list of frames, "
            "or choose what reads once (for stabilization smoothing='look_ahead')"
        )


def hand_over(frames: Iterable[np.ndarray]) -> int:
    """Keep frames for a `PythonFrames` source of this process; the number is its option `frames`."""
    number = next(_NUMBERS)
    _HANDED_OVER[number] = frames
    return number


def take_back(number: int) -> None:
    """Forget what was handed over."""
    _HANDED_OVER.pop(number, None)


class PythonFrames(stage.Source):
    """Reads frames that a program handed over: uint8 (H, W, 3) RGB arrays of one size, 1 / `fps` apart."""

    class Options(stage.Options):
        frames: int = Field(description="number that `hand_over` gave")
        fps: float = Field(30.0, gt=0, le=1000, description="frames per second")

    def read(self, start_index: int) -> Iterator[Frame | Gap]:
        frames = _HANDED_OVER.get(self.options.frames)
        if frames is None:
            raise InputError("frames: none were handed over in this process; use raftline.video to do so")
        if iter(frames) is frames:
            # Left behind for whoever comes again, such as a stage that reads its input twice.
            _HANDED_OVER[self.options.frames] = _Exhausted()
        first: tuple[int, ...] | None = None
        for index, given in enumerate(frames):
            image = checked_image(given, f"frame {index}")
            first = first or image.shape
            if image.shape != first:
                raise InputError(f"frame {index}: found {image.shape}, but frame 0 has {first}; expected one size")
            if index >= start_index:
                yield self._frame(image, index)

    def frame_count(self) -> int | None:
        frames = _HANDED_OVER.get(self.options.frames)
        return len(frames) if isinstance(frames, Sequence) else None

    def _frame(self, image: np.ndarray, index: int) -> Frame:
        height, width = image.shape[:2]
        pts = round(index * _TIME_BASE / self.options.fps)
        header = self.context.header(pts, Fraction(1, _TIME_BASE))
        return Frame(header, index, width, height, "rgb24", (image,), "rgb", "pc")


def checked_image(image: Any, name: str) -> np.ndarray:
    """`image` as an array, if it is uint8 (H, W, 3). Raises `InputError`, which says what was found."""
    array = np.asarray(image)
    try:
        check_rgb(array, name)
    except ValueError as error:
        raise InputError(str(error)) from None
    return array

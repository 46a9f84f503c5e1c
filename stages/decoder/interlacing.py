"""Interlaced video becomes progressive: of the two fields of a frame, which show two moments, whole frames are made.

Two things tell that video is interlaced: the stream, frame by frame, and the frames themselves, in which whatever moves
has the edges of a comb. Files of which the stream says nothing, or a lie, are common.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

import av
import av.error
import cv2
import numpy as np
from av.filter import Graph

from stages.shared.color import plane_array

_HELD_FRAMES = 8
"""Frames at the beginning that wait until it is known whether they are interlaced. Chosen by hand."""
_JUDGED_FRAMES = 24
"""Moving frames after which a file is taken for progressive, unless its stream says otherwise. Chosen by hand."""
_SURE_FRAMES = 3
"""Combed frames that are enough, if they are most of those that move. Chosen by hand."""
_RESTED_FRAMES, _REST_STEP = 24, 4
"""After so many frames in a row without motion one in four is looked at, until something moves. Chosen by hand."""
_LEVELS = (12, 40)
"""Least and greatest difference in luma, of 255, that counts as motion. Chosen by hand."""
_ABOVE_NOISE = 3.0
"""Between the two, this many times the median difference between frames, which is noise. Chosen by hand."""
_COLUMNS = 256
"""Of each frame that are looked at. Chosen by hand."""
_LEAST_MOVING = 0.002
"""Share of the pixels that must move for a frame to tell anything. Chosen by hand."""
_LEAST_COMBED = 0.08
"""Share of the moving pixels that stand out from both rows beside theirs, less those that stand out from the next but
one: texture and noise do both alike, a comb only the first. Chosen on 18 real clips, 14 of which become interlaced to
this measure, in the right order of fields, when every two frames are woven into one; none has such a frame as it is."""


class _Waiting(NamedTuple):
    """What a filter does not pass on of a frame inside it."""

    pts: int | None
    time_base: Any
    duration: int
    colorspace: int
    color_range: int


class Deinterlacer:
    """Deinterlaces the frames of one container from the first one on that is known to need it, with bwdif.

    Frames keep their number and their times. Progressive frames pass untouched.
    """

    def __init__(self, say: Callable[[str], None], look: bool) -> None:
        """
        Args:
            say: called once with why frames are deinterlaced.
            look: whether to judge by the frames, too, which holds the first ones back; for files.
        """
        self._say = say
        self._combing = Combing() if look else None
        self._arguments: str | None = None
        self._graph: Graph | None = None
        self._size: tuple[int, int, str] | None = None
        self._inside: deque[_Waiting] = deque()

    def frames(self, frames: Iterable[av.VideoFrame]) -> Iterator[av.VideoFrame]:
        """The frames, all progressive."""
        held: list[av.VideoFrame] = []
        for frame in frames:
            self._judge(frame)
            held.append(frame)
            if self._arguments is None and self._combing is not None and self._combing.seen < _HELD_FRAMES:
                continue
            for each in held:
                yield from self._passed(each)
            held = []
        for each in held:
            yield from self._passed(each)
        yield from self._drained()

    def _judge(self, frame: av.VideoFrame) -> None:
        if self._arguments is not None:
            return
        if frame.interlaced_frame:
            self._begin("deint=interlaced:parity=auto", "the stream is interlaced")
        elif self._combing is not None and not self._combing.finished:
            self._combing.look_at(frame)
            if self._combing.is_interlaced:
                parity = "tff" if self._combing.top_field_first else "bff"
                why = f"the frames are interlaced ({parity}), though the stream does not say so"
                self._begin(f"deint=all:parity={parity}", why)

    def _begin(self, arguments: str, why: str) -> None:
        self._arguments = f"mode=send_frame:threads=1:{arguments}"
        self._say(f"bwdif: {why}")

    def _passed(self, frame: av.VideoFrame) -> Iterator[av.VideoFrame]:
        if self._arguments is None:
            yield frame
            return
        size = frame.width, frame.height, frame.format.name
        if size != self._size:
            yield from self._drained()
            self._graph, self._size = _graph(frame, self._arguments), size
        assert self._graph is not None
        self._inside.append(
            _Waiting(frame.pts, frame.time_base, frame.duration, int(frame.colorspace), int(frame.color_range))
        )
        self._graph.vpush(frame)
        yield from self._ready()

    def _drained(self) -> Iterator[av.VideoFrame]:
        if self._graph is not None:
            self._graph.vpush(None)
            yield from self._ready()
            self._graph = self._size = None

    def _ready(self) -> Iterator[av.VideoFrame]:
        assert self._graph is not None
        while self._inside:
            try:
                frame = self._graph.vpull()
            except (av.error.BlockingIOError, av.error.EOFError):
                return
            waiting = self._inside.popleft()
            # The filter counts in halves of the unit.
            frame.pts, frame.time_base, frame.duration = waiting.pts, waiting.time_base, waiting.duration
            frame.colorspace, frame.color_range = waiting.colorspace, waiting.color_range
            yield frame


def _graph(frame: av.VideoFrame, arguments: str) -> Graph:
    graph = Graph()
    source = graph.add_buffer(width=frame.width, height=frame.height, format=frame.format, time_base=frame.time_base)
    bwdif, sink = graph.add("bwdif", arguments), graph.add("buffersink")
    source.link_to(bwdif)
    bwdif.link_to(sink)
    graph.configure()
    return graph


class Combing:
    """Judges by the frames whether video is interlaced, and which field comes first."""

    def __init__(self) -> None:
        self.seen = 0
        """Frames that were looked at."""
        self._moving = self._combed = self._resting = 0
        self._top_first_px = self._bottom_first_px = 0
        self._previous: np.ndarray | None = None

    @property
    def is_interlaced(self) -> bool:
        """Whether the frames so far leave no doubt."""
        return self._combed >= _SURE_FRAMES and 2 * self._combed > self._moving

    @property
    def top_field_first(self) -> bool:
        """Whether the upper row of each two was taken before the lower one."""
        return self._top_first_px <= self._bottom_first_px

    @property
    def finished(self) -> bool:
        """Whether further frames would change nothing."""
        return self._moving >= _JUDGED_FRAMES

    def look_at(self, frame: av.VideoFrame) -> None:
        """Judge by one frame more."""
        self.seen += 1
        rests = self._resting >= _RESTED_FRAMES
        if rests and self.seen % _REST_STEP:
            return
        luma, before = _luma(frame), self._previous
        self._previous = luma
        if luma is None or before is None or before.shape != luma.shape:
            return
        difference = cv2.absdiff(luma, before)
        if np.count_nonzero(difference[2:-2] > _LEVELS[0]) < _LEAST_MOVING * difference[2:-2].size:
            self._resting += 1
            return  # nothing moves whatever the noise is, as most of the time before a camera that stands
        self._resting = 0
        if rests:
            return  # the frame looked at before is not the one before this one
        levels = int(np.clip(_ABOVE_NOISE * _median(difference), *_LEVELS))
        moving = difference[2:-2] > levels
        moving_px = np.count_nonzero(moving)
        if moving_px < _LEAST_MOVING * moving.size:
            return
        self._moving += 1
        combed_px = _standing_out(luma, 1, levels, moving) - _standing_out(luma, 2, levels, moving)
        if combed_px < _LEAST_COMBED * moving_px:
            return
        self._combed += 1
        # Fields that follow each other fit best: the last of the frame before and the first of this one.
        upper, lower = luma.copy(), luma.copy()
        upper[1::2], lower[0::2] = before[1::2], before[0::2]
        self._top_first_px += _standing_out(upper, 1, levels, moving)
        self._bottom_first_px += _standing_out(lower, 1, levels, moving)


def _luma(frame: av.VideoFrame) -> np.ndarray | None:
    """Some columns of the frame's luma, uint8 (H, W); None if it has none."""
    if frame.format.is_rgb or frame.format.has_palette or frame.height < 5:
        return None
    bits = frame.format.components[0].bits
    values = plane_array(frame.planes[0], np.uint16 if bits > 8 else np.uint8)[: frame.height, : frame.width]
    step = max(1, frame.width // _COLUMNS)
    some = values[:, ::step]
    return np.array(some if bits <= 8 else some >> (bits - 8), np.uint8, order="C")


def _median(levels: np.ndarray) -> float:
    """The median of uint8 (H, W): counting takes a tenth of the time of ranking, at the start of every file."""
    up_to = np.cumsum(cv2.calcHist([levels], [0], None, [256], [0, 256]), dtype=np.float64)
    below, above = np.searchsorted(up_to, ((levels.size - 1) // 2, levels.size // 2), side="right")
    return (int(below) + int(above)) / 2


def _standing_out(luma: np.ndarray, distance: int, levels: int, where: np.ndarray) -> int:
    """Count px of rows 2 to -2 that are `levels` brighter, or darker, than those `distance` rows above and below."""
    rows = luma[2:-2]
    above, below = luma[2 - distance : -2 - distance], luma[2 + distance : len(luma) - 2 + distance]
    brighter = cv2.min(cv2.subtract(rows, above), cv2.subtract(rows, below))
    darker = cv2.min(cv2.subtract(above, rows), cv2.subtract(below, rows))
    return int(np.count_nonzero((cv2.max(brighter, darker) > levels) & where))

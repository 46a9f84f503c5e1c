"""Frames at the pace of their time stamps, where a stream comes in bursts."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator

import av

_FARTHEST_SECONDS = 30.0
"""A frame that is farther ahead has a time stamp of another clock: it begins the pace anew. Chosen by hand: longer than
the segments that playlists are made of."""


def paced(
    frames: Iterator[av.VideoFrame], stopped: threading.Event, now: Callable[[], float] = time.monotonic
) -> Iterator[av.VideoFrame]:
    """Hold each frame back until it is due, counted from the first; one that is late begins the pace anew."""
    begin: float | None = None
    for frame in frames:
        if frame.pts is not None and frame.time_base is not None:
            at = float(frame.pts * frame.time_base)
            ahead = 0.0 if begin is None else begin + at - now()
            if begin is None or ahead < 0 or ahead > _FARTHEST_SECONDS:
                begin = now() - at
            elif stopped.wait(ahead):
                return
        yield frame

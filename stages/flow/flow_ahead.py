"""Estimates flow for another run of the same file, which is not there yet."""

from __future__ import annotations

from collections.abc import Iterable

from pipeline.messages import EndOfStream, Frame, Gap, Message
from stages.flow.stage import OpticalFlow

_LOOK_FRAMES = 25
"""Frames between two looks whether anybody waits for flow still. Chosen by hand: a second of video."""


class FlowAhead(OpticalFlow):
    """Estimates flow, puts it into its store (option `store`), and yields nothing, until the store is closed."""

    writes = None

    def process(self, message: Frame) -> Iterable[Message]:
        if message.index % _LOOK_FRAMES == 0 and self._store is not None:
            self._closed = self._store.closed
        if not self._closed:
            for _ in super().process(message):
                pass
        return ()

    def gap(self, gap: Gap) -> Iterable[Message]:
        for _ in super().gap(gap):
            pass
        return ()

    def flush(self, end: EndOfStream) -> Iterable[Message]:
        return ()

    _closed = False

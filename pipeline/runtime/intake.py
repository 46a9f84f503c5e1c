"""What a stage has read of one source, entry by entry: decoded, or let go without being processed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import numpy as np

from pipeline.arrays import LazyArray
from pipeline.codec import decode_with_arrays
from pipeline.errors import StalePayloadError
from pipeline.messages import Message
from pipeline.payload.base import Payload
from pipeline.runtime.inbox import Inbox
from pipeline.runtime.metrics import DROPPED
from pipeline.transport.base import START, Entry, Position


class Taken(NamedTuple):
    """An entry that was decoded but not yet processed."""

    id: str
    message: Message
    position: Position
    arrays: Sequence[LazyArray] = ()
    """All of the message."""


class LetGo(NamedTuple):
    """An entry that is not processed."""

    id: str
    position: Position | None = None
    count: str | None = None
    """Under which it is counted; None: it repeats another, or was trimmed."""


class Intake:
    """Decides what becomes of each entry.

    Args:
        inbox: Where it was put.
        payload: Has its pixels.
        live: Whether it may be dropped.
        done: Position up to which earlier workers have processed.
        count: Adds to a counter.
    """

    def __init__(
        self, inbox: Inbox, payload: Payload, live: bool, done: Position, count: Callable[[str, int], None]
    ) -> None:
        self._inbox, self._payload, self._live, self._done, self._count = inbox, payload, live, done, count
        self.seen = START
        """Position of the last entry that was looked at."""

    def decoded(self, entry: Entry) -> Taken | LetGo:
        """Decode an entry. Raises `DecodeError` if it is no message."""
        unread = self._inbox.unread(entry)
        if unread and self._live:
            self._count(f"{DROPPED}unread", unread)
        message, arrays = decode_with_arrays(entry.fields, self._payload) if entry.fields else (None, [])
        position = Position(message.header.epoch, message.header.sequence) if message else START
        if message is None or position <= self.seen:
            return LetGo(entry.id)
        self.seen = position
        if position > self._done and self._inbox.too_late(entry, message):  # what was processed is needed again
            return LetGo(entry.id, position, f"{DROPPED}late")
        if self._live and not _fetched(arrays):
            return LetGo(entry.id, position, f"{DROPPED}recycled")
        return Taken(entry.id, message, position, arrays)


def _fetched(arrays: Iterable[LazyArray]) -> bool:
    """Get the pixels now. False if they were recycled meanwhile."""
    try:
        for array in arrays:
            np.asarray(array)
    except StalePayloadError:
        return False
    return True

"""What a stage has read of one source, entry by entry: decoded, or let go without being processed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from pipeline.arrays import LazyArray
from pipeline.codec import decode_with_arrays
from pipeline.errors import StalePayloadError
from pipeline.messages import EndOfStream, Gap, Message
from pipeline.payload.base import Payload
from pipeline.runtime.context import WorkerContext
from pipeline.runtime.entries import tells_once
from pipeline.runtime.inbox import Inbox
from pipeline.runtime.metrics import DROPPED, RECYCLED
from pipeline.transport.base import START, Entry, Position


class Taken(NamedTuple):
    """An entry that was decoded but not yet processed."""

    id: str
    message: Message
    position: Position
    arrays: Sequence[LazyArray] = ()
    """All of the message."""
    recycled: bool = False
    """They are gone, but the message tells of something that no later one does."""

    @property
    def is_processed(self) -> bool:
        """Whether it goes to `Stage.process`."""
        return not (self.recycled or isinstance(self.message, (Gap, EndOfStream)))


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
        context: Counts what was dropped, and logs (DEBUG) each message of it.
    """

    def __init__(self, inbox: Inbox, payload: Payload, live: bool, done: Position, context: WorkerContext) -> None:
        self._inbox, self._payload, self._live, self._done, self._context = inbox, payload, live, done, context
        self.seen = START
        """Position of the last entry that was looked at."""

    def decoded(self, entry: Entry) -> Taken | LetGo:
        """Decode an entry. Raises `DecodeError` if it is no message."""
        unread = self._inbox.unread(entry)
        if unread and self._live:
            self._context.count(f"{DROPPED}unread", unread)
        message, arrays = decode_with_arrays(entry.fields, self._payload) if entry.fields else (None, [])
        position = Position(message.header.epoch, message.header.sequence) if message else START
        if message is None or position <= self.seen:
            return LetGo(entry.id)
        if unread and self._live:
            self._say("trimmed: %s unread of %s after %s and before %s", unread, max(self.seen, self._done), position)
        self.seen = position
        if position > self._done and self._inbox.too_late(entry, message):  # what was processed is needed again
            return self._dropped(entry, position, "late")
        if self._live and not _fetched(arrays):
            dropped = self._dropped(entry, position, RECYCLED)
            return Taken(entry.id, message, position, arrays, True) if tells_once(message) else dropped
        return Taken(entry.id, message, position, arrays)

    def _dropped(self, entry: Entry, position: Position, why: str) -> LetGo:
        self._say("dropped: %s of %s at %s", why, position)
        return LetGo(entry.id, position, f"{DROPPED}{why}")

    def _say(self, words: str, first: object, *others: object) -> None:
        self._context.log.debug(words, first, self._context.source.name, *others)


def _fetched(arrays: Iterable[LazyArray]) -> bool:
    """Get the pixels now. False if they were recycled meanwhile."""
    try:
        for array in arrays:
            np.asarray(array)
    except StalePayloadError:
        return False
    return True

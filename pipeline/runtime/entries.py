"""What is asked of a stream entry besides the message in it."""

from __future__ import annotations

from dataclasses import replace

from pipeline.codec import decode, encode
from pipeline.errors import DecodeError, RaftlineError
from pipeline.messages import Data, Mask, Message
from pipeline.payload.base import Payload
from pipeline.payload.inline import InlinePayload
from pipeline.transport.base import Entry, Position


def ends(entry: Entry) -> bool:
    """Whether it is the end of the source."""
    return entry.fields.get(b"type") == b"EndOfStream"


def position_of(entry: Entry, payload: Payload) -> Position | None:
    """The position of its message; None if it is none."""
    try:
        header = decode(entry.fields, payload).header
    except DecodeError:
        return None
    return Position(header.epoch, header.sequence)


def with_pixels(entry: Entry, payload: Payload) -> Entry:
    """The entry with its pixels in it, if they can be had: their slots are soon used for others."""
    try:
        whole = encode(decode(entry.fields, payload), InlinePayload())
    except RaftlineError:
        return entry
    return replace(entry, fields={name.encode(): value for name, value in whole.fields.items()})


def tells_once(message: Message) -> bool:
    """Whether a message tells of something that no later one repeats: an event that begins or ends, or `Data.once`."""
    return (isinstance(message, Mask) and bool(message.events)) or (isinstance(message, Data) and message.once)

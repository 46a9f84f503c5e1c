"""What a stage asks of an entry besides its message: whether it ends the source, where it stands, and its pixels."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pipeline.codec import decode, encode
from pipeline.messages import EndOfStream, Frame, Message
from pipeline.payload.inline import InlinePayload
from pipeline.payload.ring_space import RingBudget
from pipeline.payload.shared_memory import SharedMemoryPayload
from pipeline.runtime.entries import ends, position_of, with_pixels
from pipeline.testing import make_frame
from pipeline.transport.base import Entry, Position


@pytest.fixture
def payload(tmp_path: Path) -> SharedMemoryPayload:
    return SharedMemoryPayload(tmp_path, "a:decoder", RingBudget(3, live=True))


def frame() -> Frame:
    made = make_frame(np.full((4, 6), 7, np.uint8))
    return replace(made, header=replace(made.header, epoch=5, sequence=9))


def entry(message: Message, payload: SharedMemoryPayload) -> Entry:
    return Entry("3-1", {name.encode(): value for name, value in encode(message, payload).fields.items()})


def test_only_the_end_of_a_source_ends_it(payload: SharedMemoryPayload) -> None:
    assert ends(entry(EndOfStream(frame().header), payload))
    assert not ends(entry(frame(), payload))
    assert not ends(Entry("1-0", {b"hello": b"world"}))


def test_a_message_has_a_position_and_nonsense_has_none(payload: SharedMemoryPayload) -> None:
    assert position_of(entry(frame(), payload), payload) == Position(5, 9)
    assert position_of(Entry("1-0", {b"hello": b"world"}), payload) is None


def test_an_entry_that_is_put_aside_has_its_pixels_with_it(payload: SharedMemoryPayload) -> None:
    whole = with_pixels(entry(frame(), payload), payload)
    assert whole.id == "3-1"
    message = decode(whole.fields, InlinePayload())
    assert isinstance(message, Frame) and np.asarray(message.planes[0]).tolist() == [[7] * 6] * 4


def test_where_the_pixels_are_gone_the_entry_stays_as_it_is(payload: SharedMemoryPayload) -> None:
    stale = entry(frame(), payload)
    for _ in range(4):
        entry(frame(), payload)
    assert with_pixels(stale, payload) == stale
    nonsense = Entry("1-0", {b"hello": b"world"})
    assert with_pixels(nonsense, payload) == nonsense

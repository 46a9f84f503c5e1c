from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.codec import decode, encode
from pipeline.errors import DecodeError
from pipeline.messages import (
    Data,
    EndOfStream,
    Flow,
    Gap,
    Header,
    Mask,
    Message,
    MotionEvent,
    MotionObject,
    Stabilized,
)
from pipeline.payload.inline import InlinePayload
from pipeline.payload.ring_space import RingBudget
from pipeline.payload.shared_memory import SharedMemoryPayload
from pipeline.testing import make_frame

HEADER = Header("cam.1", 3003, Fraction(1, 90000), 1_700_000_000_123_456_789, epoch=1_700_000_000, sequence=42)
FRAME = make_frame(np.zeros((4, 6), np.uint8), 41, header=HEADER)
GRID = np.full((1, 1, 2), 0.5, np.float32)
MESSAGES: list[Message] = [
    FRAME,
    Flow(HEADER, FRAME, "warm", GRID, GRID.astype(np.float16), None, 40, 0.04, 12),
    Flow(HEADER, FRAME, "first", None),
    Mask(
        HEADER,
        FRAME,
        np.ones((4, 6), np.uint8),
        (MotionObject(3, (1, 2, 3, 4), 12, (0.5, -1.5)),),
        (MotionEvent(1, 0.5, None, 0.6, 0.25, (3,)),),
        (1.0, 0.0, 2.0, 0.0, 1.0, 3.0, 0.0, 0.0, 1.0),
        True,
    ),
    Stabilized(HEADER, make_frame(np.ones((4, 6), np.uint8), header=HEADER), tuple(float(i) for i in range(9)), FRAME),
    Data(
        HEADER, "count", {"type": "car", "array": 7, "nested": {"a": [1, None]}}, {"heat": GRID, "array": GRID}, FRAME
    ),
    Gap(HEADER, "reconnect", "camera came back", 1.25),
    EndOfStream(HEADER, "failed", "not a video"),
]


def through(message: Message) -> Message:
    payload = InlinePayload()
    return decode({name.encode(): value for name, value in encode(message, payload).fields.items()}, payload)


def same(a: object, b: object) -> bool:
    if hasattr(a, "__array__"):
        return np.array_equal(np.asarray(a), np.asarray(b)) and np.asarray(a).dtype == np.asarray(b).dtype
    if isinstance(a, tuple):
        return isinstance(b, tuple) and len(a) == len(b) and all(same(x, y) for x, y in zip(a, b, strict=True))
    if isinstance(a, dict):
        return isinstance(b, dict) and a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    if hasattr(a, "__dataclass_fields__"):
        return type(a) is type(b) and same(vars(a), vars(b))
    return a == b and type(a) is type(b)


@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: type(message).__name__)
def test_a_message_comes_back_as_it_was(message: Message) -> None:
    assert same(message, through(message))


def test_an_entry_with_pixels_in_shared_memory_is_under_a_kilobyte(tmp_path: Path) -> None:
    payload = SharedMemoryPayload(tmp_path, "front_door:optical_flow", RingBudget(4))
    yuv = make_frame(np.zeros((1080, 1920), np.uint8), 123456, header=HEADER)
    flow = Flow(HEADER, yuv, "warm", np.zeros((135, 240, 2), np.float32), None, None, 123455, 0.04, 12)
    assert encode(flow, payload).size_bytes < 1000


def test_an_array_without_elements_comes_back() -> None:
    received = through(Data(HEADER, "boxes", arrays={"boxes": np.zeros((0, 4), np.float32)}))
    assert isinstance(received, Data) and np.asarray(received.arrays["boxes"]).shape == (0, 4)


def test_numpy_scalars_are_accepted_in_values() -> None:
    box = MotionObject(1, tuple(np.arange(4)), np.int64(3), (np.float32(0.5), np.float32(1)))  # type: ignore[arg-type]
    received = through(Mask(HEADER, FRAME, np.ones((4, 6), np.uint8), (box,)))
    assert isinstance(received, Mask)
    assert received.objects[0].box == (0, 1, 2, 3)


@given(st.dictionaries(st.binary(max_size=8), st.binary(max_size=64)))
def test_garbage_is_refused(entry: dict[bytes, bytes]) -> None:
    with pytest.raises(DecodeError):
        decode(entry, InlinePayload())


@given(
    st.recursive(st.none() | st.integers() | st.text(max_size=5), lambda c: st.lists(c) | st.dictionaries(st.text(), c))
)
def test_a_body_that_is_json_and_no_message_is_refused(body: object) -> None:
    with pytest.raises(DecodeError):
        decode({b"format": b"raftline/1", b"type": b"Frame", b"body": json.dumps(body).encode()}, InlinePayload())


def test_another_format_version_is_named() -> None:
    fields = {name.encode(): value for name, value in encode(FRAME, InlinePayload()).fields.items()}
    with pytest.raises(DecodeError, match=r"raftline/9.*raftline/1"):
        decode({**fields, b"format": b"raftline/9"}, InlinePayload())


@pytest.mark.parametrize(
    ("field", "value"),
    [(b"a0", b"short"), (b"body", b"{}"), (b"body", b'{"payload":[],"type":"Header"}'), (b"body", b'{"payload":[{}]}')],
)
def test_a_damaged_entry_is_refused(field: bytes, value: bytes) -> None:
    fields = {name.encode(): value for name, value in encode(FRAME, InlinePayload()).fields.items()}
    with pytest.raises(DecodeError):
        decode({**fields, field: value}, InlinePayload())


def test_object_arrays_are_refused() -> None:
    fields = {name.encode(): value for name, value in encode(FRAME, InlinePayload()).fields.items()}
    body = fields[b"body"].replace(b'"|u1"', b'"|O"')
    with pytest.raises(DecodeError, match="not allowed"):
        decode({**fields, b"body": body}, InlinePayload())


def test_a_header_survives_json() -> None:
    assert Header.from_json(json.loads(json.dumps(HEADER.to_json()))) == HEADER
    assert HEADER.to_json()["time_base"] == "1/90000"


def test_a_header_without_the_fields_that_have_defaults_is_read() -> None:
    values = {"source": "cam", "pts": 3, "time_base": "1", "arrival_ns": 5}
    assert Header.from_json(values) == Header("cam", 3, Fraction(1), 5)

"""What every payload promises, and what shared memory promises besides."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.codec import decode, encode, materialize
from pipeline.errors import DecodeError, StalePayloadError, TransportError
from pipeline.messages import Frame
from pipeline.payload.base import ArrayPlace, Payload, SlotPlace
from pipeline.payload.inline import InlinePayload
from pipeline.payload.ring_space import RingBudget
from pipeline.payload.shared_memory import Ring, SharedMemoryPayload
from pipeline.testing import make_frame

MakePayload = Callable[[], Payload]


@pytest.fixture(params=["inline", "shm"])
def make_payload(request: pytest.FixtureRequest, tmp_path: Path) -> MakePayload:
    if request.param == "inline":
        return InlinePayload
    return lambda: SharedMemoryPayload(tmp_path, "cam:decoder", RingBudget(4))


def through(frame: Frame, writer: Payload, reader: Payload) -> Frame:
    entry = {name.encode(): value for name, value in encode(frame, writer).fields.items()}
    decoded = decode(entry, reader)
    assert isinstance(decoded, Frame)
    return decoded


@pytest.mark.parametrize("shape", [(1, 1), (3, 5), (48, 64), (7, 9, 3)])
def test_pixels_arrive_as_they_were_sent(make_payload: MakePayload, shape: tuple[int, ...]) -> None:
    image = np.random.default_rng(0).integers(0, 255, shape, np.uint8)
    received = through(make_frame(image), make_payload(), make_payload())
    np.testing.assert_array_equal(np.asarray(received.planes[0]), image)


def test_an_array_that_is_not_contiguous_arrives_whole(make_payload: MakePayload) -> None:
    image = np.arange(400, dtype=np.uint8).reshape(20, 20)[::2, ::3]
    np.testing.assert_array_equal(through(make_frame(image), make_payload(), make_payload()).planes[0], image)


def test_received_pixels_cannot_be_written(make_payload: MakePayload) -> None:
    received = through(make_frame(np.zeros((4, 4), np.uint8)), make_payload(), make_payload())
    with pytest.raises(ValueError, match="read-only"):
        np.asarray(received.planes[0])[0, 0] = 1


def test_a_part_of_an_array_arrives_without_the_rest(make_payload: MakePayload) -> None:
    image = np.arange(48 * 64, dtype=np.uint8).reshape(48, 64)
    plane = through(make_frame(image), make_payload(), make_payload()).planes[0]
    np.testing.assert_array_equal(plane[2::4, 1::4], image[2::4, 1::4])
    np.testing.assert_array_equal(plane, image)
    np.testing.assert_array_equal(plane[2::4, 1::4], image[2::4, 1::4])


def test_a_recycled_slot_is_never_read(tmp_path: Path) -> None:
    writer, reader = (SharedMemoryPayload(tmp_path, "cam:decoder", RingBudget(3)) for _ in range(2))
    first = through(make_frame(np.zeros((4, 4), np.uint8)), writer, reader)
    for value in (1, 2):
        through(make_frame(np.full((4, 4), value, np.uint8)), writer, reader)
    kept = through(make_frame(np.full((4, 4), 3, np.uint8)), writer, reader)  # the fourth frame in three slots
    for fetch in (materialize, lambda frame: frame.planes[0][::2, ::2]):
        with pytest.raises(StalePayloadError, match="recycled"):
            fetch(first)
    assert np.asarray(kept.planes[0])[0, 0] == 3


def test_a_slot_that_is_being_written_is_not_read(tmp_path: Path) -> None:
    ring = Ring.create(tmp_path / "r.ring", 3, 4096)
    place = ring.write(0, [np.zeros(4, np.uint8)])[0]
    ring._generations[0] += 1  # a writer that died in the middle of the next write
    with pytest.raises(StalePayloadError):
        ring.read(place, (4,), np.dtype(np.uint8))
    after = ring.write(0, [np.ones(4, np.uint8)])[0]
    assert ring.read(after, (4,), np.dtype(np.uint8)).tolist() == [1, 1, 1, 1]


class _OvertakenData(np.ndarray):
    """A slot whose writer begins anew while it is copied out."""

    generations: np.ndarray

    def __getitem__(self, key: Any) -> Any:
        values = np.asarray(self)[key].copy()
        self.generations[0] += 1
        return values


def test_a_slot_that_is_recycled_while_it_is_copied_is_never_handed_on(tmp_path: Path) -> None:
    ring = Ring.create(tmp_path / "r.ring", 3, 4096)
    place = ring.write(0, [np.zeros(4, np.uint8)])[0]
    ring._data = ring._data.view(_OvertakenData)
    ring._data.generations = ring._generations
    with pytest.raises(StalePayloadError, match="recycled"):
        ring.read(place, (4,), np.dtype(np.uint8))


def test_larger_frames_get_a_larger_ring_and_old_references_stay_valid(tmp_path: Path) -> None:
    writer, reader = (SharedMemoryPayload(tmp_path, "cam:decoder", RingBudget(4)) for _ in range(2))
    small = through(make_frame(np.full((8, 8), 1, np.uint8)), writer, reader)
    large = through(make_frame(np.full((800, 800), 2, np.uint8)), writer, reader)
    assert np.asarray(small.planes[0]).sum() == 64
    assert np.asarray(large.planes[0])[799, 799] == 2


def test_a_new_process_goes_on_with_the_rings_it_finds(tmp_path: Path) -> None:
    adopted: list[tuple[str, int]] = []
    budget = RingBudget(4)
    make_payload = lambda: SharedMemoryPayload(tmp_path, "a:b", budget, on_ring=lambda *ring: adopted.append(ring))  # noqa: E731
    through(make_frame(np.zeros((8, 8), np.uint8)), make_payload(), make_payload())
    assert set(adopted) == {("a:b:0", 4)}


@pytest.mark.parametrize("written", [0, 1, 2, 3, 4, 5, 7, 8, 11])
def test_a_writer_that_takes_over_writes_over_the_oldest_first(tmp_path: Path, written: int) -> None:
    newest: list[list[ArrayPlace]] = []
    budget = RingBudget(4, live=True)
    for index in range(written + 3):
        if index in (0, written):  # the second one after a death
            writer = SharedMemoryPayload(tmp_path, "a:decoder", budget)
        newest = [*newest[-3:], writer.put([np.full(8, index, np.uint8)])]
        for (place,) in newest:
            assert isinstance(place, SlotPlace)
            writer.get(place, (8,), np.dtype(np.uint8))


def test_readers_that_hold_every_slot_get_a_ring_more(tmp_path: Path) -> None:
    free = [("a:b:0", slot) for slot in range(4)]

    def take(rings: list[str]) -> list[tuple[str, int]]:
        return [free.pop()] if free else [("a:b:1", 0)] if "a:b:1" in rings else []

    payload = SharedMemoryPayload(tmp_path, "a:b", RingBudget(4), take_slots=take)
    frames = [through(make_frame(np.full((8, 8), i, np.uint8)), payload, payload) for i in range(5)]
    assert [int(np.asarray(frame.planes[0])[0, 0]) for frame in frames] == [0, 1, 2, 3, 4]


def test_slots_that_are_given_back_are_enough_for_ever(tmp_path: Path) -> None:
    free: list[tuple[str, int]] = []
    made: list[str] = []

    def take(rings: list[str]) -> list[tuple[str, int]]:
        return [free.pop(0)] if free else []

    def add(ring: str, slots: int) -> None:
        made.append(ring)
        free.extend((ring, slot) for slot in range(slots))

    payload = SharedMemoryPayload(tmp_path, "cam:decoder", RingBudget(4), take_slots=take, on_ring=add)
    for _ in range(20):
        (place,) = payload.put([np.zeros(100, np.uint8)])
        assert isinstance(place, SlotPlace)
        free.append((place.ring, place.slot))
    assert len(made) == len(list(tmp_path.iterdir())) == 1


def test_passing_an_array_on_copies_nothing_where_slots_are_counted(tmp_path: Path) -> None:
    payload = SharedMemoryPayload(tmp_path, "a:b", RingBudget(4), take_slots=lambda rings: [(rings[0], 2)])
    received = through(make_frame(np.zeros((8, 8), np.uint8)), payload, payload)
    assert encode(received, payload).slots == (("a:b:0", 2),)
    assert received.planes[0].reference == SlotPlace("a:b:0", 2, 2, 0)  # type: ignore[union-attr]


def test_full_shared_memory_is_said_with_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(TransportError, match=r"shared memory is full.*payload: inline"):
        SharedMemoryPayload(tmp_path, "a:b", RingBudget(4)).put([np.broadcast_to(np.uint8(0), (1 << 44,))])


@pytest.mark.parametrize(
    "place", [SlotPlace("a:b:0", 9, 2, 0), SlotPlace("a:b:0", 0, 2, 9000), SlotPlace("../x", 0, 2, 0)]
)
def test_a_reference_that_cannot_be_is_refused(tmp_path: Path, place: SlotPlace) -> None:
    payload = SharedMemoryPayload(tmp_path, "a:b", RingBudget(4))
    payload.put([np.zeros(8, np.uint8)])
    with pytest.raises(StalePayloadError):
        payload.get(place, (8,), np.dtype(np.uint8))


def test_a_reference_to_shared_memory_makes_no_sense_inline() -> None:
    with pytest.raises(DecodeError, match="payload: inline"):
        InlinePayload().get(SlotPlace("a:b:0", 0, 2, 0), (1,), np.dtype(np.uint8))

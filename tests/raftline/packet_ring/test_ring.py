"""Writing a ring and following it: what is kept, what is deleted, and what a killed writer leaves."""

from __future__ import annotations

import errno
import os
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import pytest

from raftline.packet_ring import Packet, PacketRing, RingReader, Shown, Stream
from raftline.packet_ring.files import ring_file, serials

STREAM = Stream("h264", b"\x01sets", 640, 360, Fraction(1, 90000), 7)
FIRST_NS = 1_700_000_000_000_000_000


def fill(ring: PacketRing, frames: range, every: int = 10, fps: int = 10, size: int = 100) -> None:
    """Packets at `fps`, each `every` one a keyframe; the data is the number."""
    for number in frames:
        now_ns = FIRST_NS + number * 1_000_000_000 // fps
        ring.packet(number * 9000, number * 9000, now_ns, number % every == 0, number.to_bytes(4, "big") * (size // 4))
        ring.shown(number * 9000, number, number * 9000 + 5, Fraction(1, 90000))


def everything(reader: RingReader) -> list[Packet | Shown]:
    found = []
    while new := reader.read():
        found += new
    return found


def numbers(records: list[Packet | Shown]) -> list[int]:
    return [int.from_bytes(record.data[:4], "big") for record in records if isinstance(record, Packet)]


def test_what_was_written_is_read_with_what_became_of_it(tmp_path: Path) -> None:
    ring, reader = PacketRing(tmp_path, 30, 1 << 20), RingReader(tmp_path)
    assert reader.read() == []
    ring.begin(STREAM)
    fill(ring, range(25))
    records = everything(reader)
    assert numbers(records) == list(range(25))
    assert records[0] == Packet(STREAM, 0, 0, FIRST_NS, True, bytes(100))
    assert records[-1] == Shown(STREAM, 24 * 9000, 24, 24 * 9000 + 5, Fraction(1, 90000))
    fill(ring, range(25, 60))
    assert numbers(everything(reader)) == list(range(25, 60))


def test_packets_without_times_are_kept(tmp_path: Path) -> None:
    ring = PacketRing(tmp_path, 30, 1 << 20)
    ring.begin(STREAM)
    ring.packet(None, None, FIRST_NS, True, b"any")
    assert RingReader(tmp_path).read() == [Packet(STREAM, None, None, FIRST_NS, True, b"any")]


def test_the_last_seconds_stay_and_begin_at_a_keyframe(tmp_path: Path) -> None:
    ring = PacketRing(tmp_path, 5, 1 << 20)
    ring.begin(STREAM)
    fill(ring, range(300))
    records = everything(RingReader(tmp_path))
    assert isinstance(records[0], Packet) and records[0].is_keyframe
    assert numbers(records)[-1] == 299
    assert 50 <= len(numbers(records)) <= 80


@pytest.mark.parametrize("every", [10, 1, 1_000_000], ids=["usual", "every frame a keyframe", "one keyframe at all"])
def test_the_bytes_stay_bounded_however_seldom_keyframes_come(tmp_path: Path, every: int) -> None:
    ring = PacketRing(tmp_path, 1000, 100_000)
    ring.begin(STREAM)
    fill(ring, range(500), every, size=1000)
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) <= 115_000
    assert 60 < len(numbers(everything(RingReader(tmp_path)))) <= 115
    assert len(serials(tmp_path)) < 15


def test_a_slow_reader_keeps_its_file_and_goes_on_with_the_oldest_that_is_left(tmp_path: Path) -> None:
    ring, reader = PacketRing(tmp_path, 3, 1 << 20), RingReader(tmp_path)
    ring.begin(STREAM)
    fill(ring, range(5))
    assert numbers(reader.read()) == list(range(5))
    fill(ring, range(5, 200))
    seen = numbers(everything(reader))
    assert seen[:5] == list(range(5, 10))  # the rest of a file that is deleted
    assert 150 <= seen[5] < 180 and seen[5] % 10 == 0
    assert seen[-1] == 199


def test_a_reader_begins_at_the_keyframe_before_a_time(tmp_path: Path) -> None:
    ring, reader = PacketRing(tmp_path, 30, 1 << 20), RingReader(tmp_path)
    ring.begin(STREAM)
    fill(ring, range(100))
    reader.seek(FIRST_NS + 4_350_000_000)
    assert numbers(everything(reader)) == list(range(40, 100))
    reader.seek(0)
    assert numbers(everything(reader))[0] == 0


def test_a_new_writer_goes_on_after_one_that_was_killed_amid_a_record(tmp_path: Path) -> None:
    ring, reader = PacketRing(tmp_path, 30, 1 << 20), RingReader(tmp_path)
    ring.begin(STREAM)
    fill(ring, range(20))
    seen = numbers(everything(reader))
    last = ring_file(tmp_path, serials(tmp_path)[-1])
    os.truncate(last, last.stat().st_size - 60)
    again = PacketRing(tmp_path, 30, 1 << 20)
    again.begin(replace(STREAM, epoch=8))
    fill(again, range(20, 40))
    seen += numbers(more := everything(reader))
    assert seen == list(range(40))
    assert {record.stream.epoch for record in more} == {8}
    assert numbers(everything(RingReader(tmp_path))) == [number for number in range(40) if number != 19]


def test_parameter_sets_that_come_with_the_frames_are_told_and_new_ones_begin_a_file(tmp_path: Path) -> None:
    ring, reader = PacketRing(tmp_path, 30, 1 << 20), RingReader(tmp_path)
    first, second = b"\0\0\0\1\x67first\0\0\0\1\x68one", b"\0\0\0\1\x67second\0\0\0\1\x68two"
    ring.begin(replace(STREAM, extradata=b""))
    for number, sets in enumerate((first, first, second)):
        ring.packet(number, number, FIRST_NS + number * 2_000_000_000, True, sets + b"\0\0\1\x65picture")
    packets = [record for record in everything(reader) if isinstance(record, Packet)]
    assert [packet.stream.extradata for packet in packets] == [first, first, second]


def test_a_full_disk_costs_packets_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ring = PacketRing(tmp_path, 30, 1 << 20)
    ring.begin(STREAM)
    fill(ring, range(20))
    write = os.write

    def full(file: int, data: bytes) -> int:
        raise OSError(errno.ENOSPC, "no room")

    monkeypatch.setattr(os, "write", full)
    fill(ring, range(20, 30))
    monkeypatch.setattr(os, "write", write)
    assert ring.lost > 0
    fill(ring, range(30, 50))
    seen = numbers(everything(RingReader(tmp_path)))
    assert seen[-20:] == list(range(30, 50)) and not set(range(20, 30)) & set(seen)

"""What every transport promises."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest

from pipeline.codec import Encoded
from pipeline.errors import GroupLost, LeaseLost
from pipeline.transport.base import START, Commit, Committed, Entry, Lease, Position, Publication, Transport

SOURCE, WRITER, READERS = "cam.1", "decoder", ("flow", "view")


@pytest.fixture
def lease(transport: Transport) -> Lease:
    transport.declare(SOURCE, WRITER, READERS)
    lease = transport.acquire(SOURCE, WRITER, "worker-a", 30)
    assert lease is not None
    return lease


def publication(sequence: int, *, slots: tuple[tuple[str, int], ...] = (), lossless: bool = True) -> Publication:
    encoded = Encoded({"body": b"message %d" % sequence}, slots)
    return Publication(Position(7, sequence), encoded, len(READERS), keep=3, lossless=lossless)


def publish(transport: Transport, lease: Lease, sequence: int, **kwargs: Any) -> bool:
    return transport.commit(Commit(SOURCE, WRITER, lease.token, publication(sequence, **kwargs))).published


def acknowledge(transport: Transport, reader: str, *ids: str, **step: Any) -> None:
    own = transport.acquire(SOURCE, reader, "reader", 30)
    assert own is not None
    transport.commit(Commit(SOURCE, reader, own.token, upstream=WRITER, acknowledge=ids, **step))
    own.release()


def read(transport: Transport, reader: str, count: int = 10) -> list[Entry]:
    return [entry for _, entry in transport.read(reader, [(SOURCE, WRITER)], count, 0.01)]


@contextmanager
def soon(action: Callable[[], object]) -> Iterator[None]:
    timer = threading.Timer(0.1, action)
    timer.start()
    yield
    timer.join()


def bodies(entries: list[Entry]) -> list[bytes]:
    return [entry.fields[b"body"] for entry in entries]


def test_every_group_gets_every_entry_once_and_in_order(transport: Transport, lease: Lease) -> None:
    for sequence in (1, 2, 3):
        assert publish(transport, lease, sequence)
    for reader in READERS:
        assert bodies(read(transport, reader, 2)) == [b"message 1", b"message 2"]
        assert bodies(read(transport, reader)) == [b"message 3"]
        assert read(transport, reader) == []


def test_a_group_declared_again_keeps_what_it_had_read(transport: Transport, lease: Lease) -> None:
    publish(transport, lease, 1)
    read(transport, "flow")
    transport.declare(SOURCE, WRITER, READERS)
    assert read(transport, "flow") == []


def test_reading_waits_for_the_first_entry(transport: Transport, lease: Lease) -> None:
    with soon(lambda: publish(transport, lease, 1)):
        assert [entry for _, entry in transport.read("flow", [(SOURCE, WRITER)], 10, 30.0)]


def test_an_undeclared_group_is_said_to_be_lost(transport: Transport) -> None:
    with pytest.raises(GroupLost):
        read(transport, "flow")


def test_entries_stay_pending_until_acknowledged(transport: Transport, lease: Lease) -> None:
    for sequence in (1, 2):
        publish(transport, lease, sequence)
    first, second = read(transport, "flow")
    acknowledge(transport, "flow", first.id)
    assert bodies(transport.pending("flow", SOURCE, WRITER)) == [second.fields[b"body"]]


def test_an_entry_is_deleted_when_the_last_group_acknowledges_it(transport: Transport, lease: Lease) -> None:
    publish(transport, lease, 1)
    entries = {reader: read(transport, reader)[0].id for reader in READERS}
    acknowledge(transport, "flow", entries["flow"])
    assert transport.length(SOURCE, WRITER) == 1
    acknowledge(transport, "flow", entries["flow"])  # again: no effect
    assert transport.length(SOURCE, WRITER) == 1
    acknowledge(transport, "view", entries["view"])
    assert transport.length(SOURCE, WRITER) == 0


def test_what_was_published_is_not_published_again(transport: Transport, lease: Lease) -> None:
    assert publish(transport, lease, 2)
    assert not publish(transport, lease, 2)
    assert not publish(transport, lease, 1)
    assert publish(transport, lease, 3)
    assert bodies(read(transport, "flow")) == [b"message 2", b"message 3"]
    assert transport.progress(SOURCE, WRITER).published == Position(7, 3)


def test_a_later_epoch_begins_its_numbers_anew(transport: Transport, lease: Lease) -> None:
    publish(transport, lease, 5)
    later = Publication(Position(8, 1), Encoded({"body": b"new"}, ()), 2, 3, True)
    assert transport.commit(Commit(SOURCE, WRITER, lease.token, later)).published


def test_several_commits_are_made_in_order(transport: Transport, lease: Lease) -> None:
    commits = [Commit(SOURCE, WRITER, lease.token, publication(sequence)) for sequence in (1, 2, 2, 3)]
    assert transport.commit_all(commits) == Committed(True, 3)
    assert bodies(read(transport, "flow")) == [b"message 1", b"message 2", b"message 3"]
    with pytest.raises(LeaseLost):
        transport.commit_all([replace(commit, token="0@nobody") for commit in commits])


def test_counts_are_added_once_per_processed_position(transport: Transport, lease: Lease) -> None:
    step = Commit(SOURCE, WRITER, lease.token, processed=Position(7, 1), counts={"frames": 1, "dropped:late": 2})
    transport.commit(step)
    transport.commit(step)
    assert transport.counters(SOURCE, WRITER) == {"frames": 1, "dropped:late": 2}


def test_snapshot_and_end_are_kept(transport: Transport, lease: Lease) -> None:
    assert transport.progress(SOURCE, WRITER).published == START
    transport.commit(Commit(SOURCE, WRITER, lease.token, processed=Position(7, 1), snapshot='{"a": 1}'))
    transport.commit(Commit(SOURCE, WRITER, lease.token, ended=True))
    progress = transport.progress(SOURCE, WRITER)
    assert (progress.snapshot, progress.ended) == ('{"a": 1}', True)


def test_a_snapshot_of_an_earlier_position_does_not_replace_a_later_one(transport: Transport, lease: Lease) -> None:
    for sequence, text in ((2, "first"), (1, "earlier"), (2, "again")):
        transport.commit(Commit(SOURCE, WRITER, lease.token, processed=Position(7, sequence), snapshot=text))
    assert transport.progress(SOURCE, WRITER).snapshot == "first"


def test_a_checkpoint_is_stored_with_its_snapshot_even_where_nothing_more_was_processed(
    transport: Transport, lease: Lease
) -> None:
    def commit(sequence: int, snapshot: str, checkpoint: str | None) -> tuple[str | None, str | None]:
        position = Position(7, sequence)
        step = {"processed": position, "snapshot": snapshot, "checkpoint": checkpoint, "counts": {"frames": 1}}
        transport.commit(Commit(SOURCE, WRITER, lease.token, **step))
        progress = transport.progress(SOURCE, WRITER)
        return progress.snapshot, progress.checkpoint

    assert commit(2, "a", None) == ("a", None)
    assert commit(2, "b", "two") == ("b", "two")
    assert commit(1, "c", "one") == ("b", "two")
    assert commit(3, "d", "three") == ("d", "three")
    assert transport.counters(SOURCE, WRITER) == {"frames": 2}


def test_large_states_are_kept_by_name(transport: Transport) -> None:
    for data in (b"one", b"another"):
        transport.keep_state("cam:flow.1.0.state", data)
        assert transport.kept_state("cam:flow.1.0.state") == data
    transport.drop_states(["cam:flow.1.0.state", "unknown"])
    transport.drop_states([])
    assert transport.kept_state("cam:flow.1.0.state") is None


def test_a_commit_without_the_lease_changes_nothing(transport: Transport, lease: Lease) -> None:
    lease.release()
    successor = transport.acquire(SOURCE, WRITER, "worker-b", 30)
    assert successor is not None
    with pytest.raises(LeaseLost):
        publish(transport, lease, 1)
    assert transport.length(SOURCE, WRITER) == 0
    assert transport.progress(SOURCE, WRITER).published == START
    assert publish(transport, successor, 1)


def test_a_lease_has_one_owner_and_a_growing_fence(transport: Transport, lease: Lease) -> None:
    assert transport.acquire(SOURCE, WRITER, "worker-b", 30) is None
    assert lease.renew()
    assert transport.unowned(WRITER, [SOURCE, "other"]) == ["other"]
    lease.release()
    assert not lease.renew()
    assert transport.unowned(WRITER, [SOURCE, "other"]) == [SOURCE, "other"]
    assert transport.unowned(WRITER, []) == []
    second = transport.acquire(SOURCE, WRITER, "worker-b", 30)
    assert second is not None
    assert int(second.token.split("@")[0]) > int(lease.token.split("@")[0])


def test_a_lease_that_is_not_renewed_runs_out(transport: Transport) -> None:
    first = transport.acquire(SOURCE, "flow", "worker-a", 0.1)
    time.sleep(0.2)
    assert first is not None
    assert not first.renew()
    assert transport.acquire(SOURCE, "flow", "worker-b", 30) is not None


def test_the_leases_of_a_dead_worker_can_be_freed_and_no_others(transport: Transport, lease: Lease) -> None:
    transport.release_worker("worker-b", [SOURCE], WRITER)
    assert lease.renew()
    transport.release_worker("worker-a", [SOURCE], WRITER)
    assert transport.acquire(SOURCE, WRITER, "worker-b", 30) is not None


def test_a_slot_is_free_again_when_every_entry_that_refers_to_it_is_closed(transport: Transport, lease: Lease) -> None:
    transport.adopt_ring("ring", 1)
    assert transport.take_slots(["ring"], 1, 0.01) == [("ring", 0)]
    publish(transport, lease, 1, slots=(("ring", 0),))
    publish(transport, lease, 2, slots=(("ring", 0),))
    for reader in READERS:
        assert transport.take_slots(["ring"], 1, 0.01) == []
        acknowledge(transport, reader, *[entry.id for entry in read(transport, reader)])
    assert transport.take_slots(["ring"], 1, 0.01) == [("ring", 0)]
    assert transport.take_slots(["ring"], 1, 0.01) == []


def test_the_slots_of_a_duplicate_are_given_back(transport: Transport, lease: Lease) -> None:
    transport.adopt_ring("ring", 2)
    publish(transport, lease, 1)
    assert transport.take_slots(["ring"], 1, 0.01) == [("ring", 0)]
    assert not publish(transport, lease, 1, slots=(("ring", 0),))
    assert sorted(transport.take_slots(["ring"], 5, 0.01)) == [("ring", 0), ("ring", 1)]


def test_adopting_a_ring_finds_the_slots_its_dead_writer_had_taken(transport: Transport, lease: Lease) -> None:
    transport.adopt_ring("ring", 3)
    transport.take_slots(["ring"], 1, 0.01)
    publish(transport, lease, 1, slots=(("ring", 0),))
    transport.take_slots(["ring"], 1, 0.01)
    transport.adopt_ring("ring", 3)
    assert sorted(transport.take_slots(["ring"], 5, 0.01)) == [("ring", 1), ("ring", 2)]


def test_a_slot_comes_from_whichever_ring_has_one(transport: Transport) -> None:
    transport.adopt_ring("empty", 0)
    transport.adopt_ring("full", 1)
    assert transport.take_slots(["empty", "full"], 1, 0.01) == [("full", 0)]


def test_taking_a_slot_waits_for_one(transport: Transport) -> None:
    with soon(lambda: transport.adopt_ring("ring", 1)):
        assert transport.take_slots(["ring"], 1, 30.0) == [("ring", 0)]


def test_a_stream_starves_its_readers_when_all_of_it_was_given_out(transport: Transport, lease: Lease) -> None:
    publish(transport, lease, 1)
    read(transport, "flow")
    assert not transport.starved(SOURCE, WRITER)
    read(transport, "view")
    assert transport.starved(SOURCE, WRITER)


def test_a_live_stream_is_trimmed_and_a_trimmed_pending_entry_is_empty(transport: Transport, lease: Lease) -> None:
    publish(transport, lease, 1, lossless=False)
    entry = read(transport, "flow")[0]
    for sequence in range(2, 8):
        publish(transport, lease, sequence, lossless=False)
    assert transport.length(SOURCE, WRITER) == 3
    assert transport.pending("flow", SOURCE, WRITER) == [Entry(entry.id, {})]
    assert bodies(read(transport, "flow")) == [b"message 5", b"message 6", b"message 7"]


def test_attempts_are_counted_per_entry(transport: Transport) -> None:
    assert [transport.attempt(SOURCE, "flow", "1-0") for _ in range(3)] == [1, 2, 3]
    assert transport.attempt(SOURCE, "flow", "2-0") == 1


def test_a_dead_letter_keeps_the_error_and_acknowledges(transport: Transport, lease: Lease) -> None:
    publish(transport, lease, 1)
    entry = read(transport, "flow")[0]
    own = transport.acquire(SOURCE, "flow", "reader", 30)
    assert own is not None
    step = Commit(SOURCE, "flow", own.token, upstream=WRITER, acknowledge=[entry.id])
    transport.dead_letter(step, entry, "ValueError: frame 7")
    assert transport.dead_letters("flow") == [(SOURCE, "ValueError: frame 7")]
    assert transport.pending("flow", SOURCE, WRITER) == []


def test_an_entry_that_is_given_up_twice_is_one_dead_letter(transport: Transport, lease: Lease) -> None:
    publish(transport, lease, 1)
    publish(transport, lease, 2)
    own = transport.acquire(SOURCE, "flow", "reader", 30)
    assert own is not None
    # The entry is not acknowledged by this step but by the gap that follows: whoever dies in between does it again.
    step = Commit(SOURCE, "flow", own.token, upstream=WRITER)
    for entry in [*read(transport, "flow"), *transport.pending("flow", SOURCE, WRITER)]:
        transport.dead_letter(step, entry, f"ValueError: {entry.id}")
    assert transport.dead_letters("flow") == [
        (SOURCE, f"ValueError: {entry.id}") for entry in transport.pending("flow", SOURCE, WRITER)
    ]


def test_a_worker_that_lost_its_lease_gives_up_no_entry(transport: Transport, lease: Lease) -> None:
    publish(transport, lease, 1)
    (entry,) = read(transport, "flow")
    with pytest.raises(LeaseLost):
        transport.dead_letter(Commit(SOURCE, "flow", "0@nobody", upstream=WRITER), entry, "ValueError: frame 7")
    assert transport.dead_letters("flow") == []


def test_what_tells_something_once_is_kept_without_pixels_where_it_is_trimmed(
    transport: Transport, lease: Lease
) -> None:
    for sequence in range(1, 21):
        plain = publication(sequence, lossless=False)
        pixels = Encoded({**plain.encoded.fields, "a0": b"pixels", "a10": b"pixels", "abc": b"no pixels"}, ())
        each = replace(plain, encoded=pixels, once=sequence in (2, 5, 9, 14, 19))
        transport.commit(Commit(SOURCE, WRITER, lease.token, each))
    there = read(transport, "flow")
    assert [entry.number for entry in there] == [18, 19, 20]
    missed = transport.missed(SOURCE, WRITER, 0, 18)
    assert [entry.number for entry in missed] == [9, 14], "three are kept, as of the stream, and one of them is there"
    assert missed[0].fields.keys() == {b"body", b"abc", b"n", b"without_pixels"}
    assert transport.missed(SOURCE, WRITER, 9, 18) == missed[1:]
    assert transport.missed(SOURCE, WRITER, 0, 30)[-1].id == there[1].id
    assert transport.missed("other", WRITER, 0, 30) == []


def test_status_is_merged(transport: Transport) -> None:
    transport.set_status(SOURCE, "flow", {"device": "cpu", "x": "1"})
    transport.set_status(SOURCE, "flow", {"x": "2"})
    assert transport.status(SOURCE, "flow") == {"device": "cpu", "x": "2"}


def test_reset_forgets_everything(transport: Transport, lease: Lease) -> None:
    publish(transport, lease, 1)
    transport.set_status(SOURCE, "flow", {"a": "b"})
    transport.reset()
    assert transport.status(SOURCE, "flow") == {}
    assert transport.progress(SOURCE, WRITER).published == START
    assert transport.length(SOURCE, WRITER) == 0


@pytest.mark.parametrize(("lossless", "there"), [(False, [3, 4, 5]), (True, [1, 2, 3, 4, 5])])
def test_entries_are_numbered_and_what_was_read_is_kept(
    transport: Transport, lease: Lease, lossless: bool, there: list[int]
) -> None:
    assert transport.written(SOURCE, WRITER) == 0
    for sequence in (1, 2, 3, 4, 5, 5):
        publish(transport, lease, sequence, lossless=lossless)
    assert [entry.number for entry in read(transport, "flow")] == there
    assert transport.written(SOURCE, WRITER) == 5
    for sequence, number in ((1, 3), (2, 5)):
        transport.commit(Commit(SOURCE, WRITER, lease.token, processed=Position(7, sequence), read=number))
    assert transport.progress(SOURCE, WRITER).read == 5

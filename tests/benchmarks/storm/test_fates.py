"""Every message of a storm's cameras has a fate, or is missed."""

from __future__ import annotations

from benchmarks.storm.fates import account, fates

LOG = """\
WARNING raftline.decoder.cam: cam: connection refused; trying again in 0.4 s
DEBUG raftline.flow.cam: dropped: late of cam at 7-3
DEBUG raftline.flow.other: dropped: late of other at 7-4
DEBUG raftline.events.cam: dropped: late of cam at 7-4
DEBUG raftline.motion_mask.cam: dropped: recycled of cam at 7-6
DEBUG raftline.flow.cam: trimmed: 2 unread of cam after 7-8 and before 7-12
DEBUG raftline.flow.cam: trimmed: 1 unread of cam after 7-8 and before 7-11
DEBUG raftline.flow.cam: trimmed: 1 unread of cam after 7-20 and before 8-2
""".splitlines()


def ledger(*sequences: int, epoch: int = 7) -> list[list[int]]:
    return [[epoch, sequence, sequence, 0] for sequence in sequences]


def test_what_was_dropped_is_told_by_reason_and_stage() -> None:
    why, unknown = account(ledger(1, 2, 5, 7, 8, 11, 12), fates(LOG, "cam"))
    assert why == {"late at flow": 1, "recycled at motion_mask": 1, "unread at flow": 2}
    assert unknown == [(7, 4)]


def test_a_worker_that_told_of_trimmed_messages_twice_explains_them_once() -> None:
    _, unknown = account(ledger(1, 2, 4, 5, 7, 8, 12), fates(LOG, "cam"))
    assert unknown == [(7, 11)]


def test_each_numbering_is_looked_at_from_its_first_to_its_last_message() -> None:
    why, unknown = account([*ledger(1, 2), *ledger(2, 3, epoch=8)], fates(LOG, "cam"))
    assert (why, unknown) == ({"unread at flow": 1}, [])
    assert account(ledger(2), fates([], "cam"))[1] == [(7, 1)]

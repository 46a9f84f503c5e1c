"""How many cameras each host should carry."""

from __future__ import annotations

import itertools

from pipeline.fleet.shares import Bearer, shares


def bearers(*given: tuple[int, int | None]) -> list[Bearer]:
    """Hosts a, b, c ... that carry so many and can carry so many."""
    return [Bearer("abcdefgh"[place], *each) for place, each in enumerate(given)]


def test_cameras_are_shared_out_equally() -> None:
    assert shares(6, bearers((0, None), (0, None), (0, None))) == {"a": 2, "b": 2, "c": 2}


def test_who_carries_most_gets_the_odd_one() -> None:
    assert shares(7, bearers((3, None), (4, None))) == {"a": 3, "b": 4}


def test_what_a_small_host_cannot_carry_goes_to_the_others() -> None:
    assert shares(10, bearers((0, 1), (0, None), (0, 6))) == {"a": 1, "b": 5, "c": 4}


def test_nobody_gets_more_than_it_can_carry() -> None:
    assert shares(10, bearers((0, 2), (5, 3), (0, 0))) == {"a": 2, "b": 3, "c": 0}


def test_without_hosts_there_are_no_shares() -> None:
    assert shares(3, []) == {}


def test_all_are_carried_where_the_room_is_enough_and_shares_differ_by_one_at_most() -> None:
    for cameras, (one, two, three) in itertools.product(range(9), itertools.product((0, 1, 3, None), repeat=3)):
        shared = shares(cameras, bearers((2, one), (1, two), (0, three)))
        room = sum(cameras if limit is None else limit for limit in (one, two, three))
        assert sum(shared.values()) == min(cameras, room)
        roomy = [shared[n] for n, limit in zip("abc", (one, two, three), strict=True) if shared[n] != limit]
        assert not roomy or max(shared.values()) - min(roomy) <= 1

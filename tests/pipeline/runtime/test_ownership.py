"""Leases of one worker: kept while it lives, lost where they were not, and given back."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import pytest

from pipeline.errors import TransportLost
from pipeline.runtime.ownership import TTL_SECONDS, Ownership
from pipeline.transport.base import Lease
from pipeline.transport.memory import MemoryTransport


@pytest.fixture
def transport() -> MemoryTransport:
    return MemoryTransport()


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Moves the clock by which a worker knows when its leases run out."""
    ahead, clock = [0.0], time.clock_gettime
    monkeypatch.setattr("pipeline.runtime.ownership.time.clock_gettime", lambda which: clock(which) + ahead[0])

    def move(seconds: float) -> None:
        ahead[0] += seconds

    return move


@pytest.fixture
def ownership(transport: MemoryTransport) -> Iterator[Ownership]:
    """Of a worker that renews nothing by itself in a test's time."""
    made = Ownership(transport, "flow", "one", 3600.0)
    yield made
    made.close()


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_one_worker_owns_a_source_at_a_time(transport: MemoryTransport, ownership: Ownership) -> None:
    other = Ownership(transport, "flow", "two", 3600.0)
    assert ownership.acquire("a") is not None and ownership.holds("a") and not ownership.holds("b")
    assert other.acquire("a") is None and not other.holds("a")
    ownership.release("a")
    assert not ownership.holds("a") and other.acquire("a") is not None
    ownership.release("a")  # what it has not it does not give back
    assert other.holds("a") and transport.unowned("flow", ["a"]) == []
    other.close()
    assert transport.unowned("flow", ["a"]) == ["a"]


def test_a_worker_that_stood_still_knows_that_its_lease_ran_out(
    ownership: Ownership, later: Callable[[float], None]
) -> None:
    ownership.acquire("a")
    later(3590)
    assert ownership.holds("a")
    later(20)
    assert not ownership.holds("a")


def test_a_lease_without_a_thread_to_renew_it_is_for_good(
    transport: MemoryTransport, later: Callable[[float], None]
) -> None:
    ownership = Ownership(transport, "flow", "one", None)
    ownership.acquire("a")
    later(1e8)
    assert ownership.holds("a")
    ownership.close()


@pytest.fixture
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leases are renewed every few milliseconds of a life that no pause of a loaded machine uses up."""
    monkeypatch.setattr("pipeline.runtime.ownership._RENEWALS", 6000)


@pytest.mark.usefixtures("often")
def test_leases_are_renewed_while_the_worker_lives(transport: MemoryTransport, later: Callable[[float], None]) -> None:
    ownership = Ownership(transport, "flow", "one", 60.0)
    ownership.acquire("a")
    for _ in range(3):
        before = ownership._until["a"]
        later(40)
        until(lambda before=before: ownership._until["a"] > before + 30)
    assert ownership.holds("a")
    ownership.close()
    assert transport.unowned("flow", ["a"]) == ["a"]


@pytest.mark.usefixtures("often")
def test_a_lease_that_another_took_is_dropped_at_the_next_renewal(transport: MemoryTransport) -> None:
    ownership = Ownership(transport, "flow", "one", 60.0)
    ownership.acquire("a")
    ownership.acquire("b")
    transport.release_worker("one", ["a"], "flow")
    assert transport.acquire("a", "flow", "two", 3600.0) is not None
    until(lambda: not ownership.holds("a"))
    assert ownership.holds("b")
    ownership.close()
    assert transport.unowned("flow", ["a", "b"]) == ["b"]


class _Unreachable(Lease):
    token = "1@one"

    def renew(self) -> bool:
        raise TransportLost("away")

    def release(self) -> None:
        raise TransportLost("away")


@pytest.mark.usefixtures("often")
def test_while_the_server_is_away_a_lease_lasts_its_time(
    transport: MemoryTransport, monkeypatch: pytest.MonkeyPatch, later: Callable[[float], None]
) -> None:
    tried: list[str] = []
    monkeypatch.setattr(_Unreachable, "renew", lambda self: tried.append("renew") or _lost())
    monkeypatch.setattr(transport, "acquire", lambda *_: _Unreachable())
    ownership = Ownership(transport, "flow", "one", 60.0)
    ownership.acquire("a")
    until(lambda: len(tried) > 1)
    assert ownership.holds("a"), "nobody else can have it"
    later(70)
    assert not ownership.holds("a")
    ownership.close()


def _lost() -> bool:
    raise TransportLost("away")


def test_another_host_takes_over_within_ten_seconds() -> None:
    assert 2.0 < TTL_SECONDS < 8.0  # a worker looks for free sources twice a second, and takes them after 2 s

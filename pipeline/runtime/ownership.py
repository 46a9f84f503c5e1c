"""Which worker owns which source: leases with fencing numbers, renewed while the worker lives."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Protocol

from pipeline.errors import TransportLost
from pipeline.transport.base import Lease

TTL_SECONDS = 7.0
"""How long a silent worker keeps a source. Chosen by hand: longer than any pause of a healthy worker, short enough for
another host to take over within 10 s. A supervisor releases the leases of its own dead workers at once."""
FOR_GOOD_SECONDS = 1e9
"""A lease that nobody renews: 30 years."""
_CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
"""On Linux it goes on while the machine sleeps, as a lease's lifetime does."""
_RENEWALS = 4
"""Renewals per lifetime of a lease, so that a few may be late or fail."""


def lease_clock() -> float:
    """Seconds by the clock that leases run out by."""
    return time.clock_gettime(_CLOCK)


class Leases(Protocol):
    """Who grants leases: a transport, or a fleet's control Redis."""

    def acquire(self, source: str, stage: str, worker: str, ttl_seconds: float) -> Lease | None:
        """Acquire a lease; None while another worker holds it. Raises `TransportLost`."""


class Ownership:
    """The leases of one worker for one stage."""

    def __init__(self, transport: Leases, stage: str, worker: str, ttl_seconds: float | None = TTL_SECONDS) -> None:
        """`ttl_seconds` None: for good, with no thread to renew them, where nobody else could take over."""
        self._transport = transport
        self._stage = stage
        self._worker = worker
        self._ttl_seconds = FOR_GOOD_SECONDS if ttl_seconds is None else ttl_seconds
        self._leases: dict[str, Lease] = {}
        self._until: dict[str, float] = {}
        """When each lease runs out unless it is renewed, by `lease_clock`."""
        self._lock = threading.Lock()
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None
        if ttl_seconds is not None:
            self._thread = threading.Thread(target=self._keep, name="leases", daemon=True)
            self._thread.start()

    def acquire(self, source: str) -> Lease | None:
        """Acquire the lease on a source; None while another worker holds it."""
        until = lease_clock() + self._ttl_seconds
        lease = self._transport.acquire(source, self._stage, self._worker, self._ttl_seconds)
        if lease is not None:
            with self._lock:
                self._leases[source], self._until[source] = lease, until
        return lease

    def holds(self, source: str) -> bool:
        """Whether the lease is still held. Once it is lost, commits are refused.

        It asks no server: a process that stood still, and wakes up after its lease has run out, knows it at once.
        """
        return source in self._leases and lease_clock() < self._until[source]

    def held_until(self) -> dict[str, float]:
        """When the lease on each source runs out unless it is renewed, by `lease_clock`."""
        with self._lock:
            return {source: self._until[source] for source in self._leases}

    def release(self, source: str) -> None:
        """Give a source back."""
        with self._lock:
            lease = self._leases.pop(source, None)
        if lease is not None:
            self._quietly(lease.release)

    def close(self) -> None:
        """Give all sources back and stop renewing."""
        self.abandon()
        for source in list(self._leases):
            self.release(source)

    def abandon(self) -> None:
        """Stop renewing, and give nothing back, as a worker that is killed."""
        self._stopped.set()
        if self._thread is not None:
            self._thread.join()

    def _keep(self) -> None:
        while not self._stopped.wait(self._ttl_seconds / _RENEWALS):
            for source, lease in list(self._leases.items()):
                until = lease_clock() + self._ttl_seconds
                renewed = self._quietly(lease.renew)
                with self._lock:
                    if self._leases.get(source) is not lease:
                        continue  # it was given back meanwhile, or acquired anew
                    if renewed:
                        self._until[source] = until
                    elif renewed is False:
                        del self._leases[source]

    def _quietly(self, call: Callable[[], bool | None]) -> bool | None:
        # While the server is unreachable nobody else can take the lease; the next commit checks it.
        try:
            return call()
        except TransportLost:
            return None

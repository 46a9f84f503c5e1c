"""Only one run at a time may use a pipeline's name."""

from __future__ import annotations

import logging
import time
import uuid

from redis import exceptions
from redis.lock import Lock

from pipeline.config.plan import Plan
from pipeline.errors import RunTaken, TransportError
from pipeline.transport.redis_connection import translate_redis_errors
from pipeline.transport.redis_streams import RedisStreams

TTL_SECONDS = 20.0
"""How long the name stays taken after a run was killed. Chosen by hand; it is renewed twice a second."""
_CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
"""On Linux it goes on while the machine sleeps, as the lock's lifetime does."""

log = logging.getLogger(__name__)


class RunLock:
    """A lock held for as long as the run lives.

    It expires if the run stands still for long: a signal stopped its supervisor, or the machine slept. Whose data is on
    the server then is told by a mark, which belongs to the data and goes with it.
    """

    def __init__(self, transport: RedisStreams, ttl_seconds: float = TTL_SECONDS) -> None:
        self.where = transport.where
        self._client = transport.client
        self._key, self._mark_key = transport.keys.run_lock, transport.keys.run_mark
        self._ttl_seconds = ttl_seconds
        self._mark = uuid.uuid4().hex.encode()
        """Also the lock's token, always the same: whether it was acquired can be seen where the reply was lost."""
        self._lock = Lock(self._client, self._key, timeout=ttl_seconds, thread_local=False)
        self._kept = time.clock_gettime(_CLOCK)

    @translate_redis_errors
    def __enter__(self) -> RunLock:
        """May be repeated where the connection is lost. Raises `TransportError` if another run holds it."""
        if not self._acquired():
            raise TransportError(
                f"another run of this pipeline is active on Redis at {self.where} (key {self._key}); "
                f"wait for its end (after a kill, {self._ttl_seconds:.0f} s), or give yours another `name`"
            )
        self._kept = time.clock_gettime(_CLOCK)
        return self

    @translate_redis_errors
    def mark(self) -> None:
        """Say that the pipeline's data on the server is this run's. Called once it has been cleared."""
        self._client.set(self._mark_key, self._mark)

    @translate_redis_errors
    def keep(self, plan: Plan) -> None:
        """Renew the lock, or take it again if it has expired and nobody else has taken it.

        Raises:
            RunTaken: If another run has taken the name.
            TransportError: If the data is gone and a source is a file, whose frames would be missing.
        """
        now = time.clock_gettime(_CLOCK)
        away_seconds, self._kept = now - self._kept, now
        try:
            self._lock.extend(self._ttl_seconds, replace_ttl=True)
        except exceptions.LockError:
            self._take_again(plan, away_seconds)

    def _take_again(self, plan: Plan, away_seconds: float) -> None:
        paused = away_seconds > self._ttl_seconds / 2
        pause = f"this run stood still for {away_seconds:.0f} s (it was stopped, or the machine slept)"
        if not self._acquired():
            began = f"{pause}, and another run" if paused else "another run"
            raise RunTaken(
                f"{began} of this pipeline has begun on Redis at {self.where} (key {self._key}); "
                "run this one again when the other has ended, or give it another `name`"
            )
        if self._client.get(self._mark_key) == self._mark:
            log.warning("%s; it goes on", pause if paused else f"Redis at {self.where} dropped this run's lock")
            return
        if any(source.policy == "lossless" for source in plan.sources.values()):
            why = (
                f"{pause}, and its data on Redis at {self.where} is gone: the server was restarted or flushed "
                "meanwhile, or another run used this name"
                if paused
                else f"Redis at {self.where} lost this run's data (restarted without persistence, or flushed)"
            )
            raise TransportError(f"{why}; run it again")
        self.mark()

    def _acquired(self) -> bool:
        """Acquire the lock; True as well if this object holds it already, and nobody told it."""
        if self._lock.acquire(blocking=False, token=self._mark.decode()):
            return True
        if self._client.get(self._key) != self._mark:
            return False
        self._lock.local.token = self._mark
        return True

    @translate_redis_errors
    def __exit__(self, *_: object) -> None:
        try:
            self._lock.release()
        except (exceptions.LockError, exceptions.ConnectionError, exceptions.TimeoutError):
            pass  # gone with its server

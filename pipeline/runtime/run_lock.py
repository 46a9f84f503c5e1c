"""Only one run at a time may use a pipeline's name."""

from __future__ import annotations

from redis import exceptions
from redis.lock import Lock

from pipeline.config.plan import Plan
from pipeline.errors import TransportError
from pipeline.transport.redis_connection import translate_redis_errors
from pipeline.transport.redis_streams import RedisStreams

_TTL_SECONDS = 20.0
"""How long the name stays taken after a run was killed. Chosen by hand; it is renewed twice a second."""


class RunLock:
    """A lock held for as long as the run lives. If it is lost, the server has lost its data."""

    def __init__(self, transport: RedisStreams) -> None:
        self.where = transport.where
        self._key = transport.keys.run_lock
        self._lock = Lock(transport.client, self._key, timeout=_TTL_SECONDS, thread_local=False)

    @translate_redis_errors
    def __enter__(self) -> RunLock:
        """Raises `TransportError` if another run holds it."""
        if not self._lock.acquire(blocking=False):
            raise TransportError(
                f"another run of this pipeline is active on Redis at {self.where} (key {self._key}); "
                f"wait for its end (after a kill, {_TTL_SECONDS:.0f} s), or give yours another `name`"
            )
        return self

    @translate_redis_errors
    def keep(self, plan: Plan) -> None:
        """Renew the lock.

        Raises:
            TransportError: If the server lost its data and a source is a file, whose frames would be missing.
        """
        try:
            self._lock.extend(_TTL_SECONDS, replace_ttl=True)
        except exceptions.LockError:
            if any(source.policy == "lossless" for source in plan.sources.values()):
                raise TransportError(
                    f"Redis at {self.where} lost this run's data (restarted without persistence, "
                    "or flushed); run it again"
                ) from None
            self._lock.acquire(blocking=False)

    @translate_redis_errors
    def __exit__(self, *_: object) -> None:
        try:
            self._lock.release()
        except (exceptions.LockError, exceptions.ConnectionError, exceptions.TimeoutError):
            pass  # gone with its server

"""Ownership of (source, stage), as a lock in Redis."""

from __future__ import annotations

from redis import exceptions
from redis.lock import Lock

from pipeline.transport.base import Lease
from pipeline.transport.redis_connection import translate_redis_errors


class RedisLease(Lease):
    """A redis-py Lock whose token carries the fencing number."""

    def __init__(self, lock: Lock, token: str, ttl_seconds: float, where: str) -> None:
        self.token = token
        self.where = where
        self._lock = lock
        self._ttl_seconds = ttl_seconds

    @translate_redis_errors
    def renew(self) -> bool:
        try:
            return bool(self._lock.extend(self._ttl_seconds, replace_ttl=True))
        except exceptions.LockError:
            return False

    @translate_redis_errors
    def release(self) -> None:
        try:
            self._lock.release()
        except exceptions.LockError:
            pass  # lost already: nothing to give back

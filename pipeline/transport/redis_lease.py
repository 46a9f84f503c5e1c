"""Ownership of (source, stage) or of a camera, as a lock in Redis."""

from __future__ import annotations

import redis
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


def acquire_lease(
    client: redis.Redis, name: str, fence: str, owner: str, ttl_seconds: float, where: str
) -> RedisLease | None:
    """A lease with a new fencing number; None while another owner holds it.

    Args:
        client: Of the server.
        name: Key of the lock.
        fence: Key of the counter of its owners.
        owner: Who asks; the token is ``FENCE@OWNER``.
        ttl_seconds: How long it holds unless it is renewed.
        where: URL of the server without its password, for errors.
    """
    if client.exists(name):
        return None
    lock = Lock(client, name, timeout=ttl_seconds, thread_local=False)
    token = f"{client.incr(fence)}@{owner}"
    return RedisLease(lock, token, ttl_seconds, where) if lock.acquire(blocking=False, token=token) else None

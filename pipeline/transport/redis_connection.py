"""Connections to Redis: made one way, and their errors said in our words."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, TypeVar

import redis
from redis import exceptions
from redis.backoff import NoBackoff
from redis.retry import Retry

from pipeline.errors import GroupLost, LeaseLost, TransportError, TransportLost
from pipeline.redaction import redact

F = TypeVar("F", bound=Callable[..., Any])

LEAST_VERSION = (6, 2)
CONNECT_SECONDS = 5.0
ANSWER_SECONDS = 30.0
"""Longest wait for an answer. Blocking commands must ask for less."""


def connect(url: str) -> redis.Redis:
    """Connect to ``redis://``, ``rediss://`` or ``unix://``.

    redis-py's own retries are off: a retried XADD duplicates, a retried XREADGROUP skips.
    Raises `TransportError` if the server is not there, refuses, or is too old.
    """
    try:
        client = redis.Redis.from_url(
            url,
            protocol=2,
            socket_connect_timeout=CONNECT_SECONDS,
            socket_timeout=ANSWER_SECONDS,
            retry=Retry(NoBackoff(), 0),
            health_check_interval=0,
        )
    except ValueError as error:
        raise TransportError(f"Redis URL {redact(url)!r} is not usable: {error}") from error
    try:
        client.ping()
        _check_version(client)
    except redis.RedisError as error:
        told = explain(error, redact(url))
        if isinstance(told, TransportLost):
            advice = "check that it runs and the address is right, or give none: a private server is then started"
            raise TransportLost(f"{told}; {advice}") from error
        raise told from error
    return client


def _check_version(client: redis.Redis) -> None:
    try:
        text = str(client.info("server").get("redis_version", ""))  # pyright: ignore[reportAttributeAccessIssue]
    except exceptions.NoPermissionError:
        return  # the user may not ask; the commands themselves will tell
    version = tuple(int(part) for part in text.split(".")[:2] if part.isdigit())
    if version < LEAST_VERSION:
        raise TransportError(f"Redis {text} is too old; 6.2 or newer is needed")


def explain(error: redis.RedisError, where: str) -> Exception:
    """Our error for one of redis-py's; `where` is the server's URL without its password."""
    text = str(error)
    if isinstance(error, exceptions.AuthenticationError) or text.startswith(("WRONGPASS", "NOAUTH")):
        return TransportError(
            f"Redis at {where} refuses the user or password ({redact(text)}); "
            "give them in the URL, as in redis://USER:${REDIS_PASSWORD}@HOST:6379/0"
        )
    if isinstance(error, exceptions.NoPermissionError) or "NOPERM" in text:
        return TransportError(
            f"Redis at {where} does not let this user do that ({text}); "
            "allow the commands listed in docs/wire_format.md"
        )
    if "OOM command not allowed" in text or isinstance(error, exceptions.OutOfMemoryError):
        return TransportError(
            f"Redis at {where} is out of memory (its maxmemory is reached); "
            "raise redis.memory_mb or the server's maxmemory, lower limits.entries, or use payload: shm"
        )
    if text.startswith("LEASELOST"):
        return LeaseLost(text)
    if "NOGROUP" in text or text.startswith("UNBLOCKED"):  # the latter from Redis 7 to who waits while it is flushed
        return GroupLost(f"Redis at {where} lost its streams; it was restarted without persistence ({text})")
    if isinstance(error, redis.ConnectionError | redis.TimeoutError):
        return TransportLost(f"Redis at {where} cannot be reached: {redact(text) or type(error).__name__}")
    return TransportError(f"Redis at {where} refused: {redact(text)}")


def translate_redis_errors(method: F) -> F:
    """Methods of an object with `where`: raise our errors instead of redis-py's."""

    @functools.wraps(method)
    def wrapped(self: Any, *args: Any, **kwargs: Any) -> Any:
        try:
            return method(self, *args, **kwargs)
        except redis.RedisError as error:
            raise explain(error, self.where) from error

    return wrapped  # type: ignore[return-value]

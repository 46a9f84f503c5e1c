"""Connect to Redis, and translate redis-py's errors."""

from __future__ import annotations

import functools
import time
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
"""First version with LPOP's count, which `RedisStreams.take_slots` uses."""
CONNECT_SECONDS = 5.0
"""Longest wait for a connection. Chosen by hand: TCP repeats a lost SYN after 1 s and again after 3 s."""
ANSWER_SECONDS = 30.0
"""Longest wait for an answer; blocking commands must ask for less. Chosen by hand, equal to a worker's patience with an
unreachable server."""
_LOADING_SECONDS = 0.1
"""Between two questions whether a server that has just been started has read what it keeps."""


def connect(url: str) -> redis.Redis:
    """Connect to a server, with redis-py's own retries off: a retried XADD duplicates, a retried XREADGROUP skips.

    Args:
        url: ``redis://``, ``rediss://`` or ``unix://``.

    Raises:
        TransportError: If the server is unreachable, refuses, or is too old.
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
        _wait_until_loaded(client)
        _check_version(client)
    except redis.RedisError as error:
        told = explain(error, redact(url))
        if isinstance(told, TransportLost):
            advice = "check that it runs and that the address is right, or give none to start a private server"
            raise TransportLost(f"{told}; {advice}") from error
        raise told from error
    return client


def _wait_until_loaded(client: redis.Redis) -> None:
    """A server that has just been started reads what it keeps on disk, and refuses everything until then."""
    deadline = time.monotonic() + ANSWER_SECONDS
    while True:
        try:
            client.ping()
            return
        except exceptions.BusyLoadingError:
            if time.monotonic() > deadline:
                raise
            time.sleep(_LOADING_SECONDS)


def _check_version(client: redis.Redis) -> None:
    try:
        text = str(client.info("server").get("redis_version", ""))  # pyright: ignore[reportAttributeAccessIssue]
    except exceptions.NoPermissionError:
        return  # this user may not ask; the commands themselves will show
    version = tuple(int(part) for part in text.split(".")[:2] if part.isdigit())
    if version < LEAST_VERSION:
        raise TransportError(f"Redis {text} is too old; 6.2 or newer is needed")


def explain(error: redis.RedisError, where: str) -> Exception:
    """Translate an error of redis-py.

    Args:
        error: The error.
        where: URL of the server without its password.
    """
    text = str(error)
    if isinstance(error, exceptions.AuthenticationError) or text.startswith(("WRONGPASS", "NOAUTH")):
        return TransportError(
            f"Redis at {where} refuses the user or password ({redact(text)}); "
            "give them in the URL, as in redis://USER:${REDIS_PASSWORD}@HOST:6379/0"
        )
    if isinstance(error, exceptions.NoPermissionError) or "NOPERM" in text:
        return TransportError(
            f"Redis at {where} denies this to the user ({text}); allow the commands listed in docs/wire_format.md"
        )
    if "OOM command not allowed" in text or isinstance(error, exceptions.OutOfMemoryError):
        return TransportError(
            f"Redis at {where} is out of memory (its maxmemory is reached); "
            "raise redis.memory_mb or the server's maxmemory, lower limits.entries, or use payload: shm"
        )
    if text.startswith("LEASELOST"):
        return LeaseLost(text)
    if "NOGROUP" in text or text.startswith("UNBLOCKED"):  # UNBLOCKED: Redis 7 was flushed during a blocking read
        why = "the run has ended, or the server was restarted without persistence"
        return GroupLost(f"Redis at {where} lost its streams: {why} ({text})")
    if isinstance(error, redis.ConnectionError | redis.TimeoutError):
        return TransportLost(f"Redis at {where} cannot be reached: {redact(text) or type(error).__name__}")
    return TransportError(f"Redis at {where} refused: {redact(text)}")


def translate_redis_errors(method: F) -> F:
    """Make a method raise our errors instead of redis-py's. Its object has `where`, the server's URL for messages."""

    @functools.wraps(method)
    def wrapped(self: Any, *args: Any, **kwargs: Any) -> Any:
        try:
            return method(self, *args, **kwargs)
        except redis.RedisError as error:
            raise explain(error, self.where) from error

    return wrapped  # type: ignore[return-value]

"""Follow a stage's stream from outside: without a consumer group, so that nobody waits for whoever looks."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import Any

import redis
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from pipeline.redaction import redact
from pipeline.transport.keys import Keys
from pipeline.transport.redis_connection import CONNECT_SECONDS, explain

Fields = Mapping[bytes, bytes]
_BLOCK_MS = 1000
_AT_ONCE = 100


class Tail:
    """Reads the streams of one pipeline. Its methods raise `TransportError`.

    Args:
        url: of the Redis server.
        name: of the pipeline.
    """

    def __init__(self, url: str, name: str) -> None:
        self._url, self._keys = url, Keys(name)
        self._client: Any = Redis.from_url(
            url, protocol=2, socket_connect_timeout=CONNECT_SECONDS, retry=Retry(NoBackoff(), 0)
        )

    async def newest(self, source: str, stage: str) -> Fields | None:
        """The newest entry of a stream; None if there is none."""
        try:
            found = await self._client.xrevrange(self._keys.stream(source, stage), count=1)
        except redis.RedisError as error:
            raise explain(error, redact(self._url)) from error
        return found[0][1] if found else None

    async def follow(self, source: str, stage: str, before: int = 0) -> AsyncIterator[list[Fields]]:
        """The entries of a stream that come from now on, as many at once as have come meanwhile.

        Args:
            source: Its name.
            stage: That writes the stream.
            before: How many of those that were there already come first.
        """
        key = self._keys.stream(source, stage)
        try:
            old = (await self._client.xrevrange(key, count=max(1, before)))[::-1]
            last = old[-1][0] if old else "0-0"
            if old and before:
                yield [fields for _, fields in old]
            while True:
                found = await self._client.xread({key: last}, count=_AT_ONCE, block=_BLOCK_MS)
                if found:
                    entries = found[0][1]
                    last = entries[-1][0]
                    yield [fields for _, fields in entries]
        except redis.RedisError as error:
            raise explain(error, redact(self._url)) from error

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()

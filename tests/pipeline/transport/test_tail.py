"""Whoever looks on changes nothing: no group waits, nothing is acknowledged, and no pixel is fetched."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from pipeline.codec import Encoded
from pipeline.transport.base import Commit, Position, Publication
from pipeline.transport.redis_server import PrivateServer
from pipeline.transport.redis_streams import RedisStreams
from pipeline.transport.tail import Tail


@pytest.fixture(scope="module")
def server() -> Iterator[PrivateServer]:
    server = PrivateServer.start(memory_mb=32)
    yield server
    server.stop()


def publish(transport: RedisStreams, token: str, sequence: int) -> None:
    encoded = Encoded({"body": b"%d" % sequence}, ())
    publication = Publication(Position(1, sequence), encoded, 1, keep=3, lossless=True)
    transport.commit(Commit("a", "decoder", token, publication))


def test_who_looks_on_sees_what_comes_and_takes_it_from_nobody(server: PrivateServer) -> None:
    transport = RedisStreams(server.url, "tail")
    transport.declare("a", "decoder", ["flow"])
    lease = transport.acquire("a", "decoder", "worker", 3600)
    assert lease is not None
    publish(transport, lease.token, 1)

    async def look_on() -> list[bytes]:
        tail, seen = Tail(server.url, "tail"), []
        async for entries in tail.follow("a", "decoder", before=1):
            seen += [entry[b"body"] for entry in entries]
            if len(seen) == 3:
                break
            for sequence in (2, 3):
                publish(transport, lease.token, sequence)
        newest = await tail.newest("a", "decoder")
        await tail.close()
        return [*seen, (newest or {})[b"body"]]

    assert asyncio.run(look_on()) == [b"1", b"2", b"3", b"3"]
    (group,) = transport.client.xinfo_groups(transport.keys.stream("a", "decoder"))
    assert (group["name"], group["pending"], group["last-delivered-id"]) == (b"flow", 0, b"0-0")
    assert [entry.number for _, entry in transport.read("flow", [("a", "decoder")], 10, 0.01)] == [1, 2, 3]
    transport.close()


def test_no_command_is_repeated_by_redis_py_itself(server: PrivateServer) -> None:
    # A retried XADD doubles, a retried XREADGROUP skips.
    transport = RedisStreams(server.url, "tail")
    for connection in (transport.client.connection_pool.make_connection(), transport._direct._connection()):
        assert connection.retry.get_retries() == 0
    transport.close()

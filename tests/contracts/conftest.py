"""Every implementation of an interface, as a fixture."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import pytest

from pipeline.transport.base import Transport
from pipeline.transport.memory import MemoryTransport
from pipeline.transport.redis_server import PrivateServer
from pipeline.transport.redis_streams import RedisStreams

_names = itertools.count()


@pytest.fixture(scope="session")
def redis_server() -> Iterator[PrivateServer]:
    server = PrivateServer.start(memory_mb=64)
    yield server
    server.stop()


@pytest.fixture(params=["memory", "redis"])
def transport(request: pytest.FixtureRequest) -> Iterator[Transport]:
    made: Transport
    if request.param == "memory":
        made = MemoryTransport()
    else:
        server: PrivateServer = request.getfixturevalue("redis_server")
        made = RedisStreams(server.url, f"test{next(_names)}")
    yield made
    made.close()

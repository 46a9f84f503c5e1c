"""A Redis server of a test file's own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from pipeline.transport.redis_server import PrivateServer


@pytest.fixture(scope="module")
def server() -> Iterator[PrivateServer]:
    server = PrivateServer.start(memory_mb=32)
    yield server
    server.stop()

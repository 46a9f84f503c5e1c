"""A control Redis of its own for all tests here."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from pipeline.transport.redis_server import PrivateServer


@pytest.fixture(scope="session")
def redis_server() -> Iterator[PrivateServer]:
    server = PrivateServer.start(memory_mb=64)
    yield server
    server.stop()

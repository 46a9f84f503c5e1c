"""Workers that die while the server is away: their deaths are dealt with once it is back."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from pipeline.errors import TransportLost, UserError
from pipeline.runtime.crew import Crew
from pipeline.runtime.nursery import End
from pipeline.transport.memory import MemoryTransport
from tests.pipeline.running import make_test_plan


class Away(MemoryTransport):
    """A server that loses its connection at the next commands that a death needs."""

    losses = 0

    def release_worker(self, worker: str, sources: Any, stage: str) -> None:
        if self.losses:
            self.losses -= 1
            raise TransportLost("Redis cannot be reached")
        super().release_worker(worker, sources, stage)


class Births:
    """A nursery of workers that end when a test says so."""

    def __init__(self) -> None:
        self.ends: dict[int, int] = {}
        self.born: list[str] = []

    def bear(self, arguments: list[str], environment: Any, kind: str) -> int:
        self.born.append(arguments[arguments.index("--worker") + 1])
        return len(self.born)

    def ended(self, pid: int, wait: bool = False) -> End | None:
        return End(self.ends.pop(pid), 0.0) if pid in self.ends else None


@pytest.fixture
def transport() -> MemoryTransport:
    return Away()


@pytest.fixture
def nursery() -> Births:
    return Births()


@pytest.fixture
def crew(tmp_path: Path, transport: MemoryTransport, nursery: Births) -> Iterator[Crew]:
    plan = make_test_plan(tmp_path, {"ledger": {"use": "Ledger", "reads": "decoder"}}, payload="inline")
    directory = SimpleNamespace(path=tmp_path)
    reaper: Any = SimpleNamespace(directory=directory, watch=lambda pid: None, forget=lambda pid: None)
    made: Any = Crew(plan, transport, nursery, reaper)  # type: ignore[arg-type]
    made.tend()
    yield made


def test_a_death_while_the_server_is_away_is_counted_and_what_it_had_is_given_back(
    crew: Crew, transport: Away, nursery: Births
) -> None:
    first = nursery.born[0]
    assert transport.acquire("a", crew.workers[0].stage, first, 3600) is not None
    nursery.ends[1], transport.losses = -9, 1
    with pytest.raises(TransportLost):
        crew.tend()
    assert len(nursery.born) == 2, "it was started again before its death was dealt with"
    crew.tend()
    assert crew.restarts(crew.workers[0].stage) == 1
    assert transport.unowned(crew.workers[0].stage, ["a"]) == ["a"]


def test_what_a_worker_ended_with_is_not_forgotten_while_the_server_is_away(
    crew: Crew, transport: Away, nursery: Births, tmp_path: Path
) -> None:
    (tmp_path / f"{nursery.born[0]}.error").write_text(json.dumps({"final": "UserError", "error": "the disk is full"}))
    nursery.ends[1], transport.losses = 2, 1
    with pytest.raises(TransportLost):
        crew.tend()
    with pytest.raises(UserError, match="the disk is full"):
        crew.tend()

"""What becomes of a source whose task failed."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from pipeline.errors import TransportLost
from pipeline.runtime.source_faults import SourceFaults
from pipeline.transport.memory import MemoryTransport
from tests.pipeline.running import make_test_plan


def test_a_server_that_is_away_is_no_fault_of_a_source(tmp_path: Path) -> None:
    sources = {name: {"input": "live"} for name in ("a", "b")}
    plan = make_test_plan(tmp_path, {}, sources=sources)
    faults = SourceFaults(plan.stages["decoder"], MemoryTransport())
    given_up: list[str] = []
    task: Any = SimpleNamespace(source="a", delivered=0, fail=given_up.append)
    for _ in range(plan.limits.restarts + 2):
        with pytest.raises(TransportLost):
            faults.handle(task, TransportLost("Redis cannot be reached"), plan)
    assert not given_up and not faults.pauses("a")

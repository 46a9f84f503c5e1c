"""Runs of this machine, found by their directories."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from pipeline.runtime.run_directory import RunDirectory
from pipeline.runtime.run_status import plan_of
from tests.pipeline.running import make_test_plan

NAMES = ("run-status-one", "run-status-two")


@pytest.fixture
def runs(tmp_path: Path) -> Iterator[dict[str, Path]]:
    """Two that are under way, by name, each with plug-ins in a folder of its own."""
    plan = make_test_plan(tmp_path, {"ledger": {"use": "Ledger", "reads": "decoder"}})
    directories = []
    for name in NAMES:
        directories.append(RunDirectory.create())
        own = replace(plan, name=name, search_path=(str(tmp_path / name),))
        (directories[-1].path / "plan.json").write_text(own.to_json())
    yield {name: tmp_path / name for name in NAMES}
    for directory in directories:
        directory.remove()


def test_the_plan_of_a_run_brings_no_plug_ins_of_other_runs(
    runs: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, folder in runs.items():
        monkeypatch.setattr(sys, "path", [*sys.path])
        plan = plan_of(name)
        assert plan is not None and plan.name == name
        assert [entry for entry in sys.path if Path(entry) in runs.values()] == [str(folder)]
        monkeypatch.undo()
    before = [*sys.path]
    assert plan_of("run-status-of-nobody") is None
    assert sys.path == before

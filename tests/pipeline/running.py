"""Runs of the real machine for tests: a configuration from a few words, a supervisor, and what it must not leave."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import yaml

from pipeline.config import load_config, make_plan
from pipeline.config.plan import Plan
from tests.run_directories import abandoned_run_directories

PLUGINS = "tests.pipeline.plugins"


def make_test_plan(
    directory: Path,
    stages: Mapping[str, Mapping[str, Any]],
    *,
    sources: Mapping[str, Mapping[str, Any]] | None = None,
    source: Mapping[str, Any] | None = None,
    **top: Any,
) -> Plan:
    """A plan with a `Counter` as source ``a`` (options `source`) and `stages` given as ``{name: {do, reads, ...}}``."""
    decoder = {"use": f"{PLUGINS}:Counter", "options": dict(source or {})}
    written = {
        "name": "test",
        "output": str(directory / "out"),
        "sources": sources or {"a": {"input": "counter"}},
        "stages": {"decoder": decoder, **{name: _stage(dict(section)) for name, section in stages.items()}},
        **top,
    }
    file = directory / "test.yaml"
    file.write_text(yaml.safe_dump(written))
    return make_plan(load_config(file))


def ledger(plan: Plan, source: str = "a", stage: str = "ledger") -> list[str]:
    """What the `Ledger` wrote down."""
    return (plan.output / f"{source}.{stage}.txt").read_text().split()


@contextmanager
def nothing_left_behind(directory: Path) -> Iterator[None]:
    """Fails if a process, a run directory or a ``.part`` file is there afterwards that was not there before."""
    children = {child.pid for child in psutil.Process().children(recursive=True)}
    yield
    left = [c for c in psutil.Process().children(recursive=True) if c.pid not in children and c.status() != "zombie"]
    assert not left, f"processes left behind: {[child.cmdline() for child in left]}"
    deadline = time.monotonic() + 60
    while left := abandoned_run_directories():  # of a run that is killed beside this one, for a moment
        assert time.monotonic() < deadline, f"run directories were left behind: {left}"
        time.sleep(0.05)
    assert not list(directory.rglob("*.part")), "an unfinished file was left behind"


def _stage(section: dict[str, Any]) -> dict[str, Any]:
    use = section["use"]
    return {**section, "use": use if ":" in use else f"{PLUGINS}:{use}"}

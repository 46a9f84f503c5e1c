"""``raftline status`` beside a run."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.command_line import lay_out, run, running, wait_until_begun
from tests.raftline.cli.test_run import SLOW

MARK = f"status-of-{os.getpid()}"  # another session may run the same test


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Where a run is under way."""
    folder = tmp_path_factory.mktemp("status")
    lay_out(folder)
    with running(folder, "run", "counting.yaml", "-i", "a.mp4", "-o", "out", "--set", f"name={MARK}", *SLOW):
        wait_until_begun(folder)
        yield folder


def told(folder: Path) -> dict[str, Any]:
    """The run's status once it has one."""
    for _ in range(100):
        found = json.loads(run(folder, "status", MARK, "--json").stdout)
        if found and found[0]["sources"]["a"]["frames_decoded"]:
            return found[0]
        time.sleep(0.1)
    raise AssertionError("no status")


def test_a_run_is_found_and_shown_while_it_runs(folder: Path) -> None:
    status = told(folder)
    assert (status["pipeline"], status["state"]) == (MARK, "running")
    assert set(status["sources"]["a"]["stages"]) == {"counter", "sums"}
    shown = run(folder, "status", MARK).stdout
    assert MARK in shown and "a (a.mp4): " in shown and "running for 0:0" in shown


def test_a_check_tells_by_its_exit_code_alone(folder: Path) -> None:
    told(folder)
    assert run(folder, "status", MARK, "--check").stdout == ""
    assert run(folder, "status", "another", "--check", code=1).stdout == ""


def test_a_name_that_runs_nowhere_is_said(folder: Path) -> None:
    assert "nothing of yours runs on this machine" in run(folder, "status", "another").stdout


def test_a_server_without_a_name_is_refused(folder: Path) -> None:
    assert "give the `name` of the pipeline" in run(folder, "status", "--redis", "redis://127.0.0.1:1/0", code=2).stderr

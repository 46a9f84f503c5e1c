"""``raftline source`` beside a run."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.command_line import lay_out, run, running, wait_until_begun
from tests.raftline.cli.test_run import SLOW

MARK = f"sources-of-{os.getpid()}"  # another session may run the same test


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Where a run is under way."""
    folder = tmp_path_factory.mktemp("source")
    lay_out(folder)
    with running(folder, "run", "counting.yaml", "-i", "a.mp4", "-o", "out", "--set", f"name={MARK}", *SLOW):
        wait_until_begun(folder)
        yield folder


def wait_for(folder: Path, condition: Callable[[dict[str, str]], bool]) -> None:
    """Until it holds of the inputs of the sources, by name."""
    for _ in range(60):
        found = json.loads(run(folder, "status", MARK, "--json").stdout)
        if found and condition({name: source["input"] for name, source in found[0]["sources"].items()}):
            return
        time.sleep(0.2)
    raise AssertionError("it did not come true")


def test_a_source_is_added_changed_listed_and_removed_and_its_password_is_not_shown(folder: Path) -> None:
    wait_for(folder, lambda inputs: "a" in inputs)
    door = ("rtsp://me:${CAM_PASSWORD}@host/x", "--name", "door")
    added = run(folder, "source", "add", *door, "--run", MARK, CAM_PASSWORD="s3cr3t")
    assert added.stdout == "added door\n"
    run(folder, "source", "change", "door", "--set", "frames=10000", "--run", MARK)
    shown = run(folder, "source", "list", "--run", MARK).stdout
    assert "rtsp://me:***@host/x" in shown and "s3cr3t" not in shown
    assert run(folder, "source", "remove", "door", "--run", MARK).stdout == "removed door\n"
    wait_for(folder, lambda inputs: list(inputs) == ["a"])


def test_a_mistake_is_the_users(folder: Path) -> None:
    wait_for(folder, lambda inputs: "a" in inputs)
    refused = run(folder, "source", "remove", "dor", "--run", MARK, code=2)
    assert "there is no source 'dor'" in refused.stderr
    assert "not there" in run(folder, "source", "add", "gone.mp4", "--run", MARK, code=2).stderr


def test_a_run_that_is_not_there_is_said(folder: Path) -> None:
    assert "no such pipeline of yours runs" in run(folder, "source", "list", "--run", "other", code=2).stderr
    assert "found no name" in run(folder, "source", "list", "--redis", "redis://127.0.0.1:1/0", code=2).stderr

"""The process that works on one file after the other: what it prints, and what is left when it dies."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from raftline.cli.batch.files import BatchFile
from raftline.cli.batch.lane import Interruption, Lane, Outcome

PROGRAM = """
import json, os, signal, sys
for line in sys.stdin:
    request = json.loads(line)
    with open(request["config"], "a") as tries:
        print(request["path"], file=tries)
    if "killed" in request["path"] and len(open(request["config"]).readlines()) % 3:
        os.kill(os.getpid(), signal.SIGKILL)
    if "server" in request["path"]:
        print(json.dumps({"answer": {"error": "its server ended", "again": True}}), flush=True)
        continue
    if "die" in request["path"]:
        sys.exit(3)
    print(json.dumps({"status": {"frames_decoded": request["path"]}}), flush=True)
    print(json.dumps({"answer": {"error": None, "said": str(os.getpid()), "outputs": ["x"]}}), flush=True)
"""


@pytest.fixture
def lane(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    monkeypatch.setattr("raftline.cli.batch.lane.own_program", lambda module: [sys.executable, "-c", PROGRAM])
    lane = Lane({"config": str(tmp_path / "tries")}, Interruption())
    yield lane
    lane.close()


def test_one_process_serves_all_files_until_one_ends_it(lane: Lane) -> None:
    statuses: list[dict[str, Any]] = []
    first, second, third, fourth = (
        lane.run(BatchFile(name, f"{name}.mp4"), statuses.append, {"do": "begin"}) for name in ("a", "b", "die", "c")
    )
    assert first == second == Outcome(said=first.said, outputs=["x"])
    assert third.error == "its process ended with status 3 and said nothing"
    assert (fourth.error, fourth.said == first.said) == (None, False)
    assert [status["frames_decoded"] for status in statuses] == ["a.mp4", "b.mp4", "c.mp4"]


def test_a_file_whose_process_or_server_was_killed_begins_anew_for_some_times(lane: Lane, tmp_path: Path) -> None:
    killed, server = (
        lane.run(BatchFile(name, f"{name}.mp4"), lambda status: None, {"do": "begin"}) for name in ("killed", "server")
    )
    assert killed.error is None and killed.outputs == ["x"]
    assert server.error == "its server ended"
    assert (tmp_path / "tries").read_text().split() == ["killed.mp4"] * 3 + ["server.mp4"] * 3

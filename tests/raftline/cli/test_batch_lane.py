"""The process that works on one file after the other: what it prints, and what is left when it dies."""

from __future__ import annotations

import sys
from typing import Any

import pytest

from raftline.cli import batch_lane
from raftline.cli.batch_files import BatchFile
from raftline.cli.batch_lane import Interruption, Lane, Outcome

PROGRAM = """
import json, os, sys
for line in sys.stdin:
    request = json.loads(line)
    if "die" in request["path"]:
        sys.exit(3)
    print(json.dumps({"status": {"frames_decoded": request["path"]}}), flush=True)
    print(json.dumps({"answer": {"error": None, "said": str(os.getpid()), "outputs": ["x"]}}), flush=True)
"""


@pytest.fixture
def lane(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(batch_lane, "own_program", lambda module: [sys.executable, "-c", PROGRAM])
    lane = Lane({"config": "any"}, Interruption())
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

"""What a batch shows: a bar for each file that runs and one for all, and a line for each that is done."""

from __future__ import annotations

import io
from typing import Any

import pytest
from rich.console import Console
from rich.progress import Progress

from raftline.cli.batch.lane import Outcome
from raftline.cli.batch.progress import BatchProgress, batch_progress


def status(frames: int) -> dict[str, Any]:
    stage = {"frames": frames, "fps": None, "dropped": {}, "restarts": 0, "status": {}}
    about = {"state": "running", "frames_expected": 10, "frames_decoded": frames}
    return {**about, "stages": {"decoder": stage, "flow": stage}}


def test_each_file_that_runs_has_a_bar_and_all_have_one() -> None:
    bars = Progress(console=Console(file=io.StringIO(), force_terminal=True))
    progress = BatchProgress(bars, files=2, stages=2)

    def shown() -> list[tuple[str, float, float | None]]:
        return [(task.description, task.completed, task.total) for task in bars.tasks]

    first, _ = progress.begin("a [red].mp4"), progress.begin("b.mp4")
    assert shown() == [("all files", 0, 2), ("a [red].mp4", 0, None), ("b.mp4", 0, None)]
    first(status(5))
    assert shown()[1] == ("a [red].mp4", 10, 20)
    progress.leave("a [red].mp4")
    progress.end("a [red].mp4", Outcome(said="finished"))
    assert shown() == [("all files", 1, 2), ("b.mp4", 0, None)]


def test_a_file_that_is_done_is_a_line_with_the_names_of_its_outputs(capsys: pytest.CaptureFixture[str]) -> None:
    with batch_progress(3, 2) as progress:
        progress.begin("a.mp4")(status(5))
        progress.end("a.mp4", Outcome(said="finished, 12 frames, 0.4 s", outputs=[f"out/{n}" for n in range(6)]))
        progress.end("b.mp4", Outcome(error="no such file"))
        progress.end("c.mp4", Outcome(left="another run works on it"))
    assert capsys.readouterr().out.splitlines() == [
        "[1/3] a.mp4: finished, 12 frames, 0.4 s",
        *(f"    out/{n}" for n in range(4)),
        "    and 2 more",
        "[2/3] b.mp4: failed: no such file",
        "[3/3] c.mp4: left: another run works on it",
    ]

"""The tasks of a long file, one after the other in this process, against the file in one piece."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import pytest

from pipeline.config import Plan, load_config, make_plan
from pipeline.runtime.in_process import InProcessRun
from pipeline.runtime.output_lock import Run
from pipeline.runtime.summary import write_summary
from raftline.cli.batch.files import BatchFile, already_finished
from raftline.cli.batch.lane import Outcome, Task
from raftline.cli.batch.tasks import FileTasks
from raftline.cli.batch.work import FileWork
from tests.stages.segment_clips import FRAMES, STABILIZED, write_shaken


def plan_of(folder: Path, output: str) -> Plan:
    (folder / "long.yaml").write_text(STABILIZED)
    return make_plan(load_config(folder / "long.yaml", inputs=[str(folder / "closed.mp4")], output=folder / output))


def supervised(plan: Plan, summary_name: str) -> dict[str, Any]:
    """Run a plan in this process."""
    plan.output.mkdir(parents=True, exist_ok=True)
    with InProcessRun(plan) as run:
        sources = run.wait()
    workers = {name: {"cpu_seconds": 1.0} for name in plan.stages}
    told = {"state": "finished", "seconds": 2.0, "workers": workers, "sources": sources, "dead_letters": []}
    write_summary(plan.output / summary_name, told)
    return told


def finish(
    folder: Path,
    output: str,
    segment_seconds: float | None,
    before: Callable[[Task], object] = lambda task: None,
) -> tuple[Outcome, list[str]]:
    """Do all tasks of the file, what helps first; how it went, and which tasks there were. `before` sees each."""
    plan, done = plan_of(folder, output), list[str]()
    file = BatchFile("closed", str(folder / "closed.mp4"))
    tasks = FileTasks(plan, file, supervised, Run("test", "test"))
    work = FileWork(file, {"do": "begin", "segment_seconds": segment_seconds})
    while (task := work.take(help=True) or work.take()) is not None:
        before(task)
        done.append(f"{task['do']} {task.get('number', '')}".strip())
        work.done(task, Outcome(**tasks.do(task)))
    assert work.outcome is not None and already_finished(file, plan, folder / output)
    return work.outcome, done


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("long")
    write_shaken(folder / "closed.mp4", sound=True)
    outcome, tasks = finish(folder, "one", None)
    assert tasks == ["begin"] and outcome.said.startswith(f"finished, {FRAMES} frames")
    return folder


def contents(path: Path) -> tuple[list, list, str]:
    with av.open(str(path)) as video:
        frames = [(frame.pts, frame.to_ndarray().tobytes()) for frame in video.decode(video=0)]
    with av.open(str(path)) as video:
        sound = [(packet.pts, bytes(packet)) for packet in video.demux(audio=0) if packet.size]
    return frames, sound, path.with_suffix(".path.jsonl").read_text()


def test_frames_sound_and_path_are_those_of_one_piece_also_after_a_break(folder: Path) -> None:
    class Killed(Exception):
        pass

    def kill_at_the_last_segment(task: Task) -> None:
        if (task["do"], task.get("number")) == ("rest", 2):
            raise Killed

    with pytest.raises(Killed):
        finish(folder, "segments", 0.3, kill_at_the_last_segment)
    scratch = folder / "segments" / ".closed.segments"
    kept = {path: path.stat().st_mtime_ns for path in scratch.glob("*/summary.json")}
    assert {path.parent.name for path in kept} == {"measure-0", "measure-1", "measure-2", "rest-0", "rest-1"}

    def kept_still(task: Task) -> None:
        assert all(path.stat().st_mtime_ns == time for path, time in kept.items())

    outcome, tasks = finish(folder, "segments", 0.3, kept_still)
    measured = [f"measure {number}" for number in range(3)]
    assert tasks == ["begin", *measured, "path", *(f"rest {number}" for number in range(4)), "join"]
    assert_as_in_one_piece(folder, outcome)
    told = json.loads((folder / "segments" / "closed.summary.json").read_text())
    assert list(told["tasks"]) == [
        "path",
        *(f"{kind}-{k}" for kind, n in (("measure", 3), ("rest", 4)) for k in range(n)),
    ]
    assert {name: stage["frames"] for name, stage in told["sources"]["closed"]["stages"].items()} == {
        "decoder": FRAMES,
        "flow": FRAMES,
        "stabilization": FRAMES,
        "video": FRAMES,
    }


def test_a_file_of_which_a_section_cannot_be_measured_goes_in_order(folder: Path) -> None:
    def damage_a_section(task: Task) -> None:
        if task["do"] == "path":
            summary = folder / "in-order" / ".closed.segments" / "measure-1" / "summary.json"
            told = json.loads(summary.read_text())
            told["sources"]["closed"]["stages"]["decoder"]["counts"]["corrupt_packets"] = 1
            summary.write_text(json.dumps(told))

    outcome, tasks = finish(folder, "in-order", 0.3, damage_a_section)
    assert [task for task in tasks if task.startswith(("path", "ahead", "in-order"))] == [
        "path",
        *(f"ahead {number}" for number in range(1, 5)),
        "in-order",
    ]
    assert_as_in_one_piece(folder, outcome)


def assert_as_in_one_piece(folder: Path, outcome: Outcome) -> None:
    output = Path(outcome.outputs[0]).parent
    assert outcome.outputs == [str(output / name) for name in ("closed.mkv", "closed.path.jsonl")]
    assert contents(output / "closed.mkv") == contents(folder / "one" / "closed.mkv")
    assert len(contents(output / "closed.mkv")[0]) == FRAMES
    assert not [path for path in output.iterdir() if path.name.startswith(".") or ".part" in path.name]

"""``batch``: many files, skipped when finished, one bad one among them."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import psutil
import pytest

from tests.command_line import lay_out, run, running, summary, wait_until_alone, wait_until_begun


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    lay_out(tmp_path)
    (tmp_path / "in" / "deeper").mkdir(parents=True)
    (tmp_path / "in" / "a.mp4").write_text("a")
    (tmp_path / "in" / "deeper" / "a.MOV").write_text("another a")
    (tmp_path / "in" / "notes.txt").write_text("no video")
    return tmp_path


def outputs(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder / "out")) for path in (folder / "out").rglob("*.sums.txt"))


def test_every_video_of_a_folder_gets_results_of_its_own(folder: Path) -> None:
    (folder / "in" / "日本語 ${NOTSET}.mp4").write_text("letters of every kind, and no variable")
    said = run(folder, "batch", "counting.yaml", "in", "-o", "out", "--jobs", 2).stdout
    assert "3 files, 0 finished before, 3 to do, 2 at a time" in said
    assert "    out/a.sums.txt\n" in said
    assert "    out/deeper/a.sums.txt\n" in said
    assert "left out: 1 no video (.txt)" in said
    assert outputs(folder) == ["a.sums.txt", "deeper/a.sums.txt", "日本語 ${NOTSET}.sums.txt"]
    written = summary(folder / "out")
    assert written["state"] == "finished"
    assert {name: source["input"] for name, source in written["sources"].items()} == {
        "a": "in/a.mp4",
        "deeper/a": "in/deeper/a.MOV",
        "日本語 ${NOTSET}": "in/日本語 ${NOTSET}.mp4",
    }


def test_what_is_finished_is_skipped_until_the_configuration_changes(folder: Path) -> None:
    batch = ("batch", "counting.yaml", "in", "-o", "out")
    run(folder, *batch)
    assert "2 finished before, 0 to do" in run(folder, *batch).stdout
    other = ("--set", "stages.sums.options.path={source}.other.txt")
    assert "0 finished before, 2 to do" in run(folder, *batch, *other).stdout
    assert len(summary(folder / "out")["sources"]) == 2
    about = json.loads((folder / "out" / "a.summary.json").read_text())
    assert (about["sources"]["a"]["outputs"], about["earlier_outputs"]) == (["out/a.other.txt"], ["out/a.sums.txt"])


def test_one_bad_file_is_named_and_does_not_stop_the_rest(folder: Path) -> None:
    done = run(folder, "batch", "counting.yaml", "*.mp4", "-o", "out", code=2)
    assert outputs(folder) == ["a.sums.txt", "b.sums.txt"]
    assert "2 files finished (0 of them before), 1 failed" in done.stdout
    assert done.stderr == "error: bad.mp4: no such file\n"
    assert summary(folder / "out")["state"] == "failed"
    again = run(folder, "batch", "counting.yaml", "*.mp4", "-o", "out", code=2)
    assert "2 finished before, 1 to do" in again.stdout


def test_outputs_that_would_overwrite_each_other_are_refused(folder: Path) -> None:
    one = ("--set", "stages.sums.options.path=all.txt")
    done = run(folder, "batch", "counting.yaml", "in", "-o", "out", *one, code=2)
    assert "it must contain {source}" in done.stderr


def test_an_input_that_gives_nothing_is_refused(folder: Path) -> None:
    (folder / "empty").mkdir()
    for given, why in {"empty": "no videos in this folder", "nothing*.mp4": "no such file, no folder"}.items():
        done = run(folder, "batch", "counting.yaml", given, "-o", "out", code=2)
        assert f"error: {given}: {why}" in done.stderr


SLOW = ("--set", "stages.counter.options={frames: 100000, pause_seconds: 0.1}")


def test_ctrl_c_drains_what_is_under_way_and_begins_nothing_more(folder: Path) -> None:
    batch = ("batch", "counting.yaml", "in", "-o", "out")
    with running(folder, *batch, *SLOW) as process:
        wait_until_begun(folder)
        # Another batch leaves the file that is under way, and does the other.
        said = run(folder, *batch).stdout
        assert "in/a.mp4: left: out/a.summary.json: another run works on it (process" in said
        assert "1 files finished (0 of them before), 0 failed, 1 left to another run" in said
        assert summary(folder / "out")["left_to_another_run"] == ["in/a.mp4"]
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=150) == 130
        assert process.stdout is not None
        stopped = process.stdout.read()
    assert "stopping: no file is begun any more" in stopped
    assert "1 files are not finished: run the same command again to go on with them" in stopped
    assert outputs(folder) == ["a.sums.txt", "deeper/a.sums.txt"]
    assert summary(folder / "out")["sources"]["a"]["state"] == "stopped"
    wait_until_alone(folder)
    assert "1 finished before, 1 to do" in run(folder, *batch).stdout
    assert [path.name for path in (folder / "out").rglob(".*")] == [".batch.json"]  # of the page


@pytest.mark.slow
@pytest.mark.parametrize("part", ["redis-server", "raftline.cli.batch.child"])
def test_a_file_whose_server_or_process_is_killed_is_done_all_the_same(folder: Path, part: str) -> None:
    slow = ("--set", "stages.counter.options={frames: 20, pause_seconds: 0.1}")
    with running(folder, "batch", "counting.yaml", "in", "-o", "out", *slow) as process:
        wait_until_begun(folder)
        parts = psutil.Process(process.pid).children(recursive=True)
        next(each for each in parts if part in " ".join(each.cmdline())).kill()
        assert process.wait(timeout=250) == 0
        assert process.stdout is not None and "killed by SIGKILL; it begins anew" in process.stdout.read()
    for path in (folder / "out").rglob("*.sums.txt"):
        assert path.read_text().count("\n") == 20
    assert outputs(folder) == ["a.sums.txt", "deeper/a.sums.txt"]
    assert summary(folder / "out")["state"] == "finished"


def test_a_killed_batch_leaves_no_process(folder: Path) -> None:
    with running(folder, "batch", "counting.yaml", "in", "-o", "out", *SLOW) as process:
        wait_until_begun(folder)
        process.kill()
        process.wait()
        wait_until_alone(folder)
    assert outputs(folder) == []

"""The command line, as a user meets it: what it says, what it leaves, how it ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from typer.testing import CliRunner

from pipeline.transport.redis_server import PrivateServer
from raftline.cli.app import app
from tests.command_line import (
    PLUGIN,
    ROOT,
    YAML,
    command,
    lay_out,
    run,
    running,
    summary,
    wait_until_alone,
    wait_until_begun,
)
from tests.run_directories import none_left_behind


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    lay_out(tmp_path)
    return tmp_path


def sums(frames: int) -> str:
    return "".join(f"{index} {index % 256 * 128}\n" for index in range(frames))


COMMANDS = ("run", "batch", "worker", "validate", "stages", "configs", "flow", "evaluate", "train", "doctor")
COMMANDS += ("contact-sheet", "event-sheet", "status")


def test_without_arguments_it_says_what_there_is(folder: Path) -> None:
    said = run(folder, code=2).stdout
    for name in COMMANDS:
        assert f" {name} " in said


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_explains_itself(name: str) -> None:
    result = CliRunner().invoke(app, [name, "--help"])
    assert result.exit_code == 0
    assert f"{name} [OPTIONS]" in result.output
    assert "raftline " in result.output


def test_a_configuration_or_a_file_in_place_of_a_command_is_told_how_to_run(folder: Path) -> None:
    (folder / "my.mp4").write_bytes(b"")
    for given, told in (("stabilize", "raftline run stabilize"), ("my.mp4", "raftline run stabilize -i my.mp4")):
        said = run(folder, given, code=2).stderr
        assert told in " ".join(said.replace("│", " ").split())


def test_inputs_after_the_configuration_are_told_to_take_an_i_each() -> None:
    done = CliRunner().invoke(app, ["run", "stabilize", "-i", "a.mp4", "b b.mp4", "c.mp4"])
    said = " ".join(done.stderr.replace("│", " ").split())
    assert done.exit_code == 2 and "'b b.mp4' has no place here" in said
    assert "raftline run stabilize ... -i 'b b.mp4' -i c.mp4" in said and "raftline batch stabilize FILES" in said


def test_a_run_says_how_it_went_and_writes_it_down(folder: Path) -> None:
    done = run(folder, "run", "counting.yaml", "-i", "a.mp4", "-i", "b.mp4", "-o", "out")
    assert (folder / "out" / "a.sums.txt").read_text() == sums(20)
    assert (folder / "out" / "b.sums.txt").read_text() == sums(20)
    assert sorted(path.name for path in (folder / "out").iterdir()) == ["a.sums.txt", "b.sums.txt", "summary.json"]
    written = summary(folder / "out")
    assert written["state"] == "finished"
    assert {name: s["stages"]["sums"]["frames"] for name, s in written["sources"].items()} == {"a": 20, "b": 20}
    assert "out/a.sums.txt" in done.stdout
    assert "finished after" in done.stdout
    assert done.stderr == ""


def test_a_run_leaves_no_process_and_no_directory(folder: Path) -> None:
    with none_left_behind(folder):
        run(folder, "run", "counting.yaml", "-i", "a.mp4")
        wait_until_alone(folder)


def test_a_source_that_fails_is_named_and_the_other_finishes(folder: Path) -> None:
    done = run(folder, "run", "counting.yaml", "-i", "bad.mp4", "-i", "b.mp4", "-o", "out", code=2)
    assert "error: source bad: bad.mp4: no such file\n" in done.stderr
    assert (folder / "out" / "b.sums.txt").read_text() == sums(20)
    assert not (folder / "out" / "bad.sums.txt").exists()
    assert {n: s["state"] for n, s in summary(folder / "out")["sources"].items()} == {"bad": "failed", "b": "finished"}


def test_an_input_that_can_be_seen_to_be_wrong_stops_the_run_before_it_begins(folder: Path) -> None:
    done = run(folder, "run", "counting.yaml", "-i", "b.mp4", "-i", "gone.mp4", "-o", "out", code=2)
    assert done.stderr == "error: source gone: gone.mp4: not there\n"
    assert not (folder / "out").exists()
    assert not (folder / "begun").exists()


def test_a_password_is_shown_nowhere(folder: Path) -> None:
    url = "rtsp://me:${CAM_PASSWORD}@127.0.0.1:1/bad?token=hunter3"
    done = run(folder, "run", "counting.yaml", "-i", url, "-o", "out", code=2, CAM_PASSWORD="hunter2")
    shown = done.stdout + done.stderr + (folder / "out" / "summary.json").read_text()
    assert "rtsp://me:***@127.0.0.1:1/bad?token=***" in shown
    assert "hunter" not in shown


def test_a_mistake_in_the_configuration_is_one_line(folder: Path) -> None:
    done = run(folder, "run", "counting.yaml", "-i", "a.mp4", "--set", "stages.sums.options.pth=x", code=2)
    assert done.stderr == (
        "error: --set: stages.sums.options.pth: unknown key; allowed here: path, fail_at, fail_open; "
        "did you mean 'path'?\n"
    )
    assert not (folder / "out").exists()


def test_without_a_source_it_says_how_to_give_one(folder: Path) -> None:
    assert "add one with -i INPUT" in run(folder, "run", "counting.yaml", code=2).stderr


def test_an_output_that_cannot_be_written_is_refused_before_anything_starts(folder: Path) -> None:
    done = run(folder, "run", "counting.yaml", "-i", "a.mp4", "-o", "a.mp4/out", code=2)
    assert done.stderr.startswith("error: output a.mp4/out: cannot be written (Not a directory)")


def test_a_redis_that_is_not_there_is_named_without_its_password(folder: Path) -> None:
    url = "redis://me:hunter2@127.0.0.1:1/0"
    done = run(folder, "run", "counting.yaml", "-i", "a.mp4", "--redis", url, code=2)
    assert "redis://me:***@127.0.0.1:1/0 cannot be reached" in done.stderr
    assert "hunter2" not in done.stderr


def test_a_redis_of_the_user_s_is_used(folder: Path) -> None:
    server = PrivateServer.start(64)
    try:
        run(folder, "run", "counting.yaml", "-i", "a.mp4", "-o", "out", "--redis", server.url)
    finally:
        server.stop()
    assert (folder / "out" / "a.sums.txt").read_text() == sums(20)


def test_a_plug_in_that_raises_at_import_is_named_with_its_line(folder: Path) -> None:
    (folder / "counting.py").write_text(PLUGIN + "\n\nraise RuntimeError('no licence')\n")
    done = run(folder, "run", "counting.yaml", "-i", "a.mp4", code=2)
    line = len(PLUGIN.splitlines()) + 3
    assert f"RuntimeError: no licence (at {folder}/counting.py:{line})" in done.stderr


def test_a_plug_in_that_raises_when_it_is_opened_ends_the_run(folder: Path) -> None:
    broken = ("--set", "stages.sums.options.fail_open=true")
    done = run(folder, "run", "counting.yaml", "-i", "a.mp4", "-o", "out", *broken, code=2)
    assert "RuntimeError: no such device" in done.stderr
    assert [path.name for path in (folder / "out").iterdir()] == ["summary.json"]


def test_a_frame_that_a_plug_in_cannot_take_is_given_up_and_named(folder: Path) -> None:
    done = run(
        folder, "run", "counting.yaml", "-i", "a.mp4", "-o", "out", "--set", "stages.sums.options.fail_at=7", code=2
    )
    assert "error: stage sums, source a: a message was given up: ValueError: cannot take frame 7" in done.stderr
    lines = (folder / "out" / "a.sums.txt").read_text().splitlines()
    assert [int(line.split()[0]) for line in lines] == [index for index in range(20) if index != 7]


def test_a_run_in_one_process_writes_the_same(folder: Path) -> None:
    done = run(folder, "run", "counting.yaml", "-i", "a.mp4", "-i", "b.mp4", "-o", "out", "--in-process", PATH="")
    assert (folder / "out" / "a.sums.txt").read_text() == (folder / "out" / "b.sums.txt").read_text() == sums(20)
    assert summary(folder / "out")["sources"]["b"]["stages"]["sums"]["frames"] == 20
    assert "finished after" in done.stdout
    assert done.stderr == ""


PRY = """
from pipeline.messages import Frame
from pipeline.stage import Stage


class Pry(Stage):
    reads = (Frame,)

    def process(self, message):
        if message.index == 3:
            breakpoint()
        if message.index == 5:
            raise ValueError("cannot take frame 5")
        return ()
"""


@pytest.mark.parametrize(("typed", "code", "words"), [("p 7 * message.index\nc\n", 2, "ValueError"), ("q\n", 130, "")])
def test_in_one_process_a_breakpoint_has_the_terminal_and_a_traceback_is_whole(
    folder: Path, typed: str, code: int, words: str
) -> None:
    (folder / "plugins").mkdir()
    (folder / "plugins/pry.py").write_text(PRY)
    (folder / "plugins/pry.yaml").write_text(YAML + '  pry: {use: "./pry.py:Pry", reads: counter}\n'
                                             "sources: {a: {input: a.mp4}}\n")  # fmt: skip
    done = subprocess.run(
        command("run", "plugins/pry.yaml", "-o", "out", "--in-process"),
        cwd=folder, input=typed, capture_output=True, text=True, timeout=250, check=False,
    )  # fmt: skip
    assert done.returncode == code, done.stderr
    assert ("(Pdb) 21" in done.stdout) == (code == 2) and "(Pdb)" in done.stdout
    if code == 2:
        assert f'File "{folder}/plugins/pry.py", line 13, in process' in done.stderr
        last = done.stderr.splitlines()[-1]
        assert last.startswith(
            f"error: stage 'pry' ({folder}/plugins/pry.py:Pry) failed: ValueError: cannot take frame 5"
        )
    assert summary(folder / "out")["state"] == "failed"
    assert not list((folder / "out").glob("*.part"))


def test_a_run_in_one_process_has_no_redis() -> None:
    result = CliRunner().invoke(app, ["run", "demo", "--in-process", "--redis", "redis://host"])
    said = "a run in one process has no Redis, and no page; leave out --redis"
    assert result.exit_code == 2 and said in result.output


SLOW = ("--set", "stages.counter.options={frames: 100000, pause_seconds: 0.1}")


@pytest.mark.parametrize(("given", "code"), [("a.mp4", 130), ("rtsp://host/a", 0)])
def test_ctrl_c_drains_and_leaves_whole_files(folder: Path, given: str, code: int) -> None:
    with running(folder, "run", "counting.yaml", "-i", given, "-o", "out", *SLOW) as process:
        wait_until_begun(folder)
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=150) == code
    assert summary(folder / "out")["state"] == "stopped"
    frames = summary(folder / "out")["sources"]["a"]["stages"]["counter"]["frames"]
    written = (folder / "out" / "a.sums.txt").read_text()
    assert written == sums(frames) if code else len(written.splitlines()) <= frames
    assert not list((folder / "out").glob("*.part"))
    wait_until_alone(folder)


def test_a_second_ctrl_c_stops_at_once_and_leaves_nothing_half_written(folder: Path) -> None:
    with running(folder, "run", "counting.yaml", "-i", "a.mp4", "-o", "out", *SLOW) as process:
        wait_until_begun(folder)
        process.send_signal(signal.SIGINT)
        time.sleep(0.1)  # two signals at the same moment are one
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=150) == 130
    wait_until_alone(folder)


def test_a_killed_run_leaves_no_process_and_no_directory(folder: Path) -> None:
    begun = running(folder, "run", "counting.yaml", "-i", "a.mp4", "-o", "out", *SLOW)
    with none_left_behind(folder), begun as process:
        wait_until_begun(folder)
        process.kill()
        process.wait()
        wait_until_alone(folder)
    assert not (folder / "out" / "a.sums.txt").exists()


def test_validate_shows_the_pipeline_without_running_it(folder: Path) -> None:
    said = run(folder, "validate", "counting.yaml", "-i", "rtsp://me:hunter2@host/cam").stdout
    assert "counter  counting:Counter\n└── sums  counting:Sum" in said
    assert "source cam: rtsp://me:***@host/cam (live)" in said
    assert "counting.yaml is valid" in said
    assert "hunter2" not in said


def test_validate_refuses_a_cycle(folder: Path) -> None:
    (folder / "counting.yaml").write_text(YAML.replace("reads: counter", "reads: sums"))
    assert "cycle: sums -> sums" in run(folder, "validate", "counting.yaml", code=2).stderr


def test_a_stage_s_options_can_be_read(folder: Path) -> None:
    said = run(folder, "stages", "counting:Sum").stdout
    assert "Writes the sum of each frame." in said
    assert "reads Frame; writes files or nothing" in said
    assert "{source}.sums.txt" in said
    assert "index of a frame that it cannot take" in said


def test_a_stage_that_is_not_there_is_refused(folder: Path) -> None:
    assert "did you mean 'Counter'?" in run(folder, "stages", "counting:Couner", code=2).stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--stage", "sums"], "a worker needs a Redis that others reach too"),
        (
            ["--stage", "sum", "--redis", "redis://host"],
            "there is no such stage in counting.yaml; there are: counter, sums",
        ),
        (["--stage", "sums", "--redis", "redis://host"], "a worker needs payload: inline"),
    ],
)
def test_a_worker_that_cannot_work_says_why(folder: Path, arguments: list[str], words: str) -> None:
    assert words in run(folder, "worker", "counting.yaml", "-i", "a.mp4", *arguments, code=2).stderr


def test_a_missing_file_is_refused_before_the_network_is_loaded(folder: Path) -> None:
    code = (
        "import sys\nfrom typer.testing import CliRunner\nfrom raftline.cli.app import app\n"
        "result = CliRunner().invoke(app, ['run', 'stabilize', '-i', 'none.mp4', '-o', 'out'])\n"
        "print(result.exit_code, 'torch' in sys.modules, result.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, check=True)
    assert done.stdout.startswith("2 False error: source none: none.mp4: no such file or folder")
    assert not (folder / "out").exists()


PREPARED = """
import sys
from functools import partial
from pathlib import Path
from raftline.cli import run
from raftline.cli.arguments import read_config

with run._one_blas_thread():
    from pipeline.runtime.nursery import Nursery

def told(plan, fork):
    print(fork, "stages.decoder.stage" in sys.modules, len(list(Path("/proc/self/task").iterdir())))
    sys.exit()

Nursery.for_plan = told
run._supervise(partial(read_config, Path(sys.argv[1]), [sys.argv[2]], Path(sys.argv[3]), [], None), None)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="threads are counted in /proc")
def test_what_the_workers_parent_needs_is_loaded_before_it_is_forked_and_starts_no_thread(tmp_path: Path) -> None:
    clip = tmp_path / "clip.mp4"
    clip.write_bytes(b"whatever")
    given = [str(ROOT / "configs" / "stabilize.yaml"), str(clip), str(tmp_path / "out")]
    unlimited = {name: value for name, value in os.environ.items() if not name.endswith("_NUM_THREADS")}
    done = subprocess.run(
        [sys.executable, "-c", PREPARED, *given], env=unlimited, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["True", "True", "1"]

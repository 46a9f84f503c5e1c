"""Two runs never write one output; one run may with all its workers; the dead own nothing."""

from __future__ import annotations

import errno
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.errors import OutputError, OutputInWork
from pipeline.runtime import output_lock
from pipeline.runtime.output_lock import OutputLock, Run

OURS = Run("ours", "process 1 on here, since noon")
THEIRS = Run("theirs", "process 2 on there, since dawn")
HOLDER = """
import sys
from pathlib import Path
from pipeline.runtime.output_lock import OutputLock, Run
lock = OutputLock.take(Path(sys.argv[1]), Run("theirs", "process 2 on there, since dawn"))
print("taken", flush=True)
sys.stdin.read()
"""


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(output_lock, "_PAUSE_SECONDS", 0.0)


@pytest.fixture
def output(tmp_path: Path) -> Path:
    return tmp_path / "a.mp4"


@pytest.fixture
def holder(output: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process of another run, which has the lock."""
    command = [sys.executable, "-c", HOLDER, str(output)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "taken\n"
        yield process
        process.kill()


def test_what_another_run_writes_is_refused_with_its_process_host_and_start(output: Path) -> None:
    theirs = OutputLock.take(output, THEIRS)
    with pytest.raises(OutputInWork) as refused:
        OutputLock.take(output, OURS)
    assert str(refused.value) == (
        f"{output}: another run works on it (process 2 on there, since dawn); wait for its end, or choose another "
        "directory with -o"
    )
    theirs.release()
    OutputLock.take(output, OURS).release()


def test_nothing_is_left_of_a_lock(output: Path) -> None:
    lock = OutputLock.take(output, OURS)
    assert [path.name for path in output.parent.iterdir()] == [".a.mp4.lock"]
    lock.release()
    lock.release()
    assert not list(output.parent.iterdir())


def test_the_workers_of_a_run_share_a_lock_until_the_last_of_them_gives_it_back(output: Path) -> None:
    first, second = OutputLock.take(output, OURS), OutputLock.take(output, OURS)
    first.release()
    with pytest.raises(OutputInWork):
        OutputLock.take(output, THEIRS)
    second.release()
    OutputLock.take(output, THEIRS).release()


def test_the_lock_of_a_dead_run_is_taken_and_its_remains_are_removed(
    output: Path, holder: subprocess.Popen[str], caplog: pytest.LogCaptureFixture
) -> None:
    remains = [output.with_name(name) for name in ("a.mp4.part", "a.mp4.spool-1.part")]
    kept = [output.with_name(name) for name in ("b.mp4.part", "a.mp4")]
    for path in remains + kept:
        path.touch()
    with pytest.raises(OutputInWork):
        OutputLock.take(output, OURS)
    assert all(path.exists() for path in remains)
    holder.kill()
    holder.wait()
    lock = OutputLock.take(output, OURS)
    assert [path.exists() for path in remains + kept] == [False, False, True, True]
    assert "the run that worked on it (process 2 on there, since dawn) is dead" in caplog.text
    lock.release()


def test_a_worker_that_takes_over_within_its_run_finds_what_the_dead_one_left(
    output: Path, holder: subprocess.Popen[str]
) -> None:
    part = output.with_name("a.mp4.part")
    part.touch()
    holder.kill()
    holder.wait()
    OutputLock.take(output, THEIRS).release()
    assert part.exists()


def test_a_full_disk_is_an_error_and_leaves_no_lock(output: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(output_lock.os, "pwrite", refuse)
    with pytest.raises(OutputError, match="No space left on device"):
        OutputLock.take(output, OURS)
    assert not list(output.parent.iterdir())


def test_a_file_system_without_locks_is_said_aloud(
    output: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(fd: int, kind: int) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(output_lock.fcntl, "flock", refuse)
    lock = OutputLock.take(output, OURS)
    assert "has no locks (No locks available): take care that no other run writes there" in caplog.text
    lock.release()
    assert not list(output.parent.iterdir())

"""Workers are forked from a process that has loaded their modules, and none of them is lost with it."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from pipeline.errors import WorkerFailed
from pipeline.runtime import nursery_process
from pipeline.runtime.nursery import Nursery
from pipeline.runtime.supervisor import Status, Supervisor
from tests.pipeline.running import ledger, make_test_plan, nothing_left_behind

STAGE = """
import os
import threading
from pipeline.messages import Frame
from pipeline.stage import Stage

LOADED_BY = os.getpid()

class Mine(Stage):
    reads = (Frame,)

    def process(self, message):
        output = self.context.output("{source}.mine.txt")
        output.part.write_text("before" if LOADED_BY != os.getpid() else "after")
        output.finish()
        return ()
"""
THREAD = "\nthreading.Thread(target=threading.Event().wait, daemon=True).start()\n"


@pytest.fixture(autouse=True)
def clean(tmp_path: Path) -> Iterator[None]:
    with nothing_left_behind(tmp_path):
        yield


def run_mine(tmp_path: Path, text: str) -> str:
    """When a user's module was loaded: before or after the fork of its worker."""
    (tmp_path / "my_stage.py").write_text(text)
    plan = make_test_plan(tmp_path, {"mine": {"use": "my_stage:Mine", "reads": "decoder"}}, source={"frames": 1})
    assert Supervisor(plan).run()["state"] == "finished"
    return (plan.output / "a.mine.txt").read_text()


def the_nursery() -> psutil.Process:
    (found,) = [c for c in psutil.Process().children() if "nursery_program" in " ".join(c.cmdline())]
    return found


def test_modules_are_loaded_once_before_workers_are_forked_and_say_farewell_in_each(tmp_path: Path) -> None:
    farewell = f"\nimport atexit\natexit.register(lambda: open({str(tmp_path / 'farewell')!r}, 'w').close())\n"
    assert run_mine(tmp_path, STAGE + farewell) == "before"
    assert (tmp_path / "farewell").exists()


def test_a_module_that_starts_a_thread_is_left_to_its_workers(tmp_path: Path) -> None:
    assert run_mine(tmp_path, STAGE + THREAD) == "after"


def test_a_run_outlives_its_nursery(tmp_path: Path) -> None:
    stages = {"relay": {"use": "Relay", "reads": "decoder"}, "ledger": {"use": "Ledger", "reads": "relay"}}
    plan = make_test_plan(tmp_path, stages, source={"frames": 100_000, "frames_per_second": 100})
    killed: list[int] = []

    def kill(status: Status) -> None:
        seen = status["sources"]["a"]["stages"]
        if not killed and seen["ledger"]["frames"]:
            the_nursery().kill()
            killed.append(seen["decoder"]["frames"])
        elif killed and all(each["restarts"] for each in seen.values()) and seen["ledger"]["frames"] > killed[0] + 20:
            supervisor.drain()

    supervisor = Supervisor(plan, on_status=kill)
    assert supervisor.run()["state"] == "stopped"
    *frames, end = ledger(plan)
    assert (frames, end) == ([str(index) for index in range(len(frames))], "stopped")


def test_a_nursery_that_never_comes_up_ends_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nursery_process, "own_program", lambda module: [sys.executable, "-c", "raise SystemExit(3)"])
    with pytest.raises(WorkerFailed, match="ended 3 times, the last time with status 3"):
        Supervisor(make_test_plan(tmp_path, {"ledger": {"use": "Ledger", "reads": "decoder"}})).run()


def test_the_nursery_ends_with_its_owner() -> None:
    nursery = Nursery()
    process = the_nursery()
    nursery.close()
    assert not process.is_running()


def test_workers_that_ended_well_are_kept_for_the_next_of_their_kind(tmp_path: Path) -> None:
    (tmp_path / "my_stage.py").write_text(STAGE.replace("write_text(", "write_text(str(os.getpid()) or "))
    sources = {"a": {"input": "counter"}}
    plan = make_test_plan(tmp_path, {"mine": {"use": "my_stage:Mine", "reads": "decoder"}}, sources=sources)

    def worker() -> int:
        assert Supervisor(plan, nursery=nursery).run()["state"] == "finished"
        return int((plan.output / "a.mine.txt").read_text())

    with Nursery.for_plan(plan, keep=True) as nursery:
        first = worker()
        assert worker() == first
        psutil.Process(first).kill()
        second = worker()
        assert second != first
    with contextlib.suppress(psutil.NoSuchProcess):
        psutil.Process(second).wait(timeout=30)


def test_how_a_worker_ends_is_told_once() -> None:
    with Nursery() as nursery:
        pid = nursery.bear(["--help"], {})
        end = nursery.ended(pid, wait=True)
    assert end is not None
    assert end.status == 0
    assert end.cpu_seconds > 0


def test_it_is_closed_at_once_while_it_loads_and_says_nothing(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "slow.py").write_text("import time\ntime.sleep(600)\n")
    with Nursery([("slow:Mine", {})], [str(tmp_path)]):
        pass
    assert capfd.readouterr().err == ""


def test_it_ends_without_a_word_when_its_owner_is_gone_before_it_has_loaded(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "slow.py").write_text("import time\ntime.sleep(0.5)\n")
    nursery = Nursery([("slow:Mine", {})], [str(tmp_path)])
    nursery._channel.close()
    assert nursery._process.wait(timeout=60) == 0
    assert capfd.readouterr().err == ""


FORKED = """
import os, tempfile
os.environ["OPENBLAS_NUM_THREADS"] = "1"
from pathlib import Path
from pipeline.runtime.nursery import Nursery

threads = len(list(Path("/proc/self/task").iterdir()))
held = tempfile.NamedTemporaryFile()
with Nursery(fork=True) as nursery:
    nursery.wait_until_loaded()
    forked = nursery._process._pid
    mine, its = (Path(f"/proc/{pid}/cmdline").read_bytes() for pid in (os.getpid(), forked))
    opened = {os.readlink(file) for file in Path(f"/proc/{forked}/fd").iterdir()}
    status = nursery.ended(nursery.bear(["--help"], {}), wait=True).status
    os.kill(forked, 9)
    again = nursery.ended(nursery.bear(["--help"], {}), wait=True).status
    program = Path(f"/proc/{nursery._process.pid}/cmdline").read_bytes()
print(threads, mine == its, held.name in opened, status, again, b"nursery_program" in program)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="threads are counted in /proc")
def test_it_is_a_fork_of_a_process_with_one_thread_and_a_program_once_that_has_died() -> None:
    done = subprocess.run([sys.executable, "-c", FORKED], capture_output=True, text=True, timeout=250, check=True)
    assert done.stdout.splitlines()[-1] == "1 True False 0 0 True"


POOLED = """
import os, sys
os.environ["OPENBLAS_NUM_THREADS"] = "1"
from pathlib import Path
from pipeline.runtime.nursery import Nursery
from pipeline.runtime.supervisor import Supervisor
from tests.pipeline.running import make_test_plan

stages = {"mine": {"use": "my_stage:Mine", "reads": "decoder"}}
plan = make_test_plan(Path(sys.argv[1]), stages, source={"frames": 1})
with Nursery.for_plan(plan, fork=True) as nursery:
    print(Supervisor(plan, nursery=nursery).run()["state"])
"""


def test_a_forks_worker_whose_pool_has_idle_threads_ends_by_itself(tmp_path: Path) -> None:
    farewell = f"atexit.register(lambda: open({str(tmp_path / 'farewell')!r}, 'w').close())"
    pooled = STAGE.replace("return ()", f"{farewell}; POOL.submit(int).result(); return ()")
    head = "import atexit\nfrom concurrent.futures import ThreadPoolExecutor\nPOOL = ThreadPoolExecutor(1)\n"
    (tmp_path / "my_stage.py").write_text(head + pooled)
    command = [sys.executable, "-c", POOLED, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=250, check=True)
    assert done.stdout.splitlines()[-1] == "finished"
    assert (tmp_path / "farewell").exists()  # a worker that has to be killed leaves none

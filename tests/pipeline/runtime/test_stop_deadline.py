"""A run that stands still says which stage waits for what, and SIGTERM ends it all the same."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from pipeline.config.plan import Plan
from pipeline.errors import StopOverdue
from pipeline.runtime import watchdog
from pipeline.runtime.supervisor import Status, Supervisor
from pipeline.transport.redis_server import PrivateServer, find_program
from tests.pipeline.running import make_test_plan, nothing_left_behind

STAGES = {"relay": {"use": "Relay", "reads": "decoder"}, "ledger": {"use": "Ledger", "reads": "relay"}}


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watchdog, "STILL_SECONDS", 0.5)


def stopped_within(plan: Plan, seconds: float) -> Plan:
    return replace(plan, limits=plan.limits.model_copy(update={"stop_seconds": seconds}))


def plan_that(folder: Path, do: str = "") -> Plan:
    stages = {**STAGES, "relay": {**STAGES["relay"], "options": {"at": 3, "do": do}}}
    plan = make_test_plan(folder, stages, source={"frames": 10_000, "frames_per_second": 50})
    return stopped_within(plan, 0.5)


class Terminator:
    """Stops a worker of one stage if told to, waits for the status to say why nothing goes on, and stops the run.

    On a machine that is slow to start, the words may be of a stage whose worker is not there yet; so it waits first for
    some frames, among them the one at which the run stands still.
    """

    def __init__(self, stopped: str, words: str, frames: int) -> None:
        self.supervisor: Supervisor | None = None
        self.said = ""
        self._words = words
        self._stopped = stopped
        self._frames = frames

    def __call__(self, status: Status) -> None:
        assert self.supervisor is not None
        pids = self.supervisor.worker_pids.get(self._stopped, [])
        if status["sources"]["a"]["frames_decoded"] < self._frames:
            return
        if pids:
            os.kill(pids[0], signal.SIGSTOP)
            self._stopped = ""
        waits = status["sources"]["a"].get("waits", "")
        if not self._stopped and self._words in waits and not self.said:
            self.said = waits
            os.kill(os.getpid(), signal.SIGTERM)


@pytest.mark.parametrize(
    ("do", "stopped", "words", "frames"),
    [
        ("", "relay", "the worker of relay (process ", 8),
        ("", "ledger", "is stopped by a signal", 8),
        ("hang", "", "relay has ", 8),
        ("hang in open", "", "relay ", 0),
    ],
)
def test_a_run_that_stands_still_says_why_and_ends(
    tmp_path: Path, do: str, stopped: str, words: str, frames: int
) -> None:
    terminator = Terminator(stopped, words, frames)
    supervisor = terminator.supervisor = Supervisor(plan_that(tmp_path, do), on_status=terminator)
    with nothing_left_behind(tmp_path), pytest.raises(StopOverdue, match=r"not everything was finished within 0\.5 s"):
        supervisor.run()
    assert terminator.said.startswith("no progress for ")
    assert signal.getsignal(signal.SIGALRM) in (signal.SIG_DFL, None) or signal.getitimer(signal.ITIMER_REAL)[0] == 0


def test_a_camera_that_never_comes_is_no_reason_to_wait(tmp_path: Path) -> None:
    plan = make_test_plan(tmp_path, STAGES, source={"frames_per_second": 0.001}, sources={"a": {"input": "live"}})
    told: list[Status] = []

    def when_it_waits(status: Status) -> None:
        if not told and "decoder waits for the input" in status["sources"]["a"].get("waits", ""):
            told.append(status)
            os.kill(os.getpid(), signal.SIGTERM)

    with nothing_left_behind(tmp_path):
        assert Supervisor(stopped_within(plan, 60.0), on_status=when_it_waits).run()["state"] == "stopped"


@pytest.fixture
def own_server(tmp_path: Path) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """A server on a unix socket that the run does not own."""
    socket = tmp_path / "redis.sock"
    command = [str(find_program().path), "--port", "0", "--unixsocket", str(socket), "--save", ""]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    while not socket.exists():
        time.sleep(0.02)
    yield f"unix://{socket}", process
    process.kill()
    process.wait()


@pytest.mark.parametrize("deed", [signal.SIGSTOP, signal.SIGKILL])
def test_a_server_that_does_not_answer_holds_nothing_up(
    tmp_path: Path, own_server: tuple[str, subprocess.Popen[bytes]], deed: signal.Signals
) -> None:
    url, server = own_server
    begun = threading.Event()

    def when_begun(status: Status) -> None:
        if status["sources"]["a"]["stages"]["ledger"]["frames"] > 3 and not begun.is_set():
            begun.set()
            server.send_signal(deed)
            threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGTERM)).start()

    plan = replace(plan_that(tmp_path), redis_url=url)
    with nothing_left_behind(tmp_path), pytest.raises(StopOverdue):
        Supervisor(plan, on_status=when_begun).run()
    assert begun.is_set()


def test_a_private_server_that_is_stopped_holds_nothing_up(tmp_path: Path) -> None:
    stopped: list[PrivateServer] = []

    def when_begun(status: Status) -> None:
        if status["sources"]["a"]["stages"]["ledger"]["frames"] > 3 and not stopped:
            assert supervisor._private is not None
            stopped.append(supervisor._private)
            os.kill(supervisor._private.pid, signal.SIGSTOP)
            threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGTERM)).start()

    supervisor = Supervisor(plan_that(tmp_path), on_status=when_begun)
    with nothing_left_behind(tmp_path), pytest.raises(StopOverdue):
        supervisor.run()
    assert stopped

"""Alerts whose receiver is away while their worker is killed: every event comes, each once by its id."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from stages.mqtt import Mqtt
from stages.shared import outbox
from stages.webhook import Webhook
from tests.free_port import free_port
from tests.stages.alerting import receiver, told, until
from tests.stages.mqtt.mosquitto import listener, mosquitto, needs_mosquitto
from tests.stages.stage_bench import Machine, bench_context

_KILLED = """
import os, signal, sys
from pathlib import Path
from stages.mqtt import Mqtt
from stages.webhook import Webhook
from tests.stages.alerting import told, until
from tests.stages.stage_bench import Machine, bench_context

folder = Path(sys.argv[1])
machine = Machine({"Mqtt": Mqtt, "Webhook": Webhook}[sys.argv[2]], bench_context(folder, live=True), url=sys.argv[3])
machine.deliver(told(0, folder, begun=(1, 2)), told(1, folder, ended=(1,)))
until(lambda: machine.context.said.get("waiting") == 3 and machine.context.said["receiver"])
os.kill(os.getpid(), signal.SIGKILL)
"""
Heard = Callable[[], list[tuple[str, str]]]


@contextmanager
def broker(folder: Path) -> Iterator[tuple[str, Any, Any, Heard]]:
    """Address of a broker that is away, what brings it back, what hears it, and (type, uid) of what was heard."""
    with mosquitto(folder) as server:
        server.stop()
        told_to: list[Any] = []

        def heard() -> list[tuple[str, str]]:
            events = map(json.loads, told_to[0].all("raftline/clip/event"))
            return [(event["event_type"], event["uid"]) for event in events]

        @contextmanager
        def back() -> Iterator[None]:
            server.start()
            with listener(server.port) as ears:
                told_to.append(ears)
                yield

        yield f"mqtt://127.0.0.1:{server.port}", Mqtt, back, heard


@contextmanager
def hook(folder: Path) -> Iterator[tuple[str, Any, Any, Heard]]:
    """The same of a web server."""
    port = free_port()
    told_to: list[Any] = []

    def heard() -> list[tuple[str, str]]:
        return [(body["type"].removeprefix("motion."), body["data"]["uid"]) for body in told_to[0].bodies]

    @contextmanager
    def back() -> Iterator[None]:
        with receiver(port) as (kept, _):
            told_to.append(kept)
            yield

    yield f"http://127.0.0.1:{port}/hook", Webhook, back, heard


@pytest.mark.parametrize("away", [pytest.param(broker, marks=needs_mosquitto), hook])
def test_what_waited_when_the_worker_was_killed_comes_once(
    tmp_path: Path, away: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbox, "_FIRST_PAUSE_SECONDS", 0.05)
    with away(tmp_path) as (url, stage, back, heard):
        command = [sys.executable, "-c", _KILLED, str(tmp_path), stage.__name__, url]
        assert subprocess.run(command, env={**os.environ}).returncode == -signal.SIGKILL
        with back():
            machine = Machine(stage, bench_context(tmp_path, live=True), url=url)
            machine.deliver(told(1, tmp_path, ended=(1,)), told(2, tmp_path, ended=(2,)))  # one of them again
            until(lambda: len(heard()) >= 4 and machine.context.said.get("waiting") == 0)
            machine.close()
            assert heard() == [("begin", "uid-1"), ("begin", "uid-2"), ("end", "uid-1"), ("end", "uid-2")]

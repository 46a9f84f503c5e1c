"""Hosts with cameras: one is killed, comes back, stands still and wakes up; a camera ends the runs that have it."""

from __future__ import annotations

import contextlib
import os
import signal
import sqlite3
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from pipeline.fleet.overview import Overview, overview
from pipeline.fleet.reading import FleetReader, ToldEvent
from pipeline.runtime.run_status import active_runs
from pipeline.transport.redis_server import PrivateServer
from tests.command_line import ROOT, command, lay_out, running
from tests.rtsp_server import rtsp_server
from tests.stages.alerting import Receiver, receiver

CAMERAS = 6
FPS = 5
PASSWORD = "s3cr3t-of-cameras"
LONGEST_SECONDS = 90
YAML = """
name: yard
limits: {max_latency_ms: 60000}
stages:
  decoder: {use: "stages.decoder:Decoder"}
  ticks: {use: "./ticks.py:Ticks", reads: decoder}
  hook: {use: "stages.webhook:Webhook", reads: ticks, options: {url: "HOOK"}}
"""


class Yard:
    """The fleet, and its two hosts as processes."""

    def __init__(self, folder: Path, server: PrivateServer, alerts: Receiver) -> None:
        self.folder, self.url, self.alerts = folder, server.url, alerts
        self.reader = FleetReader(server.url, "yard")
        self.hosts: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, name: str) -> None:
        given = ["serve", "yard.yaml", "--control", self.url, "--name", name, "--cameras-at-most", CAMERAS, "-o", name]
        log = open(self.folder / f"{name}.log", "ab")  # noqa: SIM115
        environment = {**os.environ, "CAM_PASSWORD": PASSWORD}
        self.hosts[name] = subprocess.Popen(command(*given), cwd=self.folder, env=environment, stdout=log, stderr=log)
        log.close()

    def signal_all(self, name: str, number: signal.Signals) -> None:
        """To the host and everything it started, as where a machine stands still."""
        process = psutil.Process(self.hosts[name].pid)
        for each in [process, *process.children(recursive=True)]:
            with contextlib.suppress(psutil.NoSuchProcess):
                each.send_signal(number)

    def until(self, condition: Callable[[Overview], bool]) -> float:
        """Seconds until it holds; an assertion after a while."""
        begin = time.monotonic()
        while not condition(seen := overview(self.reader)):
            logs = "".join((self.folder / f"{name}.log").read_text() for name in self.hosts)
            assert time.monotonic() - begin < LONGEST_SECONDS, f"{seen}\n{logs}"
            time.sleep(0.1)
        return time.monotonic() - begin

    def under_way(self, name: str) -> set[str]:
        """Keys of alerts of a killed host that it may have delivered without a note, or not yet told the fleet of."""
        found = set[str]()
        for file in (self.folder / name).glob("*.outbox"):
            with contextlib.closing(sqlite3.connect(file)) as letters:
                found |= {key for (key,) in letters.execute("SELECT key FROM letters WHERE done_at IS NULL")}
        return found

    def words(self) -> Iterator[str]:
        """All that can be read: logs, command lines, the control Redis, what status says."""
        yield from ((self.folder / f"{name}.log").read_text() for name in self.hosts)
        yield from (" ".join(each.cmdline()) for each in psutil.Process().children(recursive=True) if is_ours(each))
        yield from (repr(self.reader.client.dump(key)) for key in self.reader.client.scan_iter())
        yield repr(overview(self.reader))

    def close(self) -> None:
        for process in self.hosts.values():
            process.send_signal(signal.SIGCONT)
            process.terminate()
            process.wait()
        self.reader.close()
        deadline = time.monotonic() + LONGEST_SECONDS
        while left := [run for run in active_runs() if run.name.startswith("yard.")]:  # a reaper outlives its run
            assert time.monotonic() < deadline, f"run directories were left behind: {left}"
            time.sleep(0.1)


def is_ours(process: psutil.Process) -> bool:
    return "rtsp_server.py" not in " ".join(process.cmdline())


def live_on(**counts: int) -> Callable[[Overview], bool]:
    """Whether all cameras are live, so many on each host."""

    def holds(seen: Overview) -> bool:
        live = [camera.host for camera in seen.cameras if camera.state == "live"]
        return len(live) == CAMERAS and all(live.count(host) == count for host, count in counts.items())

    return holds


@pytest.fixture
def yard(tmp_path: Path) -> Iterator[Yard]:
    with contextlib.ExitStack() as stack:
        made = [rtsp_server(fps=FPS, user="me", password=PASSWORD) for _ in range(CAMERAS)]
        urls = [stack.enter_context(each).url.replace(PASSWORD, "${CAM_PASSWORD}") for each in made]
        sources = "".join(f'  cam{number}: {{input: "{url}"}}\n' for number, url in enumerate(urls))
        alerts, url = stack.enter_context(receiver())
        (tmp_path / "yard.yaml").write_text(f"{YAML.replace('HOOK', url)}sources:\n{sources}")
        (tmp_path / "ticks.py").write_text((ROOT / "tests/pipeline/fleet/ticks.py").read_text())
        server = PrivateServer.start(memory_mb=64)
        stack.callback(server.stop)
        yield stack.enter_context(contextlib.closing(Yard(tmp_path, server, alerts)))


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_host_that_is_killed_or_stands_still_is_replaced_and_no_event_is_told_twice(yard: Yard) -> None:
    yard.start("a")
    yard.start("b")
    yard.until(live_on(a=3, b=3))
    assert not [where for where in yard.words() if PASSWORD in where]
    yard.hosts["a"].kill()
    leased = yard.until(lambda seen: {camera.host for camera in seen.cameras} == {"b"})
    killed = leased + yard.until(live_on(b=6))
    yard.hosts["a"].wait()
    under_way = yard.under_way("a")
    yard.start("a")
    yard.until(live_on(a=3, b=3))
    yard.signal_all("a", signal.SIGSTOP)
    stopped = yard.until(live_on(b=6))
    yard.signal_all("a", signal.SIGCONT)
    yard.until(live_on(a=3, b=3))
    alerts = [headers["webhook-id"] for headers, _ in yard.alerts.requests]
    events = yard.reader.events(10_000)[::-1]
    print(f"after a kill leased by the other in {leased:.1f} s, live in {killed:.1f} s", end="; ")
    print(f"after a standstill live in {stopped:.1f} s; {len(events)} events, {len(alerts)} alerts")
    assert len({(event.uid, event.state) for event in events}) == len(events)
    times = Counter(alerts)
    assert times and max(times.values()) <= 2
    assert {alert for alert in times if times[alert] > 1} <= under_way
    unknown = set(alerts) - {f"{event.uid}.{event.state}" for event in events}
    assert unknown <= under_way  # none of a host that had lost the camera
    for number in range(CAMERAS):
        check_order([event for event in events if event.camera == f"cam{number}"])


def check_order(events: list[ToldEvent]) -> None:
    """Once a camera's next owner has told of an event, its owners before tell of none."""
    fences = [event.fence for event in events]
    assert fences == sorted(fences) and len({(event.fence, event.host) for event in events}) == len(set(fences))


DEADLY = """
import os, signal
from counting import Counter

class Deadly(Counter):
    def read(self, start_index):
        if "deadly" in self.context.source.input:
            os.kill(os.getpid(), signal.SIGKILL)
        yield from super().read(start_index)
"""


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_camera_that_ends_its_hosts_runs_is_put_aside_and_the_other_one_is_live(tmp_path: Path) -> None:
    lay_out(tmp_path)
    (tmp_path / "deadly.py").write_text(DEADLY)
    options = "{frames: 100000, pause_seconds: 0.1}"
    stages = f'{{counter: {{use: "deadly:Deadly", options: {options}}}, sums: {{use: "counting:Sum", reads: counter}}}}'
    sources = "{good: {input: rtsp://good}, bad: {input: rtsp://deadly}}"
    text = f"name: deadly\nlimits: {{restarts: 1}}\nstages: {stages}\nsources: {sources}\n"
    (tmp_path / "deadly.yaml").write_text(text)
    server = PrivateServer.start(memory_mb=32)
    reader = FleetReader(server.url, "deadly")
    try:
        failed, deadline = 0, time.monotonic() + 500
        while True:  # as a service manager has it
            with running(tmp_path, "serve", "deadly.yaml", "--control", server.url, "--name", "a", "-o", "out") as host:
                while host.poll() is None and not (done := states(reader) == {"bad": "put aside", "good": "live"}):
                    assert time.monotonic() < deadline, states(reader)
                    time.sleep(0.1)
                if done:
                    break
                failed += 1
        assert failed == 3
    finally:
        reader.close()
        server.stop()


def states(reader: FleetReader) -> dict[str, str]:
    return {camera.name: camera.state for camera in overview(reader).cameras}

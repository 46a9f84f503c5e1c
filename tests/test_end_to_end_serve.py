"""Two hosts and six real cameras: one host is killed, comes back, stands still and wakes up."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from pipeline.fleet.overview import Overview, overview
from pipeline.fleet.reading import FleetReader, ToldEvent
from pipeline.transport.redis_server import PrivateServer
from tests.command_line import ROOT, command
from tests.rtsp_server import rtsp_server
from tests.run_directories import none_left_behind

CAMERAS = 6
FPS = 5
LONGEST_SECONDS = 90
YAML = """
name: yard
limits: {max_latency_ms: 60000}
stages:
  decoder: {use: "stages.decoder:Decoder"}
  ticks: {use: "./ticks.py:Ticks", reads: decoder}
"""


class Yard:
    """The fleet, and its two hosts as processes."""

    def __init__(self, folder: Path, server: PrivateServer) -> None:
        self.folder, self.url = folder, server.url
        self.reader = FleetReader(server.url, "yard")
        self.hosts: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, name: str) -> None:
        given = ["serve", "yard.yaml", "--control", self.url, "--name", name, "--cameras-at-most", CAMERAS, "-o", name]
        log = open(self.folder / f"{name}.log", "ab")  # noqa: SIM115
        self.hosts[name] = subprocess.Popen(command(*given), cwd=self.folder, stdout=log, stderr=log)
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

    def close(self) -> None:
        for process in self.hosts.values():
            process.send_signal(signal.SIGCONT)
            process.terminate()
            process.wait()
        self.reader.close()


def live_on(**counts: int) -> Callable[[Overview], bool]:
    """Whether all cameras are live, so many on each host."""

    def holds(seen: Overview) -> bool:
        live = [camera.host for camera in seen.cameras if camera.state == "live"]
        return len(live) == CAMERAS and all(live.count(host) == count for host, count in counts.items())

    return holds


@pytest.fixture
def yard(tmp_path: Path) -> Iterator[Yard]:
    with contextlib.ExitStack() as stack:
        urls = [stack.enter_context(rtsp_server(fps=FPS)).url for _ in range(CAMERAS)]
        sources = "".join(f'  cam{number}: {{input: "{url}"}}\n' for number, url in enumerate(urls))
        (tmp_path / "yard.yaml").write_text(f"{YAML}sources:\n{sources}")
        (tmp_path / "ticks.py").write_text((ROOT / "tests/pipeline/fleet/ticks.py").read_text())
        server = PrivateServer.start(memory_mb=64)
        stack.callback(server.stop)
        stack.enter_context(none_left_behind())
        yield stack.enter_context(contextlib.closing(Yard(tmp_path, server)))


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_host_that_is_killed_or_stands_still_is_replaced_and_no_event_is_told_twice(yard: Yard) -> None:
    yard.start("a")
    yard.start("b")
    yard.until(live_on(a=3, b=3))
    yard.hosts["a"].kill()
    killed = yard.until(live_on(b=6))
    yard.hosts["a"].wait()
    yard.start("a")
    yard.until(live_on(a=3, b=3))
    yard.signal_all("a", signal.SIGSTOP)
    stopped = yard.until(live_on(b=6))
    yard.signal_all("a", signal.SIGCONT)
    yard.until(live_on(a=3, b=3))
    events = yard.reader.events(10_000)[::-1]
    print(f"all live again {killed:.1f} s after a kill, {stopped:.1f} s after a standstill; {len(events)} events")
    assert len({(event.uid, event.state) for event in events}) == len(events)
    for number in range(CAMERAS):
        check_order([event for event in events if event.camera == f"cam{number}"])


def check_order(events: list[ToldEvent]) -> None:
    """Once a camera's next owner has told of an event, its owners before tell of none."""
    fences = [event.fence for event in events]
    assert fences == sorted(fences) and len({(event.fence, event.host) for event in events}) == len(set(fences))

"""A fleet without pixels: hosts that lease, balance and replace each other over one control Redis.

The hosts are those of `raftline serve` (`pipeline.fleet.placement`), each with its own connection and its own thread of
leases; cameras cost nothing and live at once. Measured: how long until every camera has a host, how even the shares
are, the CPU of the control Redis while all is calm, and how long after the death of some hosts until every camera has
a host again.

    python -m benchmarks.serve_simulation --hosts 50 --cameras 1000 --output benchmarks/results/serve_simulation.json
"""

from __future__ import annotations

import argparse
import contextlib
import json
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, cast

from benchmarks.machine import machine
from pipeline.fleet.control import Control
from pipeline.fleet.facts import TIMES, CameraStatus, HostReport
from pipeline.fleet.placement import Placement
from pipeline.transport.redis_server import PrivateServer

_LOOK_SECONDS = 0.25
_LONGEST_SECONDS = 300.0


class Nothing:
    """A carrier whose cameras live at once."""

    def __init__(self) -> None:
        self._cameras: dict[str, CameraStatus] = {}

    def start(self, camera: str, section: Mapping[str, Any]) -> None:
        self._cameras[camera] = CameraStatus("live")

    def stop(self, camera: str) -> None:
        self._cameras.pop(camera, None)

    def states(self) -> dict[str, CameraStatus]:
        return dict(self._cameras)


class SimulatedHost:
    """A host in a thread of its own."""

    def __init__(self, url: str, number: int, capacity: int) -> None:
        self.control = Control(url, "simulated")
        report = HostReport("", capacity=capacity, capacity_why="given", cores=16, cpu_cores=8.0)
        self.placement = Placement(self.control, f"host-{number:03}", Nothing(), lambda carried: report)
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._work)

    def start(self) -> None:
        self.placement.begin()
        self._thread.start()

    def stop(self) -> None:
        self._stopped.set()
        self._thread.join()

    def kill(self) -> None:
        """No heartbeat and no renewal from now on, and nothing given back."""
        self.stop()
        self.placement.abandon()

    def close(self) -> None:
        self.stop()
        self.placement.close()
        self.control.close()

    def _work(self) -> None:
        while not self._stopped.wait(TIMES.beat_seconds):
            self.placement.step()


def simulate(hosts: int, cameras: int, killed: int, calm_seconds: float) -> dict[str, Any]:
    """The figures of one fleet."""
    with contextlib.ExitStack() as stack:
        server = PrivateServer.start(memory_mb=256)
        stack.callback(server.stop)
        control = stack.enter_context(contextlib.closing(Control(server.url, "simulated")))
        for number in range(cameras):
            section = {"input": f"rtsp://10.0.{number // 250}.{number % 250}/stream", "options": {}}
            control.want(f"camera-{number:04}", section, "command", section["input"])
        fleet = [SimulatedHost(server.url, number, 2 * cameras // hosts) for number in range(hosts)]
        begin = time.monotonic()
        for host in fleet:
            host.start()
            stack.callback(host.close)
        carried = _until(lambda: _carried(fleet) == cameras, begin)
        even = _until(lambda: _spread(fleet, cameras) <= 0.1 and _carried(fleet) == cameras, begin)
        calm = _calm(control, calm_seconds)
        moved_before = _owners(control)
        time.sleep(2 * TIMES.settle_seconds)
        moved = sum(moved_before[each] != owner for each, owner in _owners(control).items())
        dead, living = fleet[:killed], fleet[killed:]
        spread = _spread(fleet, cameras)
        at = time.monotonic()
        for each in [threading.Thread(target=host.kill) for host in dead]:
            each.start()
        again = _until(lambda: _carried(living) == cameras, at)
        even_again = _until(lambda: _spread(living, cameras) <= 0.1, at)
        spread_again = _spread(living, cameras)
    return {
        "hosts": hosts,
        "cameras": cameras,
        "all_carried_seconds": carried,
        "even_seconds": even,
        "largest_difference_from_the_mean": round(spread, 4),
        "cameras_moved_while_calm": moved,
        **calm,
        "hosts_killed": killed,
        "all_carried_again_seconds": again,
        "even_again_seconds": even_again,
        "largest_difference_from_the_mean_again": round(spread_again, 4),
    }


def _carried(fleet: list[SimulatedHost]) -> int:
    return sum(len(host.placement.cameras) for host in fleet)


def _spread(fleet: list[SimulatedHost], cameras: int) -> float:
    """The largest difference from the mean that is not due to whole numbers, as a share of the mean."""
    mean = cameras / len(fleet)
    counts = [len(host.placement.cameras) for host in fleet]
    return max(max(0.0, abs(count - mean) - (mean % 1 > 0)) for count in counts) / mean


def _owners(control: Control) -> dict[bytes, bytes]:
    return cast("dict[bytes, bytes]", control.client.hgetall(control.keys.owners))


def _calm(control: Control, seconds: float) -> dict[str, Any]:
    """What the control Redis does while nothing changes."""
    before, begin = _server_figures(control), time.monotonic()
    time.sleep(seconds)
    after, lasted = _server_figures(control), time.monotonic() - begin
    return {
        "control_redis_cores": round((after["cpu"] - before["cpu"]) / lasted, 4),
        "control_redis_commands_per_second": round((after["commands"] - before["commands"]) / lasted),
        "control_redis_sent_kb_per_second": round((after["sent"] - before["sent"]) / 1000 / lasted, 1),
        "control_redis_received_kb_per_second": round((after["received"] - before["received"]) / 1000 / lasted, 1),
        "control_redis_memory_mb": round(after["memory"] / 1e6, 2),
        "calm_seconds": round(lasted, 1),
    }


def _server_figures(control: Control) -> dict[str, float]:
    info = cast("dict[str, Any]", control.client.info())
    return {
        "cpu": info["used_cpu_user"] + info["used_cpu_sys"],
        "commands": info["total_commands_processed"],
        "sent": info["total_net_output_bytes"],
        "received": info["total_net_input_bytes"],
        "memory": info["used_memory"],
    }


def _until(condition: Callable[[], bool], begin: float) -> float | None:
    """Seconds from `begin` until it holds; None if it does not in time."""
    while not condition():
        if time.monotonic() - begin > _LONGEST_SECONDS:
            return None
        time.sleep(_LOOK_SECONDS)
    return round(time.monotonic() - begin, 1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--hosts", type=int, default=50)
    parser.add_argument("--cameras", type=int, default=1000)
    parser.add_argument("--killed", type=int, default=5, help="hosts that die at the same time")
    parser.add_argument("--calm-seconds", type=float, default=20.0)
    parser.add_argument("--output", type=Path, help="JSON file to write")
    given = parser.parse_args()
    found = simulate(given.hosts, given.cameras, given.killed, given.calm_seconds)
    text = json.dumps({"machine": machine(), **found}, indent=2)
    print(text)
    if given.output is not None:
        given.output.write_text(text + "\n")


if __name__ == "__main__":
    main()

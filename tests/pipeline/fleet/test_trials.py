"""A camera that ends the runs of hosts, over a real control Redis."""

from __future__ import annotations

import pytest

from pipeline.fleet import trials
from pipeline.fleet.overview import overview
from pipeline.transport.redis_server import PrivateServer
from tests.pipeline.fleet.hosts import Fleet, fleet_on


def fail(fleet: Fleet, name: str) -> None:
    """The run of a host fails, and the host comes back, as its service manager has it."""
    host = fleet.hosts.pop(name)
    host.blame("stage 'decoder' died 6 times in a row")
    host.close()
    fleet.join(name)


def strikes(fleet: Fleet) -> dict[str, int]:
    return {camera: each.count for camera, each in fleet.control.strikes().items()}


def test_a_camera_that_ends_three_runs_is_put_aside_and_the_others_go_on(
    redis_server: PrivateServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trials, "_LIVE_SECONDS", 0.0)
    with fleet_on(redis_server) as fleet:
        fleet.want(4)
        fleet.join("a")
        fleet.until(lambda: fleet.counts() == [4])
        failed = 0
        while strikes(fleet).get("cam2") != 3:  # whenever a host has it, its run fails
            if "cam2" in fleet.hosts["a"].cameras:
                fail(fleet, "a")
                failed += 1
            fleet.steps()
        assert failed == 3
        fleet.until(lambda: strikes(fleet) == {"cam2": 3} and fleet.counts() == [3])
        fleet.steps(5)
        row = next(row for row in overview(fleet.control).cameras if row.name == "cam2")
        assert (row.state, row.host) == ("put aside", None)
        assert "3 runs failed while they had it, the last on a: stage 'decoder' died 6 times in a row" in row.why
        fleet.control.want("cam2", {"input": "rtsp://10.0.0.9/"}, "command", "shown")  # changed: it may be well now
        fleet.until(lambda: fleet.counts() == [4] and not strikes(fleet))


def test_of_those_that_may_be_to_blame_a_host_tries_one_at_a_time(redis_server: PrivateServer) -> None:
    with fleet_on(redis_server) as fleet:
        fleet.want(3)
        fleet.join("a")
        fleet.until(lambda: fleet.counts() == [3])
        fail(fleet, "a")
        fleet.want(1, first=3)  # nobody has failed with this one
        fleet.steps(5)
        tried = set(fleet.hosts["a"].cameras) - {"cam3"}
        assert len(tried) == 1 and "cam3" in fleet.hosts["a"].cameras
        waiting = [row for row in overview(fleet.control).cameras if row.state == "waiting"]
        assert len(waiting) == 2 and all("such are tried again one at a time" in row.why for row in waiting)

"""Which hosts have which cameras, over a real control Redis."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest

from pipeline.errors import ConfigError, TransportError
from pipeline.fleet.facts import TellEvent
from pipeline.fleet.overview import overview
from pipeline.transport.redis_server import PrivateServer
from tests.pipeline.fleet.hosts import TIMES, fleet_on


def test_each_host_takes_its_share_and_no_camera_has_two_hosts(redis_server: PrivateServer) -> None:
    with fleet_on(redis_server) as fleet:
        fleet.want(7)
        for name in ("a", "b", "c"):
            fleet.join(name)
        fleet.until(lambda: sum(fleet.counts()) == 7)
        assert sorted(fleet.counts()) == [2, 2, 3]
        assert len({camera for host in fleet.hosts.values() for camera in host.cameras}) == 7
        assert fleet.carriers["a"].sections[fleet.hosts["a"].cameras[0]]["input"].startswith("rtsp://")


def test_a_new_host_is_given_cameras_one_by_one_until_shares_are_equal_and_then_none_moves(
    redis_server: PrivateServer,
) -> None:
    with fleet_on(redis_server) as fleet:
        fleet.want(6)
        fleet.join("a")
        fleet.until(lambda: fleet.counts() == [6])
        fleet.join("b")
        fleet.until(lambda: fleet.counts() == [3, 3])
        moves = [list(carrier.log) for carrier in fleet.carriers.values()]
        fleet.steps(20)
        assert [carrier.log for carrier in fleet.carriers.values()] == moves
        assert sum(line.startswith("stop") for line in moves[0]) == 3


def test_a_full_host_takes_no_more_and_gives_nothing_back_where_nobody_has_room(redis_server: PrivateServer) -> None:
    with fleet_on(redis_server) as fleet:
        fleet.want(5)
        fleet.join("a", capacity=2)
        fleet.join("b", capacity=1)
        fleet.steps(10)
        assert fleet.counts() == [2, 1]
        seen = overview(fleet.control)
        assert [(row.name, row.state, row.cameras) for row in seen.hosts] == [("a", "full", 2), ("b", "full", 1)]
        waiting = [row for row in seen.cameras if row.state == "waiting"]
        assert len(waiting) == 2 and all("every host is full (3 cameras on 2 hosts)" in row.why for row in waiting)


def test_a_host_that_leaves_gives_its_cameras_to_the_others_at_once(redis_server: PrivateServer) -> None:
    with fleet_on(redis_server) as fleet:
        fleet.want(4)
        leaving = fleet.join("a")
        fleet.join("b")
        fleet.until(lambda: fleet.counts() == [2, 2])
        leaving.leave()
        fleet.carriers["a"].cameras.clear()  # its run has ended them
        leaving.step()
        leaving.close()
        del fleet.hosts["a"]
        fleet.until(lambda: fleet.counts() == [4])


def test_a_host_that_dies_loses_its_cameras_to_the_others(redis_server: PrivateServer) -> None:
    with fleet_on(redis_server, TIMES) as fleet:
        fleet.want(4)
        fleet.join("a")
        fleet.join("b")
        fleet.until(lambda: fleet.counts() == [2, 2])
        fleet.die("a")
        fleet.until(lambda: fleet.counts() == [4])
        fleet.until(lambda: [row.state for row in overview(fleet.control, TIMES).hosts] == ["lost", "live"])


def test_a_host_that_wakes_up_late_stops_its_camera_and_its_events_are_refused(redis_server: PrivateServer) -> None:
    times = replace(TIMES, lease_seconds=600)  # they run out when this test says so
    with fleet_on(redis_server, times) as fleet:
        fleet.want(1)
        asleep = fleet.join("a")
        fleet.until(lambda: fleet.counts() == [1])
        old = asleep.token("cam0")
        seen = TellEvent("cam0", "begin", {"uid": "one"})
        assert old is not None and fleet.control.publish(old, seen) == "taken"
        fleet.die("a")
        asleep._ownership._until["cam0"] = 0.0
        fleet.control.client.delete(fleet.control.keys.lease("cam0"))
        fleet.join("b")
        fleet.until(lambda: fleet.counts() == [1])
        assert fleet.control.publish(old, TellEvent("cam0", "begin", {"uid": "two"})) == "stale"
        asleep.keep()
        assert fleet.carriers["a"].log == ["start cam0", "stop cam0"] and fleet.carriers["a"].cameras == {}
        new = fleet.hosts["b"].token("cam0")
        assert new is not None and fleet.control.publish(new, TellEvent("cam0", "begin", {"uid": "three"})) == "taken"
        assert fleet.control.publish(new, TellEvent("cam0", "begin", {"uid": "three"})) == "known"
        told = [(each.host, each.uid, each.state) for each in fleet.control.events(10)]
        assert told == [("b", "three", "begin"), ("a", "one", "begin")]
        fences = [each.fence for each in fleet.control.events(10)]
        assert fences[0] > fences[1]


def test_a_lease_that_ran_out_unnoticed_by_others_is_taken_again_without_a_stop(redis_server: PrivateServer) -> None:
    with fleet_on(redis_server, TIMES) as fleet:
        fleet.want(1)
        host = fleet.join("a")
        fleet.until(lambda: fleet.counts() == [1])
        before = host.token("cam0")
        host.abandon()
        while fleet.control.client.exists(fleet.control.keys.lease("cam0")):
            time.sleep(0.02)
        host.keep()
        assert host.token("cam0") != before and fleet.carriers["a"].log == ["start cam0"]


def test_a_camera_that_is_removed_is_stopped_and_one_that_is_changed_begins_anew(redis_server: PrivateServer) -> None:
    with fleet_on(redis_server) as fleet:
        fleet.want(2)
        fleet.join("a")
        fleet.until(lambda: fleet.counts() == [2])
        fleet.control.unwant("cam0")
        fleet.control.want("cam1", {"input": "rtsp://new/"}, "command", "shown")
        fleet.until(lambda: fleet.carriers["a"].sections["cam1"]["input"] == "rtsp://new/")
        assert fleet.hosts["a"].cameras == ("cam1",)


def test_a_camera_that_a_host_cannot_start_is_shown_with_the_reason_and_goes_to_another(
    redis_server: PrivateServer,
) -> None:
    with fleet_on(redis_server, TIMES) as fleet:
        fleet.want(1)
        fleet.join("a", refuses=frozenset(["cam0"]))
        rows = lambda: overview(fleet.control, TIMES).cameras  # noqa: E731
        refused = ("refused", "a", "no such thing")
        fleet.until(lambda: (row := rows()[0]) and (row.state, row.host, row.why) == refused)
        fleet.join("b")
        fleet.until(lambda: fleet.hosts["b"].cameras == ("cam0",))


def test_a_control_redis_that_lost_its_data_learns_the_cameras_again_and_none_is_stopped(
    redis_server: PrivateServer,
) -> None:
    with fleet_on(redis_server) as fleet:
        fleet.want(3)
        fleet.join("a")
        fleet.until(lambda: fleet.counts() == [3])
        keys = list(fleet.control.client.scan_iter(match=fleet.control.keys.sections.replace("sections", "*")))
        fleet.control.client.delete(*keys)
        fleet.steps(5)
        assert set(fleet.control.cameras()) == {"cam0", "cam1", "cam2"}
        assert not any(line.startswith("stop") for line in fleet.carriers["a"].log)


def test_cameras_go_on_while_the_control_redis_is_away_but_not_for_ever() -> None:
    server = PrivateServer.start(memory_mb=32)
    with fleet_on(server, replace(TIMES, grace_seconds=0.5)) as fleet:
        fleet.want(1)
        host = fleet.join("a")
        fleet.until(lambda: fleet.counts() == [1])
        last_there = time.monotonic()
        host.step()
        server.stop()
        with pytest.raises(TransportError):
            host.step()
        while fleet.carriers["a"].cameras:
            assert time.monotonic() - last_there < 60
            host.keep()
            time.sleep(0.02)
        assert time.monotonic() - last_there > TIMES.lease_seconds
        fleet.hosts.clear()
        host.abandon()


def test_two_hosts_of_one_name_are_refused(redis_server: PrivateServer) -> None:
    with fleet_on(redis_server, TIMES) as fleet:
        host = fleet.join("a")
        fleet.hosts.clear()
        stepping = iter(range(1000))
        other_control = fleet.control
        original = other_control.hosts

        def hosts() -> dict:  # the other one goes on meanwhile
            next(stepping)
            host.step()
            return original()

        with pytest.MonkeyPatch.context() as patch, pytest.raises(ConfigError, match="of this name is at work"):
            patch.setattr("pipeline.fleet.control.Control.hosts", lambda self: hosts())
            fleet.join("a")
        host.close()

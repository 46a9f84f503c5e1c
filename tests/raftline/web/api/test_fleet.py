"""The fleet over the API."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from pipeline.transport.redis_server import PrivateServer
from raftline.web.watched_fleet import WatchedFleet
from tests.raftline.web.client import Page, served
from tests.raftline.web.told import watched
from tests.raftline.web.told_fleet import tell_fleet


@pytest.fixture(scope="module")
def page(redis_server: PrivateServer) -> Iterator[Page]:
    with watched(redis_server) as run, served(run, fleet=tell_fleet(redis_server)) as page:
        yield page


def test_all_hosts_cameras_and_events_are_told_without_passwords(page: Page) -> None:
    answer = page.client("ann").get("/api/fleet")
    told = answer.json()
    assert [(host["name"], host["state"], host["page"]) for host in told["hosts"]] == [
        ("rack-1", "full", "http://rack-1.lan:8642/"),
        ("rack-2", "full", None),
    ]
    assert {camera["name"]: (camera["state"], camera["host"]) for camera in told["cameras"]} == {
        "gate": ("live", "rack-1"),
        "yard": ("trying", "rack-2"),
        "barn": ("waiting", None),
    }
    assert "every host is full" in next(camera["why"] for camera in told["cameras"] if camera["name"] == "barn")
    assert [(event["camera"], event["host"], event["zones"]) for event in told["events"]] == [
        ("gate", "rack-1", ["drive"])
    ]
    assert "s3cr3t" not in answer.text


def test_a_user_of_some_cameras_sees_those_alone(page: Page) -> None:
    told = page.client("bob").get("/api/fleet").json()
    assert [camera["name"] for camera in told["cameras"]] == ["gate"]


def test_the_cameras_of_a_fleet_are_not_changed_on_the_page_of_a_host(page: Page) -> None:
    answer = page.client("ann").delete("/api/sources/gate")
    assert answer.status_code == 409 and "raftline source" in answer.json()["detail"]


def test_a_fleet_that_cannot_be_read_says_why_without_the_password() -> None:
    told = WatchedFleet("redis://:s3cr3t@127.0.0.1:1/0", "yard").state()
    assert "cannot be reached" in told.trouble and "s3cr3t" not in told.trouble and told.hosts == []

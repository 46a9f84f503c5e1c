"""Events by the API: filters, the timeline, files, labels."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from pipeline.transport.redis_server import PrivateServer
from raftline.event_database import NAME, EventDatabase
from tests.raftline.web.client import Page, served
from tests.raftline.web.results import BEGIN, lay_out
from tests.raftline.web.told import watched

GATE = "/api/sources/gate/events"


@pytest.fixture(scope="module")
def page(redis_server: PrivateServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    """To look at."""
    with laid_out(redis_server, tmp_path_factory.mktemp("page")) as page:
        yield page


@pytest.fixture
def fresh(redis_server: PrivateServer, tmp_path: Path) -> Iterator[Page]:
    """To change."""
    with laid_out(redis_server, tmp_path) as page:
        yield page


@contextmanager
def laid_out(server: PrivateServer, folder: Path) -> Iterator[Page]:
    lay_out(folder / "out")
    with watched(server, folder / "out") as run, served(run) as page:
        yield page


def uids(asks: httpx.Client, **filters: Any) -> str:
    answer = asks.get("/api/events", params=filters)
    assert answer.status_code == 200, answer.text
    return "".join(event["uid"] for event in answer.json()["events"])


def test_events_are_filtered_paged_and_limited_to_what_somebody_sees(page: Page) -> None:
    ann, bob = page.client("ann"), page.client("bob")
    assert uids(ann) == "cba" and uids(bob) == "ba"
    assert uids(ann, source=["yard"]) == "c" and uids(bob, source=["yard"]) == ""
    assert uids(ann, zone="drive") == "b" and uids(ann, least_area=0.2) == "c"
    assert uids(ann, begin=BEGIN + 60, end=BEGIN + 90) == "b"
    left, right = [[[x, 0], [x + 0.2, 0], [x + 0.2, 1], [x, 1]] for x in (0.0, 0.7)]
    assert uids(ann, area=json.dumps(left)) == "a" and uids(ann, area=json.dumps(right)) == ""
    first = ann.get("/api/events", params={"most": 2}).json()
    assert uids(ann, most=2, after=first["next"]) == "a"
    facts = bob.get("/api/events/facts").json()
    assert (facts["sources"], facts["zones"], facts["last"]) == (["gate"], ["drive"], BEGIN + 60)


@pytest.mark.parametrize("area", ["", "[[0,0],[1,1]]", "[[0,0],[9,0],[1,1]]", "[" * 2000, '{"a": 1}', "[[1,2,3]]"])
def test_an_area_that_is_no_polygon_is_refused(page: Page, area: str) -> None:
    answer = page.client("ann").get("/api/events", params={"area": area})
    assert answer.status_code == 422 and "polygon" in answer.text


def test_the_timeline_has_bars_of_those_somebody_sees(page: Page) -> None:
    asked = {"begin": BEGIN, "end": BEGIN + 100, "parts": 10}
    found = page.client("ann").get("/api/events/bars", params=asked).json()
    assert [(bar["at"] - BEGIN, bar["events"]) for bar in found["bars"]] == [(0, 1), (60, 1), (90, 1)]
    assert len(page.client("bob").get("/api/events/bars", params=asked).json()["bars"]) == 2
    assert page.client("ann").get("/api/events/bars", params={"begin": 5, "end": 5}).status_code == 422


def test_a_clip_is_found_by_what_the_recorder_wrote_and_played_from_anywhere(page: Page) -> None:
    asks = page.client("bob")
    uids(asks)  # the list takes in what is new
    assert asks.get(f"{GATE}/2/clip").json() == {"there": True, "begins_seconds": pytest.approx(3.0)}
    part = asks.get(f"{GATE}/2/clip.mp4", headers={"Range": "bytes=100-109"})
    assert (part.status_code, part.content) == (206, bytes(range(100, 110)))
    assert "attachment" in asks.get(f"{GATE}/2/clip.mp4?download=true").headers["content-disposition"]
    assert asks.get(f"{GATE}/1/clip").json()["there"] is False and asks.get(f"{GATE}/1/clip.mp4").status_code == 404


def test_no_file_outside_the_results_is_given_even_if_the_database_names_it(page: Page) -> None:
    asks = page.client("ann")
    assert asks.get(f"{GATE}/2/thumbnail").headers["content-type"] == "image/jpeg"
    assert asks.get(f"{GATE}/1/thumbnail").status_code == 404
    for path in ("/static/../app.py", "/static/%2e%2e/app.py", "/static/..%2fapp.py"):
        assert asks.get(path).status_code == 404


def test_an_event_of_another_camera_is_not_reached_by_way_of_one_s_own(page: Page) -> None:
    for path in ("", "/thumbnail", "/clip", "/clip.mp4"):
        assert page.client("bob").get(f"{GATE}/3{path}").status_code == 404
    assert page.client("cid").delete(f"{GATE}/3").status_code == 404


def test_an_event_is_labelled_and_deleted_with_its_files(fresh: Page, tmp_path: Path) -> None:
    asks = fresh.client("ann")
    uids(asks)
    assert asks.put(f"{GATE}/2/label", json={"label": "no event"}).status_code == 200
    assert asks.get(f"{GATE}/2").json()["label"] == "no event" and uids(asks, label="no event") == "b"
    assert asks.put(f"{GATE}/2/label", json={"label": "cat"}).status_code == 422
    assert asks.delete("/api/sources/yard/events/3").status_code == 409
    assert asks.delete(f"{GATE}/2").json() == {"done": True, "remark": "", "warning": ""}
    assert sorted(p.name for p in (tmp_path / "out").rglob("*") if p.is_file() and not p.name.startswith(NAME)) == []
    with EventDatabase.opened(tmp_path / "out" / NAME) as database:
        assert database.get(2) is None


def test_a_clip_that_shows_another_event_stays(fresh: Page, tmp_path: Path) -> None:
    record = tmp_path / "out/gate.recordings/one.json"
    record.write_text(record.read_text().replace('["b"]', '["a", "b"]'))
    asks = fresh.client("ann")
    uids(asks)
    assert "another event" in asks.delete(f"{GATE}/2").json()["remark"]
    assert (tmp_path / "out/gate.recordings/one.mp4").exists()


def test_where_there_is_no_database_there_are_no_events(redis_server: PrivateServer) -> None:
    with watched(redis_server) as run, served(run) as page:
        assert uids(page.client("ann")) == ""
        assert page.client("ann").get("/api/events/facts").json()["sources"] == []
        assert page.client("ann").get(f"{GATE}/1").status_code == 404


def test_nothing_that_is_shown_of_events_names_a_file(page: Page) -> None:
    for path in ("/api/events", "/api/events/facts", f"{GATE}/2"):
        text = page.client("ann").get(path).text
        assert ".jpg" not in text and ".mp4" not in text and "/tmp" not in text

"""Recordings by the API: how much there is, clips by name, and motion looked for in them."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.transport.redis_server import PrivateServer
from raftline.web.search import task
from tests.raftline.web.client import Page, served
from tests.raftline.web.search.crossing import BEGIN, record
from tests.raftline.web.told import watched
from tests.stages.alerting import until

RECORDINGS = "/api/sources/gate/recordings"
RIGHT = json.dumps([[0.7, 0.2], [0.9, 0.2], [0.9, 0.8], [0.7, 0.8]])


EAGER = "from raftline.web.search import program; program._NICE = 0; program.main()"
"""Tests run beside others on all cores, which would leave next to nothing for a search."""


@pytest.fixture(scope="module")
def page(redis_server: PrivateServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    folder: Path = tmp_path_factory.mktemp("recordings")
    record(folder / "gate.recordings", "old", "gate", BEGIN - 3600)
    record(folder / "gate.recordings", "new", "gate")
    broken = record(folder / "gate.recordings", "broken", "gate", BEGIN - 60)
    broken.write_bytes(b"no video")
    record(folder / "yard.recordings", "other", "yard")
    (folder / "gate.recordings" / "stray.mp4").write_bytes(b"not the recorder's")
    with pytest.MonkeyPatch.context() as patch, watched(redis_server, folder) as run, served(run) as page:
        patch.setattr(task, "_PROGRAM", (sys.executable, "-c", EAGER))
        yield page


def test_how_much_was_recorded_is_told_of_a_time(page: Page) -> None:
    whole = page.client("bob").get(RECORDINGS).json()
    assert whole == {"clips": 3, "seconds": 18.0, "first": BEGIN - 3600, "last": BEGIN + 6}
    assert page.client("bob").get(RECORDINGS, params={"begin": BEGIN + 5, "end": BEGIN + 99}).json()["clips"] == 1


def test_a_clip_is_given_by_its_name_and_nothing_else_is(page: Page) -> None:
    asks = page.client("bob")
    assert asks.get(f"{RECORDINGS}/new.mp4").headers["content-type"] == "video/mp4"
    assert asks.get(f"{RECORDINGS}/new.growing.mp4").status_code == 200  # it has ended meanwhile
    for name in ("stray.mp4", "other.mp4", "new.json", "..%2Fyard.recordings%2Fother.mp4", "%2Fetc%2Fpasswd"):
        assert asks.get(f"{RECORDINGS}/{name}").status_code == 404


def test_motion_is_found_as_it_goes_and_a_second_search_waits(page: Page) -> None:
    asks, told = page.client("bob"), []
    wanted = {"area": RIGHT, "begin": BEGIN - 100}
    with asks.stream("GET", f"{RECORDINGS}/motion", params=wanted, timeout=250) as answer:
        for line in answer.iter_lines():
            told.append(json.loads(line))
            if len(told) == 1:
                busy = page.client("ann").get(f"{RECORDINGS}/motion", params={"area": RIGHT})
                assert (busy.status_code, busy.json()["detail"][:19]) == (409, "another search goes")
    found = [each for each in told if each["type"] == "found"]
    assert [each["recording"] for each in found] == ["new.mp4"]
    assert 2 < found[0]["begin_seconds"] < 6 and found[0]["at"] == pytest.approx(BEGIN + found[0]["begin_seconds"])
    assert [each["recording"] for each in told if each["type"] == "skipped"] == ["broken.mp4"]
    assert told[-1] == {"type": "done", "found": 1, "clips": 2}


def test_a_search_that_nobody_listens_to_ends_and_another_can_begin(page: Page) -> None:
    asks = page.client("bob")
    for _ in range(2):
        with asks.stream("GET", f"{RECORDINGS}/motion", params={"area": RIGHT}, timeout=250) as answer:
            assert json.loads(next(answer.iter_lines()))["type"] == "progress"
        until(lambda: not page.app.state.searches.busy)


def test_an_area_that_is_none_is_refused(page: Page) -> None:
    for area in ("[]", "[[0, 0], [1, 1]]", "[[0, 0], [2, 0], [0, 1]]", "x"):
        assert page.client("bob").get(f"{RECORDINGS}/motion", params={"area": area}).status_code == 422

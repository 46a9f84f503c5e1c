"""Cameras added, changed and removed by the API."""

from __future__ import annotations

import stat
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest

from pipeline.config import load_config
from pipeline.config.live import LiveConfig
from pipeline.runtime.source_changes import Request, answer, take
from pipeline.transport.redis_server import PrivateServer
from pipeline.transport.redis_streams import RedisStreams
from tests.raftline.web.api.test_zones import YAML
from tests.raftline.web.client import Page, served
from tests.raftline.web.told import run_directory, watched

CAMERA = "rtsp://me:hunter2@192.0.2.7/stream"


@pytest.fixture(scope="module")
def page(redis_server: PrivateServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    folder = tmp_path_factory.mktemp("sources")
    with watched(redis_server) as run, run_directory(run, redis_server, folder, folder), served(run) as page:
        yield page


@pytest.fixture(scope="module")
def garden(redis_server: PrivateServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Page, Path]]:
    """A page whose run has a configuration that can be changed, and its file."""
    file = tmp_path_factory.mktemp("kept") / "garden.yaml"
    file.write_text(YAML)
    with pytest.MonkeyPatch.context() as patch, watched(redis_server) as run:
        patch.setenv("GATE_PASSWORD", "secret")
        with run_directory(run, redis_server, file.parent, file), served(run) as page:
            yield page, file


@contextmanager
def supervisor(page: Page, accepted: bool = True) -> Iterator[list[Request]]:
    """Takes one request as a run's supervisor does, and answers it."""
    taken: list[Request] = []

    def serve() -> None:
        run = page.app.state.run.active()
        transport = RedisStreams(run.redis_url, run.name)
        while not taken:
            if (request := take(transport, run.directory)) is not None:
                taken.append(request)
                answer(transport, request, accepted, "it is so" if accepted else "there is one already")
        transport.close()

    thread = threading.Thread(target=serve)
    thread.start()
    yield taken
    thread.join()


def test_a_camera_is_added_and_the_run_is_asked_to_leave_variables_as_they_stand(page: Page) -> None:
    with supervisor(page) as taken:
        done = page.client("ann").post("/api/sources", json={"name": "door", "input": CAMERA})
    assert (done.status_code, done.json()["remark"]) == (200, "it is so")
    assert "not on this machine" in done.json()["warning"]  # this run has none that could be changed
    assert (taken[0].action, taken[0].name, taken[0].section["input"]) == ("add", "door", CAMERA)
    assert taken[0].filled_in


def test_a_camera_is_changed_and_removed(page: Page) -> None:
    with supervisor(page) as taken:
        assert page.client("cid").put("/api/sources/gate", json={"input": CAMERA}).status_code == 200
    assert (taken[0].action, taken[0].name) == ("change", "gate")
    with supervisor(page) as taken:
        assert page.client("cid").delete("/api/sources/gate").status_code == 200
    assert (taken[0].action, taken[0].name) == ("remove", "gate")


def test_a_camera_is_kept_for_later_runs_and_the_run_finds_no_difference(garden: tuple[Page, Path]) -> None:
    page, file = garden
    live = LiveConfig(load_config(file), partial(load_config, file))
    address = CAMERA + "?of=${GATE_PASSWORD}"
    with supervisor(page) as taken:
        done = page.client("ann").post("/api/sources", json={"name": "no", "input": address}).json()
    assert "it is so; kept in garden.yaml, with its password" in done["remark"] and not done["warning"]
    live.accept(live.with_source(taken[0].name, taken[0].section, filled_in=True)[0])
    assert live.edited() is None  # it may still be written
    edited = live.edited()
    assert edited is not None and edited.sources == live.now.sources and edited.sources["no"].input == address
    text = file.read_text()
    assert "# the old one" in text and "${GATE_PASSWORD}@" in text and stat.S_IMODE(file.stat().st_mode) == 0o600
    with supervisor(page):
        page.client("ann").put("/api/sources/no", json={"input": "/dev/video0"})
    assert load_config(file).sources["no"].input == "/dev/video0"
    with supervisor(page):
        assert "taken out" in page.client("ann").delete("/api/sources/no").json()["remark"]
    assert load_config(file).sources.keys() == {"gate"}


def test_a_camera_that_cannot_be_kept_is_watched_all_the_same(garden: tuple[Page, Path]) -> None:
    page, file = garden
    text = file.read_text()
    with supervisor(page):  # a name that a configuration does not take
        done = page.client("ann").post("/api/sources", json={"name": "a/b", "input": CAMERA}).json()
    assert done["remark"] == "it is so" and "until the run ends: nothing was saved: garden.yaml: " in done["warning"]
    assert "hunter2" not in done["warning"] and file.read_text() == text
    with supervisor(page):
        page.client("ann").post("/api/sources", json={"name": "door", "input": CAMERA, "keep": False})
    assert file.read_text() == text
    assert page.client("ann").get("/api/configuration").json() == {"name": "garden.yaml", "why_not": ""}


def test_what_the_run_refuses_is_said(page: Page) -> None:
    with supervisor(page, accepted=False):
        done = page.client("ann").post("/api/sources", json={"name": "gate", "input": CAMERA})
    assert (done.status_code, done.json()["detail"]) == (409, "there is one already")


@pytest.mark.parametrize(
    "wrong", ["/etc/passwd", "file:///etc/passwd", "clip.mp4", "http://192.0.2.1/", "concat:a|b", "rtsp://", "/dev/sda"]
)
def test_files_and_other_addresses_are_refused_and_not_repeated(page: Page, wrong: str) -> None:
    for done in (
        page.client("ann").post("/api/sources", json={"name": "door", "input": wrong}),
        page.client("ann").put("/api/sources/gate", json={"input": wrong}),
    ):
        assert done.status_code == 422 and "rtsp://user:password@host/path" in done.text
        assert wrong == "rtsp://" or wrong not in done.text


def test_a_heat_map_is_given_for_a_camera_of_the_run_alone(page: Page) -> None:
    output = page.app.state.run.output
    (output / "gate.heat.png").write_bytes(b"png")
    assert page.client("bob").get("/api/sources/gate/heat").content == b"png"
    (output.parent / "x.heat.png").write_bytes(b"not yours")
    for source in ("yard", "..%2Fx", "%2Fetc%2Fpasswd"):
        assert page.client("ann").get(f"/api/sources/{source}/heat").status_code == 404


def test_somebody_who_sees_some_cameras_adds_none(page: Page) -> None:
    assert page.client("cid").post("/api/sources", json={"name": "door", "input": CAMERA}).status_code == 403

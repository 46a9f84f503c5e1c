"""Zones of a camera, saved into the configuration of the run."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pipeline.config import load_config
from pipeline.transport.redis_server import PrivateServer
from tests.raftline.web.client import Page, served
from tests.raftline.web.told import run_directory, watched

YAML = """\
# My cameras.
name: garden
sources:
  gate: {input: "rtsp://me:${GATE_PASSWORD}@192.0.2.1/stream"}  # the old one
stages:
  decoder: {use: "stages.decoder:Decoder"}
  flow: {use: "stages.flow:OpticalFlow", reads: decoder, options: {estimator: dis}}
  motion_mask:
    use: stages.motion_mask:MotionMask
    reads: flow
    options:
      min_area: 0.002    # small birds do not count

  events:                # what I look at
    use: stages.event_log:EventLog
    reads: motion_mask
"""
ZONES = "/api/sources/gate/zones"
DRIVE = {"name": "drive", "corners": [[0.1, 0.5], [0.90004, 0.5], [1, 1]], "does": "watch"}
TREE = {"name": "Old tree", "corners": [[0, 0], [0.2, 0], [0.2, 0.4]], "does": "ignore"}


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("zones") / "garden.yaml"


@pytest.fixture(scope="module")
def page(redis_server: PrivateServer, file: Path) -> Iterator[Page]:
    file.write_text(YAML)
    with pytest.MonkeyPatch.context() as patch, watched(redis_server) as run:
        patch.setenv("GATE_PASSWORD", "secret")
        with run_directory(run, redis_server, file.parent, file), served(run) as page:
            yield page


def put(page: Page, *zones: dict[str, Any], user: str = "ann") -> Any:
    return page.client(user).put(ZONES, json={"zones": list(zones)})


def test_zones_are_saved_with_the_comments_of_the_file_and_read_again(page: Page, file: Path) -> None:
    assert page.client("ann").get(ZONES).json() == {"zones": [], "why_not": ""}
    way = {**TREE, "name": "way", "does": "tell", "direction_degrees": 90.0}
    answer = put(page, DRIVE, TREE, way)
    assert answer.status_code == 200, answer.text
    text = file.read_text()
    for line in ("# My cameras.", "# small birds do not count", "# the old one", "\n  events:                # what I"):
        assert line in text
    assert "${GATE_PASSWORD}" in text and "corners: [[0.1, 0.5], [0.9, 0.5], [1" in text
    found = page.client("bob").get(ZONES).json()["zones"]
    assert [(zone["name"], zone["does"], zone["direction_degrees"]) for zone in found] == [
        ("drive", "watch", None),
        ("Old tree", "ignore", None),
        ("way", "tell", 90.0),
    ]
    saved = load_config(file).stages["motion_mask"].options["zones"]["gate"]
    assert saved["Old tree"]["does"] == "ignore" and not list(file.parent.glob(".*part"))


def test_what_the_check_before_a_run_refuses_is_not_saved(page: Page, file: Path) -> None:
    before = file.read_text()
    answer = put(page, {**TREE, "direction_degrees": 90})
    assert answer.status_code == 409 and file.read_text() == before
    assert "nothing was saved: garden.yaml: " in answer.json()["detail"]
    assert "a zone to ignore has no speed and no direction" in answer.json()["detail"]


@pytest.mark.parametrize(
    "wrong",
    [
        {"name": ""},
        {"name": "a\nb"},
        {"corners": [[0, 0], [1, 1]]},
        {"does": "delete"},
        {"direction_degrees": 360},
        {"file": "/etc/passwd"},
    ],
)
def test_a_zone_that_is_wrong_on_sight_is_refused(page: Page, wrong: dict[str, Any]) -> None:
    assert put(page, {**DRIVE, **wrong}).status_code == 422


def test_two_zones_of_one_name_are_refused(page: Page) -> None:
    assert "two zones are called 'drive'" in put(page, DRIVE, DRIVE).json()["detail"]


def test_a_run_of_another_machine_and_a_shipped_configuration_say_why_they_stay(redis_server: PrivateServer) -> None:
    with watched(redis_server) as run, served(run) as other:
        assert "not on this machine" in other.client("ann").get(ZONES).json()["why_not"]
        shipped = Path(__file__).resolve().parents[4] / "configs/cameras.yaml"
        with run_directory(run, redis_server, shipped.parent, shipped):
            assert "copy it with raftline configs copy cameras" in put(other, DRIVE).json()["detail"]

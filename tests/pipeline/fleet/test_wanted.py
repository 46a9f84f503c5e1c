"""Cameras that a fleet is to watch: added, changed, removed, and those of configurations."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from pipeline.errors import ConfigError
from pipeline.fleet import wanted
from pipeline.fleet.control import Control
from pipeline.transport.redis_server import PrivateServer
from tests.pipeline.fleet.hosts import fleet_on

DOOR = {"input": "rtsp://me:${CAM_PASSWORD}@10.0.0.7/door", "options": {"read_timeout_seconds": 5}}


@pytest.fixture
def control(redis_server: PrivateServer) -> Iterator[Control]:
    with fleet_on(redis_server) as fleet:
        yield fleet.control


def test_a_camera_is_kept_as_written_and_shown_without_its_password(control: Control) -> None:
    assert wanted.add(control, {"input": "rtsp://me:s3cr3t@10.0.0.7/door"}) == "door"
    assert control.section("door") == {"input": "rtsp://me:s3cr3t@10.0.0.7/door"}
    assert control.cameras()["door"].input == "rtsp://me:***@10.0.0.7/door"
    assert wanted.add(control, DOOR) == "door-2"
    assert "${CAM_PASSWORD}" in control.section("door-2")["input"]  # type: ignore[index]


def test_options_are_laid_over_those_before_and_taken_back(control: Control) -> None:
    wanted.add(control, DOOR, "door")
    before = control.cameras()["door"].edition
    wanted.change(control, "door", "rtsp://new/", {"hwaccel": "auto", "read_timeout_seconds": None})
    assert control.section("door") == {"input": "rtsp://new/", "options": {"hwaccel": "auto"}}
    assert control.cameras()["door"].edition != before
    wanted.remove(control, "door")
    assert control.cameras() == {} and control.section("door") is None


def test_mistakes_are_told_in_words(control: Control) -> None:
    wanted.add(control, DOOR, "door")
    with pytest.raises(ConfigError, match="has a camera 'door' already"):
        wanted.add(control, DOOR, "door")
    with pytest.raises(ConfigError, match="no camera 'dor'"):
        wanted.remove(control, "dor")
    with pytest.raises(ConfigError, match="optoins"):
        wanted.add(control, {"input": "rtsp://new/", "optoins": {}}, "yard")
    with pytest.raises(ConfigError, match="source add"):
        wanted.add(control, DOOR, "a/b")


def test_a_host_that_starts_wants_its_file_and_leaves_what_was_done_by_command(control: Control) -> None:
    wanted.add(control, DOOR, "door")
    file = {"door": {"input": "rtsp://other/"}, "yard": {"input": "rtsp://yard/"}}
    wanted.seed(control, file)
    assert control.section("door") == DOOR and control.section("yard") == file["yard"]
    edition = control.cameras()["yard"].edition
    wanted.seed(control, file)
    assert control.cameras()["yard"].edition == edition
    wanted.seed(control, {"yard": {"input": "rtsp://moved/"}})
    assert control.section("yard") == {"input": "rtsp://moved/"}

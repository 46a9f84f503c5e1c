"""``raftline source`` and ``raftline status`` with ``--control``, and what `serve` refuses."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from pipeline.fleet.control import Control
from pipeline.fleet.facts import CameraStatus, HostReport
from pipeline.transport.redis_server import PrivateServer
from raftline.cli.app import app
from raftline.cli.serve import _sections
from tests.stages.alerting import until


@pytest.fixture(scope="module")
def server() -> Iterator[PrivateServer]:
    server = PrivateServer.start(memory_mb=32)
    yield server
    server.stop()


def run(*arguments: str, code: int = 0) -> Result:
    done = CliRunner().invoke(app, list(arguments))
    assert done.exit_code == code, done.output
    return done


def test_a_fleets_cameras_are_added_shown_changed_and_removed(server: PrivateServer) -> None:
    at = ("--control", server.url)
    assert "there is no fleet on" in run("status", *at, code=2).output
    named = ("--run", "yard", *at)
    assert "added door" in run("source", "add", "rtsp://me:s3cr3t@10.0.0.7/x", "--name", "door", *named).output
    shown = run("status", *at).output
    assert "rtsp://me:***@10.0.0.7/x" in shown and "waiting" in shown and "no host is there" in shown
    assert "s3cr3t" not in shown
    run("status", "--check", *at, code=1)
    assert "changed door" in run("source", "change", "door", "--set", "read_timeout_seconds=5", *at).output
    control = Control(server.url, "yard")
    assert control.section("door") == {"input": "rtsp://me:s3cr3t@10.0.0.7/x", "options": {"read_timeout_seconds": 5}}

    def told() -> tuple[str, str, str]:  # a host that says nothing for some seconds is lost
        control.beat("rack-1", HostReport("1", ("door",), cores=4, cpu_cores=0.5))
        control.tell_states("rack-1", {"door": CameraStatus("live")})
        all_of_it = json.loads(run("status", "--json", *at).output)
        return all_of_it["fleet"], all_of_it["cameras"][0]["state"], all_of_it["hosts"][0]["name"]

    until(lambda: told() == ("yard", "live", "rack-1"))
    control.close()
    assert "removed door" in run("source", "remove", "door", *at).output
    assert "0 of 0 cameras are live" in run("source", "list", *at).output


def test_what_serve_cannot_do_is_said_before_anything_starts(tmp_path: Path) -> None:
    file = tmp_path / "yard.yaml"
    file.write_text('name: yard\nstages: {decoder: {use: "stages.decoder:Decoder"}}\n')
    at = ("--control", "redis://127.0.0.1:1/0")
    assert "--name" in run("serve", str(file), *at, "--name", "a/b", code=2).output
    assert "allowed are auto" in run("serve", str(file), *at, "--cameras-at-most", "none", code=2).output


def test_cameras_of_the_configuration_keep_their_variables(tmp_path: Path) -> None:
    file = tmp_path / "yard.yaml"
    file.write_text("sources: {door: {input: 'rtsp://me:${CAM_PASSWORD}@10.0.0.7/x'}}\n")
    sections = _sections(file, ["sources.yard={input: rtsp://yard/}"])
    assert sections["door"]["input"] == "rtsp://me:${CAM_PASSWORD}@10.0.0.7/x" and "yard" in sections

"""`raftline export` of a camera path, and what it refuses. The network's files: tests/raftline/raft/export."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from raftline.cli.app import app
from raftline.cli.failures import USER_MISTAKE

LINE = {
    "index": 0, "pts_seconds": 0.04, "width": 640, "height": 360, "camera": [1, 0, -2, 0, 1, 0, 0, 0, 1],
    "model": "translation", "confidence": 1.0, "starts_path": False, "revised": [],
}  # fmt: skip


@pytest.fixture
def path(tmp_path: Path) -> Path:
    file = tmp_path / "clip.path.jsonl"
    first = {**LINE, "pts_seconds": 0.0, "starts_path": True}
    file.write_text("\n".join(map(json.dumps, (first, LINE))) + "\n")
    return file


def export(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["export", *map(str, arguments)])


@pytest.mark.parametrize(
    ("format", "name", "begins"),
    [("gcsv", "clip.gcsv", "GYROFLOW IMU LOG"), ("trf", "clip.trf", "VID.STAB 1"), ("json", "clip.camera.json", "{")],
)
def test_a_camera_path_is_written_beside_it(format: str, name: str, begins: str, path: Path) -> None:
    done = export(path, "--format", format, "--fov", 90)
    assert done.exit_code == 0, done.output
    assert (path.parent / name).read_text().startswith(begins)
    assert "2 frames, 0.04 s" in done.output


def test_how_the_focal_length_is_known_is_said_and_written(path: Path) -> None:
    assert (
        "focal length from a field of view of 90 degrees: 320 px"
        in export(path, "--format", "json", "--fov", 90).output
    )
    assert json.loads((path.parent / "clip.camera.json").read_text())["focal_px"] == 320
    assert "focal length given: 500 px" in export(path, "--format", "json", "--focal-px", 500).output
    assert "focal length assumed: 502 px (65 degrees; --fov says another)" in export(path, "--format", "gcsv").output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--format", "gcsv"], "needs a camera path: raftline export NAME.path.jsonl --format gcsv"),
        (["PATH", "--format", "onnx"], "exports the network and takes no file; a camera path is exported as gcsv, trf"),
        (["PATH", "--format", "gcsv", "--fov", "190"], "--fov: field of view: expected 1 to less than 180 degrees"),
        (["PATH", "--format", "gcsv", "--fov", "60", "--focal-px", "9"], "say the same; give one of them"),
        (["PATH", "--format", "json", "--focal-px", "0"], "--focal-px: expected more than 0 px, found 0"),
        (["missing.jsonl", "--format", "trf"], "missing.jsonl: cannot be read: No such file"),
        (["--format", "onnx", "-o", "raft.xml"], "found the suffix '.xml'|found the suffix .xml; onnx has .onnx"),
    ],
)
def test_a_mistake_is_named(arguments: list[str], message: str, path: Path) -> None:
    done = export(*(path if each == "PATH" else each for each in arguments))
    assert done.exit_code == USER_MISTAKE
    assert any(part in " ".join(done.output.split()) for part in message.split("|"))

"""``stages``: what is installed, and a stage of one's own to begin with."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from raftline.cli.app import app


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    before = set(sys.modules)
    importlib.invalidate_caches()
    yield tmp_path
    for name in set(sys.modules) - before:
        if name.endswith("dimmer"):
            del sys.modules[name]


def call(*arguments: str, code: int = 0) -> str:
    result = CliRunner().invoke(app, ["stages", *arguments], env={"COLUMNS": "200"})
    assert result.exit_code == code, result.output
    return result.output


def test_a_new_stage_comes_with_a_test_that_passes_and_a_pipeline_that_runs(folder: Path) -> None:
    assert call("new", "dimmer").splitlines()[:3] == ["dimmer.py", "test_dimmer.py", "dimmer.yaml"]
    tests = importlib.import_module("test_dimmer")
    tests.test_a_frame_becomes_brighter()
    tests.test_the_pipeline_runs(folder / "out")
    said = call("./dimmer.py:Dimmer")
    assert "Makes frames brighter or darker." in said and "factor on brightness; 1 changes nothing" in said


def test_a_new_stage_overwrites_nothing(folder: Path) -> None:
    (folder / "test_dimmer.py").write_text("mine")
    said = call("new", "dimmer", code=2)
    assert "error: test_dimmer.py: there already, and left as it is" in said
    assert [path.name for path in folder.iterdir()] == ["test_dimmer.py"]
    assert (folder / "test_dimmer.py").read_text() == "mine"


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("My-Stage", "allowed: a name of a Python module, of a-z 0-9 _, such as speed_log"),
        ("class", "allowed: a name of a Python module"),
        ("numpy", "'numpy': Python has a module of this name"),
        ("stages", "'stages': Python has a module of this name"),
    ],
)
def test_a_name_that_would_hide_another_module_is_refused(folder: Path, name: str, words: str) -> None:
    assert words in call("new", name, code=2)
    assert list(folder.iterdir()) == []


def test_what_other_packages_bring_is_listed_with_ours(folder: Path) -> None:
    call("new", "dimmer")
    (folder / "acme-1.0.dist-info").mkdir()
    (folder / "acme-1.0.dist-info/METADATA").write_text("Metadata-Version: 2.1\nName: acme\nVersion: 1.0\n")
    (folder / "acme-1.0.dist-info/entry_points.txt").write_text("[raftline.stages]\nacme_dimmer = dimmer:Dimmer\n")
    listed = call()
    assert "acme_dimmer" in listed and "dimmer:Dimmer" in listed and "video_writer" in listed

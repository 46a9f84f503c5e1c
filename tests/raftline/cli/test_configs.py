"""Configurations by name: listed, copied, run from any folder."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from pipeline.config import load_config
from raftline.cli.app import app
from raftline.cli.arguments import config_file
from raftline.shipped import about, shipped_configurations


@pytest.fixture
def runner(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> CliRunner:
    monkeypatch.chdir(tmp_path)
    return CliRunner()


def test_the_list_names_every_configuration_and_what_it_is_for(runner: CliRunner) -> None:
    said = " ".join(runner.invoke(app, ["configs"]).output.split())
    assert {"demo", "stabilize", "motion_masks", "cameras", "events", "flow", "batch"} <= set(shipped_configurations())
    for name, file in shipped_configurations().items():
        assert name in said and about(file)


def test_a_copy_is_the_configuration_with_its_comments(runner: CliRunner) -> None:
    result = runner.invoke(app, ["configs", "copy", "stabilize", "my.yaml"])
    assert result.exit_code == 0 and result.output.strip() == "my.yaml"
    assert Path("my.yaml").read_bytes() == shipped_configurations()["stabilize"].read_bytes()
    assert runner.invoke(app, ["configs", "copy", "demo"]).output.strip() == "demo.yaml"
    load_config("demo.yaml")


def test_a_copy_overwrites_nothing(runner: CliRunner) -> None:
    Path("my.yaml").write_text("mine")
    result = runner.invoke(app, ["configs", "copy", "demo", "my.yaml"])
    assert result.exit_code == 2 and "is there already" in result.stderr
    assert Path("my.yaml").read_text() == "mine"


def test_a_name_that_there_is_not_is_refused_with_the_nearest(runner: CliRunner) -> None:
    for command in (["validate", "stabilise"], ["configs", "copy", "stabilise"]):
        result = runner.invoke(app, command)
        assert result.exit_code == 2 and "did you mean 'stabilize'?" in result.stderr


def test_a_file_comes_before_a_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert config_file(Path("demo")) == shipped_configurations()["demo"]
    (tmp_path / "demo").write_text("stages: {}")
    assert config_file(Path("demo")) == Path("demo")


def test_every_shipped_pipeline_is_valid_by_its_name(runner: CliRunner) -> None:
    for name in shipped_configurations():
        if "/" not in name:
            result = runner.invoke(app, ["validate", name])
            assert result.exit_code == 0, result.output

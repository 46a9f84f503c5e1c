"""What docs/writing_a_stage.md shows is run here, as it stands there."""

from __future__ import annotations

import importlib
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.testing import run_stage

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs/writing_a_stage.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    """A folder with the stage of the page in it, as its reader would save it."""
    (tmp_path / "color_pop.py").write_text(blocks("python")[0])
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "color_pop", raising=False)
    importlib.invalidate_caches()
    return tmp_path


def test_the_stage_has_30_lines_of_code_at_most():
    assert len([line for line in blocks("python")[0].splitlines() if line.strip()]) <= 30


def test_the_test_of_the_page_passes(folder):
    names: dict = {}
    exec(compile(blocks("python")[1], "docs/writing_a_stage.md", "exec"), names)
    tests = [value for name, value in names.items() if name.startswith("test_")]
    assert len(tests) == 1
    tests[0]()


def test_the_stage_runs_on_real_flow(folder):
    module = importlib.import_module("color_pop")
    from stages.flow import OpticalFlow
    from tests.stages.test_flow import moving

    flows = run_stage(OpticalFlow, [moving(i) for i in range(3)], {"estimator": "dis"})
    popped = run_stage(module.ColorPop, flows)
    assert [type(message).__name__ for message in popped] == ["Frame"] * 3


def test_the_whole_configuration_runs_in_a_test_as_the_page_says(folder, monkeypatch):
    from tests.examples.test_examples import frames_of, write_video

    monkeypatch.chdir(folder)
    write_video(folder / "walk.mp4", frames=4)
    (folder / "my.yaml").write_text(blocks("yaml")[0])
    names: dict = {}
    exec(compile(blocks("python")[2], "docs/writing_a_stage.md", "exec"), names)
    assert [type(message).__name__ for message in names["frames"]] == [*["Frame"] * 4, "EndOfStream"]
    assert frames_of(folder / "out/walk.pop.mp4") == 4


def cli(folder: Path, *arguments: str) -> subprocess.CompletedProcess:
    command = [sys.executable, str(ROOT / "run_pipeline.py"), *arguments]
    environment = {**os.environ, "COLUMNS": "200"}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=250)


def test_the_configuration_of_the_page_is_valid_with_the_module_beside_it(folder):
    (folder / "walk.mp4").touch()
    (folder / "my.yaml").write_text(blocks("yaml")[0])
    done = cli(folder, "validate", "my.yaml")
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_mistyped_option_of_the_stage_is_refused_with_the_nearest(folder):
    (folder / "walk.mp4").touch()
    (folder / "my.yaml").write_text(blocks("yaml")[0].replace("min_speed_px_s:", "min_speed_pxs:"))
    done = cli(folder, "validate", "my.yaml")
    assert done.returncode == 2 and "min_speed_px_s" in done.stderr


def test_the_command_line_shows_the_stage_and_its_option(folder):
    done = cli(folder, "stages", "./color_pop.py:ColorPop")
    assert done.returncode == 0 and "min_speed_px_s" in done.stdout and "px/s" in done.stdout, done.stderr


def test_the_entry_point_group_of_the_page_is_the_one_that_is_read():
    from pipeline.registry import ENTRY_POINT_GROUP

    assert f'[project.entry-points."{ENTRY_POINT_GROUP}"]' in blocks("toml")[0]


def test_every_file_that_the_page_names_is_there():
    for path in re.findall(r"`((?:stages|pipeline|docs)/[\w/]+\.\w+)`", PAGE):
        assert (ROOT / path).exists(), path

"""Training within a budget of time, and on a machine that has little installed."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from raftline.training.budget import PLAN, main, planned, steps_per_second
from tests.raftline.training.training_bench import small_options

ROOT = Path(__file__).resolve().parents[3]


def test_the_schedule_is_as_long_as_fits_and_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("raftline.training.budget.steps_per_second", lambda options, device: 2.0)
    options = small_options(tmp_path / "out")
    first = planned(options, 10, "cpu")
    assert first.steps == 0.9 * 60 * 10 * 2
    monkeypatch.setattr("raftline.training.budget.steps_per_second", lambda options, device: 7.0)
    assert planned(options, 10, "cpu") == first
    assert json.loads((options.output / PLAN).read_text())["steps_per_second"] == 2.0


def test_the_speed_is_measured_on_clips_that_leave_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("raftline.training.budget._WARM_UP_STEPS", 1)
    monkeypatch.setattr("raftline.training.budget._MEASURED_STEPS", 1)
    options = small_options(tmp_path / "out", iterations=1)
    assert steps_per_second(options, "cpu") > 0
    assert not options.output.exists()


def test_what_is_wrong_is_said_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code = main([str(tmp_path / "none.yaml"), "--total-minutes", "1", "--minutes", "1"])
    assert code == 2
    assert "none.yaml: cannot be read" in capsys.readouterr().err


def test_training_needs_nothing_that_a_bare_machine_lacks() -> None:
    blocked = ("av", "redis", "typer", "prometheus_client", "pipeline", "stages")
    modules = (
        "raftline.training.budget",
        "raftline.evaluation.evaluation",
        "raftline.training.frame_clips",
        "raftline.training.smoke",
    )
    code = f"import sys; sys.modules.update(dict.fromkeys({blocked!r}))\nimport {', '.join(modules)}"
    done = subprocess.run([sys.executable, "-c", code], check=False, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr

"""``train`` and ``evaluate`` as a user calls them."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from raftline.cli.app import app
from tests.command_line import run, running
from tests.raftline.evaluation.test_evaluation import sintel_like

CONFIG = """
output: trained
steps: 2
height: 128
width: 128
iterations: 1
synthetic: {clips: 1, tile_px: 128}
warm_start: {iterations: 1, repeats: 0}
validation: {clips: 1, every_steps: 2, iterations: 1}
log_every_steps: 1
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "config.yaml").write_text(CONFIG)
    return tmp_path


@pytest.mark.timeout(600)  # commands that load PyTorch
def test_train_tells_how_it_goes_and_its_weights_are_those_of_other_commands(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = run(folder, "train", "config.yaml", "--device", "cpu").stdout
    for words in ("from scratch to 2", "step 1/2  loss", "clips/s", "left", "validation EPE", "2 of 2 steps done"):
        assert words in told
    assert "  loss " not in run(folder, "train", "config.yaml", "--device", "cpu").stdout  # there is nothing to do
    monkeypatch.chdir(folder)
    evaluate = ["evaluate", "--dataset", "synthetic:1", "--weights", "trained/weights.safetensors"]
    done = CliRunner().invoke(app, [*evaluate, "--iterations", "1", "--json", "out.json"])  # PyTorch is loaded here
    assert done.exit_code == 0, done.output
    row = json.loads((folder / "out.json").read_text())["results"][0]
    assert row["dataset"] == "synthetic" and row["epe_px"] > 0


@pytest.mark.parametrize("processes", [1, 2])
def test_a_run_that_is_asked_to_end_saves_and_says_how_to_go_on(folder: Path, processes: int) -> None:
    arguments = ("--device", "cpu", "--set", "steps=100000", "--set", f"processes={processes}")
    with running(folder, "train", "config.yaml", *arguments) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if "step 1/" in line:
                process.send_signal(signal.SIGTERM)
                break
        rest = process.stdout.read()
        assert process.wait(150) == 0
    assert "the same command resumes from the last checkpoint" in rest
    assert (folder / "trained" / "checkpoint.safetensors").is_file()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["config.yaml", "--set", "itertions=3"], "did you mean 'iterations'?"),
        (["config.yaml", "--set", "synthetic.textures=none"], "textures none: not there"),
        (["config.yaml", "--set", "synthetic.textures=none", "--set", "processes=2"], "textures none: not there"),
        (["config.yaml", "--set", "gamma"], "expected KEY.PATH=VALUE, such as synthetic.textures=photographs"),
        (["config.yaml", "--set", "gamma=high"], "gamma: found 'high'; allowed: a valid number"),
        (["config.yaml", "--set", "files={pairs: 1, sets: ['chairs:none']}"], "none is not there"),
    ],
)
def test_what_cannot_be_trained_is_one_line(folder: Path, arguments: list[str], words: str) -> None:
    done = run(folder, "train", *arguments, code=2)
    assert words in done.stderr and "Traceback" not in done.stderr
    # Another process of the run may have met it first, and says so in a line of its own.
    assert done.stderr.splitlines()[-1].startswith("error: ")


def test_several_estimators_are_compared_in_one_table(folder: Path) -> None:
    sintel_like(folder / "sintel", frames=3, step_px=2)
    arguments = ("--dataset", "sintel:sintel", "--compare", "dis", "--iterations", 2, "--json", "out.json")
    told = run(folder, "evaluate", *arguments).stdout
    header = next(line for line in told.splitlines() if "data set" in line)
    assert "default 2" in header and "dis" in header
    runs = json.loads((folder / "out.json").read_text())["runs"]
    assert [report["weights"] for report in runs] == ["default", "dis"]
    least = min(report["results"][0]["epe_px"] for report in runs)
    assert f"{least:.3f}*" in told


@pytest.mark.slow
def test_the_curve_has_cold_and_warm_starts_at_every_count(folder: Path) -> None:
    sintel_like(folder / "sintel", frames=4, step_px=6)
    told = run(folder, "evaluate", "--dataset", "sintel:sintel", "--curve", "1,4", "--json", "out.json").stdout
    runs = json.loads((folder / "out.json").read_text())["runs"]
    assert [(report["iterations"], report["warm_start"]) for report in runs] == [
        (1, "never"), (1, "always"), (4, "never"), (4, "always"),
    ]  # fmt: skip
    lines = [line for line in told.splitlines() if "cold" in line or "warm" in line]
    assert [
        f"{runs[at]['results'][0]['epe_px']:.3f}" in line for at, line in zip((0, 2, 1, 3), lines, strict=True)
    ] == [True] * 4
    errors = np.array([report["results"][0]["epe_px"] for report in runs]).reshape(2, 2)
    assert errors[1, 0] < errors[0, 0]  # more iterations
    assert errors[0, 1] < errors[0, 0]  # from the last flow
    assert (
        "expected numbers of iterations"
        in run(folder, "evaluate", "--dataset", "sintel:sintel", "--curve", "1;2", code=2).stderr
    )

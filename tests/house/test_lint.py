"""ruff and pyright find nothing."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def run(module: str, *arguments: str) -> None:
    if importlib.util.find_spec(module) is None:
        message = f"{module} is not installed: make test installs it"
        pytest.fail(message) if os.environ.get("CI") else pytest.skip(message)
    done = subprocess.run(
        [sys.executable, "-m", module, *arguments], check=False, cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, f"\n{done.stdout}\n{done.stderr}"


def test_ruff_finds_nothing() -> None:
    run("ruff", "check", "--quiet", ".")


@pytest.mark.timeout(600)
def test_pyright_finds_no_wrong_type() -> None:
    run("pyright", "--pythonpath", sys.executable)

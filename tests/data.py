"""Where the test data lies."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

_ROOT = Path(__file__).resolve().parent.parent


def data_path(*parts: str) -> Path:
    """A file or folder of the test data; skips the test, saying what is missing, where it is not there."""
    folder = Path(os.environ.get("RAFTLINE_DATA") or _ROOT.parent / "shared" / "data")
    path = folder.joinpath(*parts)
    if not path.exists():
        pytest.skip(f"test data: {path} is not there; RAFTLINE_DATA names the folder that holds it")
    return path

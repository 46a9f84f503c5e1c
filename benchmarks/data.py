"""Where the test data lies."""

from __future__ import annotations

import os
from pathlib import Path

_ROOT = Path(__file__).resolve().parent.parent


def data_folder() -> Path | None:
    """The folder of test data, where there is one: RAFTLINE_DATA, or ../shared/data."""
    folder = Path(os.environ.get("RAFTLINE_DATA") or _ROOT.parent / "shared" / "data")
    return folder if folder.is_dir() else None


def needed_data() -> Path:
    """That folder. Without it there is nothing to measure: SystemExit."""
    folder = data_folder()
    if folder is None:
        raise SystemExit("the folder of test data is not there; RAFTLINE_DATA names it")
    return folder

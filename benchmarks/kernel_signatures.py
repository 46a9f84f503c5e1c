"""Write down what kernels are called with in whole runs, for `raftline.kernels.ahead`.

    python -m benchmarks.kernel_signatures

Each list is of one stage's kernels: what runs with nothing compiled leave, less the kernels of flow, which all need.
"""

from __future__ import annotations

import importlib
import os
import pkgutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest.mock import patch

from numba.core import config, types

import raftline
from benchmarks.end_to_end import clips
from benchmarks.end_to_end.cases import DECODER, flow_stage
from benchmarks.end_to_end.commands import pipeline, written
from raftline.kernels.kernel_cache import KernelCache

LISTS = Path(raftline.__file__).parent / "kernels" / "ahead"


def main() -> None:
    """Make all lists."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        flow: set[str] = set()
        for part, commands in runs(folder).items():
            kept = str(folder / part)
            with patch.dict(os.environ, NUMBA_CACHE_DIR=kept), patch.object(config, "CACHE_DIR", kept):
                for output, command in enumerate(commands):
                    pipeline(folder / f"{part}_{output}", *command)
                lines = sorted(set(compiled_kernels()) - flow)
            flow = flow or set(lines)
            (LISTS / f"{part}.txt").write_text("".join(f"{line}\n" for line in lines))
            print(f"{part}: {len(lines)}")


def runs(folder: Path) -> dict[str, list[list[Any]]]:
    """Arguments of `raftline run`, by list."""
    handheld, start = clips.handheld(), clips.handheld_start(folder)
    fixed = clips.scaled(clips.visits(folder), (384, 216))
    flow = {
        name: written(
            folder / f"{name}.yaml", {"decoder": DECODER, "flow": flow_stage(name)}, {"clip": {"input": str(start)}}
        )
        for name in ("dis", "raft")
    }
    return {
        "flow": [[flow["dis"]], [flow["dis"], "-i", fixed]],
        "network": [[flow["raft"]], [flow["raft"], "-i", fixed, "--set", "stages.flow.options.accuracy=cells"]],
        "stabilization": [["stabilize", "-i", handheld]],
        "masks": [["events", "-i", fixed], ["motion_masks", "-i", start]],
    }


def compiled_kernels() -> Iterator[str]:
    """Yield module, name and types of the arguments of all kernels that numba's folder holds."""
    for module in pkgutil.walk_packages(raftline.__path__, "raftline."):
        if ".ahead." in module.name or "cuda" in module.name or ".web" in module.name or ".cli" in module.name:
            continue
        loaded = importlib.import_module(module.name)
        for name, each in vars(loaded).items():
            if hasattr(each, "dispatcher") and each.__module__ == module.name:
                for key in KernelCache(each.__wrapped__)._cache_file._load_index():
                    yield " ".join((module.name, name, *map(argument, key[0])))


def argument(found: types.Type) -> str:
    """Write an argument's type as the lists do."""
    if isinstance(found, types.Array):
        return f"{found.dtype}:{found.ndim}{found.layout}{'' if found.mutable else 'r'}"
    return str(found)


if __name__ == "__main__":
    main()

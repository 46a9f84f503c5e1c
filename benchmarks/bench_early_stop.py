"""What the updates after the first few are worth: end-point error and updates, by where they stop early.

    python -m benchmarks.bench_early_stop [--iterations 4,6,12] [--early-stop 0.05,0.1] [--clips 8] [--json FILE]

Flow as `FlowOptions` has it, in float32, each pair on its own, over the ground truth of the test data (RAFTLINE_DATA)
and over synthetic clips, whose objects are small and fast. A table of the mean error in px, and of the mean number of
updates.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from benchmarks.data import needed_data
from benchmarks.flow.clips import known_pairs
from benchmarks.machine import machine
from raftline.evaluation.evaluation_sets import MeasuredPair, SyntheticSet
from raftline.flow.network import open_raft
from raftline.flow.options import FlowOptions
from raftline.flow.session import FlowSession

Row = dict[str, Any]


def main() -> None:
    arguments = _arguments()
    loop = open_raft(FlowOptions(device="cpu", precision="float32"))
    pairs = list(_pairs(arguments.clips))
    rows = []
    for iterations in (int(number) for number in arguments.iterations.split(",")):
        for stop in (None, *(float(number) for number in arguments.early_stop.split(",") if number)):
            options = FlowOptions(iterations=iterations, cold_iterations=1, early_stop_px=stop)
            options = replace(options, duplicates=None, scene_cut=None)
            rows.append(_row(pairs, FlowSession(loop, options), options))
            Console(width=150).print(_table(rows))
    if arguments.json:
        arguments.json.write_text(json.dumps({"machine": machine(), "rows": rows}, indent=1) + "\n")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--iterations", default="4,6,12", help="updates at most, by comma")
    parser.add_argument("--early-stop", default="0.03,0.05,0.1", help="px, by comma; all updates are run besides")
    parser.add_argument("--clips", type=int, default=8, help="synthetic ones")
    parser.add_argument("--json", type=Path)
    return parser.parse_args()


def _pairs(clips: int) -> Iterator[tuple[str, MeasuredPair]]:
    """Pairs of the ground truth, and of synthetic clips over photographs, with the name of their row."""
    for known in known_pairs():
        parts = known.name.split("/")
        group = parts[1] if parts[0] == "middlebury" else parts[0]
        yield group, MeasuredPair(known.name, known.image1, known.image2, {"": known.truth_px}, None)
    for run in SyntheticSet(clips, needed_data() / "textures").runs():
        yield from (("synthetic", pair) for pair in run.pairs)


@torch.inference_mode()
def _row(pairs: list[tuple[str, MeasuredPair]], session: FlowSession, options: FlowOptions) -> Row:
    errors: dict[str, list[float]] = {}
    updates, begin = [], time.process_time()
    for group, pair in pairs:
        session.reset()
        session(np.ascontiguousarray(pair.image1))
        result = session(np.ascontiguousarray(pair.image2))
        assert result is not None and result.flow_px is not None
        (truth_px,) = list(pair.truths_px.values())[:1]
        error_px = np.linalg.norm(result.flow_px - truth_px, axis=2)
        errors.setdefault(group, []).append(float(np.nanmean(error_px)))
        updates.append(result.iterations)
    return {
        "iterations": options.iterations,
        "early_stop_px": options.early_stop_px,
        "updates": round(float(np.mean(updates)), 2),
        "cpu_seconds": round(time.process_time() - begin, 1),
        "epe_px": {group: round(float(np.mean(values)), 4) for group, values in errors.items()},
    }


def _table(rows: list[Row]) -> Table:
    table = Table("iterations", "early stop px", "updates", "CPU s", *rows[0]["epe_px"])
    for row in rows:
        stop = "-" if row["early_stop_px"] is None else f"{row['early_stop_px']:g}"
        errors = (f"{value:.3f}" for value in row["epe_px"].values())
        table.add_row(str(row["iterations"]), stop, f"{row['updates']:.1f}", f"{row['cpu_seconds']:.0f}", *errors)
    return table


if __name__ == "__main__":
    main()

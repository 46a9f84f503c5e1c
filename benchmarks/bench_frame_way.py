"""One frame's way: CPU milliseconds of a frame by process of a run, in two checkouts beside each other.

    git worktree add ../before COMMIT
    python -m benchmarks.bench_frame_way --before ../before --config stabilize.yaml --input clip.mp4 [--set ...]

Both checkouts run in turn with this Python, `--repeats` times; figures are medians and spread. The processes are
watched from outside, so that a checkout needs no figures of its own. What no stage does, such as loading, starting,
Redis and the supervisor, is "the rest"; it grows little with the length of a clip.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

import psutil
from rich.console import Console
from rich.table import Table

from benchmarks.end_to_end.commands import users_environment
from benchmarks.machine import machine, spread

_EVERY_SECONDS = 0.02
"""Between two looks: what a process does after the last look at it is not counted."""
_NAME_BYTES = 15 - len("rl:")
REST = "the rest"
ALL = "all"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--before", type=Path, required=True, help="another checkout")
    parser.add_argument("--config", required=True, help="a file of configs/, there in both checkouts")
    parser.add_argument("--input", type=Path, required=True, help="a video")
    parser.add_argument(
        "--set", action="append", default=[], help="as `raftline run` has it; may be given several times"
    )
    parser.add_argument("--repeats", type=int, default=3, help="runs of each checkout")
    parser.add_argument("--json", type=Path, help="write the figures there")
    arguments = parser.parse_args()
    here = Path(__file__).resolve().parents[1]
    sides = {"before": arguments.before.resolve(), "now": here}
    found: dict[str, dict[str, list[float]]] = {side: defaultdict(list) for side in sides}
    for _ in range(arguments.repeats):
        for side, checkout in sides.items():
            for name, milliseconds in _frame(checkout, arguments).items():
                found[side][name].append(milliseconds)
    result = {
        "machine": machine(),
        "command": {"config": arguments.config, "input": arguments.input.name, "set": arguments.set},
        "cpu_ms_per_frame": {side: {name: spread(each) for name, each in of.items()} for side, of in found.items()},
    }
    console = Console(width=120)
    console.print_json(json.dumps(result["machine"]))
    console.print(_table(result["cpu_ms_per_frame"]))
    if arguments.json:
        arguments.json.write_text(json.dumps(result, indent=1) + "\n")


def _frame(checkout: Path, arguments: argparse.Namespace) -> dict[str, float]:
    """CPU ms a frame by stage, of one run in `checkout`."""
    with tempfile.TemporaryDirectory() as folder:
        given = [argument for each in arguments.set for argument in ("--set", each)]
        command = [sys.executable, "run_pipeline.py", "run", f"configs/{arguments.config}"]
        process = subprocess.Popen(
            [*command, "-i", str(arguments.input.resolve()), "-o", folder, *given],
            cwd=checkout,
            env={**users_environment(), "PYTHONPATH": str(checkout)},
            stdout=subprocess.DEVNULL,
        )
        seconds = _watch(process)
        if process.returncode:
            raise SystemExit(f"{checkout}: the run ended with status {process.returncode}")
        summary = json.loads((Path(folder) / "summary.json").read_text())
    [source] = summary["sources"].values()
    frames = source["frames_decoded"]
    names = list(source["stages"]) + ["decoder"]
    taken: dict[str, float] = defaultdict(float)
    for said, used in seconds.items():
        name = next((name for name in names if said and said in (name, name[:_NAME_BYTES])), REST)
        taken[name] += 1000 * used / frames
    return {**taken, ALL: sum(taken.values())}


def _watch(process: subprocess.Popen[Any]) -> dict[str, float]:
    """CPU seconds by the stage that each of its processes says, as last seen before it ended."""
    seen: dict[int, tuple[str, float]] = {}
    while process.poll() is None:
        for each in [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]:
            try:
                with each.oneshot():
                    times = each.cpu_times()
                    seen[each.pid] = (_stage_of(each.name(), each.cmdline()), times.user + times.system)
            except psutil.Error:
                continue
        time.sleep(_EVERY_SECONDS)
    seconds: dict[str, float] = defaultdict(float)
    for said, used in seen.values():
        seconds[said] += used
    return seconds


def _stage_of(name: str, arguments: list[str]) -> str:
    """A worker says its stage in its name, of which the kernel keeps 15 bytes; once it said so in its arguments."""
    if name.startswith("rl:"):
        return name.removeprefix("rl:")
    return arguments[arguments.index("--stage") + 1] if "--stage" in arguments else ""


def _table(found: dict[str, dict[str, dict[str, float]]]) -> Table:
    table = Table("CPU ms a frame", "before", "now", title="one frame's way", title_justify="left")
    names = [name for name in {**found["before"], **found["now"]} if name not in (REST, ALL)]
    for name in [*names, REST, ALL]:
        cells = [found[side].get(name) for side in ("before", "now")]
        table.add_row(name, *(f"{c['median']} ({c['min']} - {c['max']})" if c else "-" for c in cells))
    return table


if __name__ == "__main__":
    main()

"""Many short files: a batch against a bare loop over `run`, and Ray's lanes against local ones.

    python -m benchmarks.bench_batch --json benchmarks/results/batch_cpu.json
    python -m benchmarks.bench_batch --quick

Every side works on the same files with the same configuration, in turn, `--repeats` times: a new process for each file
(`loop`), `raftline batch` with one file at a time (`batch`) and with as many as there are cores (`batch, all cores`),
and the latter on the one node of a Ray cluster (`ray`), which is up before. CPU seconds are those of all processes,
with Ray's own from the begin of the batch to its end. Quick: figures of the CPU time alone mean something.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil
from rich.console import Console
from rich.table import Table

from benchmarks.data import needed_data
from benchmarks.end_to_end.commands import raftline, timed, users_environment
from benchmarks.machine import machine, spread

_SETTINGS = ("stages.flow.options.estimator=dis",)
"""Chosen by hand: cheap frames, so that what begins and ends with each file counts."""
_AIMS = {"batch against loop": ">= 1.5", "ray against batch": "<= 1.05"}

Used = dict[str, float]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=200, help="number of files")
    parser.add_argument("--seconds", type=float, default=2.0, help="of video in each file")
    parser.add_argument("--config", default="batch", help="a shipped configuration")
    parser.add_argument("--set", action="append", help="as `raftline run` has it; replaces the estimator DIS")
    parser.add_argument("--repeats", type=int, default=3, help="runs of each side")
    parser.add_argument("--quick", action="store_true", help="40 files, once")
    parser.add_argument("--no-ray", action="store_true", help="leave Ray out")
    parser.add_argument("--json", type=Path, help="write the figures there")
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.files, arguments.repeats = min(arguments.files, 40), 1
    result = {
        "machine": machine(),
        "command": {name: getattr(arguments, name) for name in ("files", "seconds", "config", "repeats")}
        | {"set": arguments.set or list(_SETTINGS)},
        "aims": _AIMS,
        "sides": _measured(arguments),
    }
    console = Console(width=120)
    console.print_json(json.dumps(result["machine"]))
    console.print(_table(result["sides"]))
    if arguments.json:
        arguments.json.write_text(json.dumps(result, indent=1) + "\n")


def _measured(arguments: argparse.Namespace) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        clips = _clips(folder, arguments.files, arguments.seconds)
        found: dict[str, list[Used]] = {}
        with _ray_cluster(not arguments.no_ray) as address:
            sides = _sides(arguments, folder, clips, address)
            for number in range(arguments.repeats):
                for side, run in sides.items():
                    found.setdefault(side, []).append(run(folder / "out" / f"{side} {number}"))
                    print(side, found[side][-1], file=sys.stderr, flush=True)
    return {side: {what: spread([each[what] for each in runs]) for what in runs[0]} for side, runs in found.items()}


def _clips(folder: Path, count: int, seconds: float) -> list[Path]:
    """The same short clip under many names."""
    video = needed_data() / "video" / "odd" / "bikes.mp4"
    clip = folder / "clip.mp4"
    command = ["ffmpeg", "-v", "error", "-stream_loop", "-1", "-i", video, "-t", str(seconds), "-vf", "scale=320:-2"]
    subprocess.run([*map(str, command), "-an", str(clip)], check=True)
    (folder / "in").mkdir()
    clips = [folder / "in" / f"{number:03}.mp4" for number in range(count)]
    for each in clips:
        os.link(clip, each)
    return clips


def _sides(
    arguments: argparse.Namespace, folder: Path, clips: list[Path], address: str | None
) -> dict[str, Callable[[Path], Used]]:
    given = [part for each in arguments.set or _SETTINGS for part in ("--set", each)]
    cores = os.cpu_count() or 1

    def loop(output: Path) -> Used:
        commands = [["run", arguments.config, "-i", str(clip), "-o", str(output / clip.stem), *given] for clip in clips]
        return _used(commands, len(clips))

    def batch(*options: str, cluster: bool = False) -> Callable[[Path], Used]:
        def run(output: Path) -> Used:
            command = ["batch", arguments.config, str(folder / "in"), "-o", str(output), *given, *options]
            return _used([command], len(clips), cluster)

        return run

    sides = {"loop": loop, "batch": batch(), "batch, all cores": batch("--jobs", str(cores))}
    if address is not None:
        ray = ("--executor", "ray", "--address", address, "--jobs", str(cores), "--set", "cores=1")
        sides["ray"] = batch(*ray, cluster=True)
    return sides


def _used(commands: list[list[str]], files: int, cluster: bool = False) -> Used:
    before = _cluster_cpu_seconds() if cluster else 0.0
    run = timed(*(raftline(*command) for command in commands))
    cpu = run.cpu_seconds + (_cluster_cpu_seconds() - before if cluster else 0.0)
    return {"files_per_hour": 3600 * files / run.wall_seconds, "cpu_seconds_per_file": cpu / files}


def _cluster_cpu_seconds() -> float:
    """Of the cluster's processes, which go on."""
    used = 0.0
    for process in psutil.Process().children(recursive=True):
        with suppress(psutil.NoSuchProcess):
            times = process.cpu_times()
            used += times.user + times.system + times.children_user + times.children_system
    return used


@contextmanager
def _ray_cluster(wanted: bool) -> Iterator[str | None]:
    """One node with all cores of this machine; its address."""
    if not wanted:
        yield None
        return
    from tests.free_port import free_port

    port = free_port()
    command = [sys.executable, "-m", "ray.scripts.scripts", "start", "--head", "--block", "--include-dashboard=false"]
    command += [f"--port={port}", f"--num-cpus={os.cpu_count()}", "--disable-usage-stats"]
    with subprocess.Popen(command, env=users_environment(), stdout=subprocess.DEVNULL) as process:
        try:
            _wait_for(f"127.0.0.1:{port}")
            yield f"127.0.0.1:{port}"
        finally:
            process.terminate()


def _wait_for(address: str) -> None:
    look = f"import ray; ray.init(address='{address}', log_to_driver=False, configure_logging=False)"
    for _ in range(60):
        if subprocess.run([sys.executable, "-c", look], capture_output=True, check=False).returncode == 0:
            return
        time.sleep(1)
    raise SystemExit("the Ray cluster does not come up")


def _table(sides: dict[str, Any]) -> Table:
    table = Table("side", title="short files")
    for title in ("files/hour", "against loop", "CPU s a file"):
        table.add_column(title, justify="right")
    first = sides["loop"]["files_per_hour"]["median"]
    for side, found in sides.items():
        rate = found["files_per_hour"]["median"]
        table.add_row(side, f"{rate:.0f}", f"{rate / first:.2f}", f"{found['cpu_seconds_per_file']['median']:.2f}")
    return table


if __name__ == "__main__":
    main()

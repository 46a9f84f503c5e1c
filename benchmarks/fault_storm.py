"""Cameras and file jobs while everything around them breaks: what must hold holds all the same.

    python -m benchmarks.fault_storm [--minutes 20] [--seed 1] [--cameras 4] [--files 2] [--json FILE]

Workers are killed and paused (for longer than their leases live, too), Redis is restarted and paused, with and without
persistence, cameras are cut and silenced, the disk is full once. Then a checker that knows what became of every frame
looks: file jobs have ended, with the results of an undisturbed run; cameras are live, nothing came twice or out of
order; in calm stretches nothing is missing; nothing is left behind. Exit code 1 if anything does not hold.

Needs GStreamer's RTSP server (tests/rtsp_server.py says how to install it) and a redis-server.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import shutil
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

from benchmarks.machine import machine
from benchmarks.storm.checks import Looked, camera_faults, file_faults, left_behind, lines
from benchmarks.storm.fates import account, read_fates
from benchmarks.storm.faults import Storm, beside
from benchmarks.storm.runs import END_SECONDS, Run
from benchmarks.storm.world import LOOP_SECONDS, RedisServer, free_port, small_disk, write_clip

_JOB_SECONDS, _JOB_TIMES = 240.0, 8.0
"""A file job that takes longer than this, and than so many times the undisturbed one, has hung."""
_LIVE_SECONDS, _LIVE_FRAMES = 30.0, 20
"""After the storm every camera gives so many frames within this."""
_BEGIN_SECONDS = 60.0
"""The storm waits so long for the cameras' first frames."""


_AROUND_SECONDS = 300.0
"""How much longer than the storm cameras show something: before it begins, and until the last file job has ended."""
_CAMERAS = "storm-cameras"
_NOBODY_THERE = "check that it runs and that the address is right"


class Trial:
    """One storm, from its servers to its report."""

    def __init__(self, folder: Path, cameras: int, files: int) -> None:
        self.folder, self.files = folder, files
        self.names = [f"camera{number}" for number in range(cameras)]
        self.kept = RedisServer(folder / "redis-kept", persistent=True)
        self.forgets = RedisServer(folder / "redis-forgets", persistent=False)
        self.jobs: list[dict[str, Any]] = []
        self._job_seconds = _JOB_SECONDS
        self.faults: list[str] = []
        self._pids: set[int] = set()
        self._runs: dict[str, Run] = {}
        self._clip = folder / "clip.mp4"

    def run(self, seconds: float, seed: int, calm_seconds: float) -> dict[str, Any]:
        """Let a storm rage for so long. Returns its report."""
        write_clip(self._clip, 3 * LOOP_SECONDS)
        with contextlib.ExitStack() as stack:
            for server in (self.kept, self.forgets):
                server.start()
                stack.callback(server.kill)
            cameras = self._cameras(stack, seconds + _AROUND_SECONDS)
            self._reference()
            watched = self._start(_CAMERAS, {n: c.url for n, c in zip(self.names, cameras, strict=True)})
            stack.callback(lambda: watched.process and watched.process.kill())
            self._until_seen(_BEGIN_SECONDS)
            storm = Storm(seed, self._under_way, self.kept, self.forgets, cameras, calm_seconds=calm_seconds)
            with contextlib.ExitStack() as jobs:
                for number in range(self.files):
                    jobs.enter_context(beside(lambda over, number=number: self._job(number, over)))
                storm.rage(seconds)
            report = self._concluded(storm, watched)
        self.faults += left_behind(self._pids, {run.name for run in self._runs.values()}, self.folder)
        return {**report, "faults": Counter(each["fault"] for each in storm.done), "failures": self.faults}

    def _cameras(self, stack: contextlib.ExitStack, seconds: float) -> list[Any]:
        """Start them, each with so much to show: the server stands still for some seconds where a file begins again."""
        from tests.rtsp_server import RtspServer, missing_parts

        if missing := missing_parts():
            sys.exit(f"no RTSP server: {missing}; see tests/rtsp_server.py for what to install")
        film = self.folder / "film.mp4"
        write_clip(film, seconds)
        cameras = [RtspServer(str(film), free_port(), "", "", False, 0) for _ in self.names]
        for camera in cameras:
            camera.start()
            stack.callback(camera.stop)
        return cameras

    def _reference(self) -> None:
        self.reference = self.folder / "reference" / "out"
        run = Run("storm-reference", {"clip": str(self._clip)}, self.kept.url, self.reference, files=True)
        begin = time.monotonic()
        run.start()
        if self._waited(run) != 0:
            raise RuntimeError(f"the undisturbed run failed:\n{run.log.read_text()}")
        self._job_seconds = max(_JOB_SECONDS, _JOB_TIMES * (time.monotonic() - begin))

    def _start(self, name: str, sources: dict[str, str]) -> Run:
        run = self._runs[name] = Run(name, sources, self.forgets.url, self.folder / "cameras" / "out", files=False)
        run.start()
        return run

    def _under_way(self) -> list[Run]:
        runs = [run for run in self._runs.values() if run.ended is None]
        for run in runs:
            self._pids.update(run.all_processes())
        return runs

    def _job(self, number: int, over: threading.Event) -> None:
        """One file job after the other; the first one of all meets a full disk."""
        if number == 0:
            with small_disk(self.folder / "small") as disk:
                if disk is not None:
                    self._full_disk(disk)
        attempt = 0
        while not over.is_set():
            output = self.folder / "jobs" / f"{number}-{attempt}"
            name = f"storm-file{number}"
            run = self._runs[name] = Run(name, {"clip": str(self._clip)}, self.kept.url, output, files=True)
            run.start()
            code = self._waited(run)
            job = {"job": name, "attempt": attempt, "seconds": run.summary().get("seconds", 0.0)}
            attempt += 1
            if code == 2 and _NOBODY_THERE in run.last_words():  # it began while its server was away, and says so
                self.jobs.append({**job, "refused": True, "failures": []})
                continue
            failures = [f"ended with {code}: {run.last_words()}"] if code else list(file_faults(output, self.reference))
            if code is None:
                failures = [f"hung: {run.last_words()}"]
            self.jobs.append({**job, "failures": failures})
            self.faults += [f"{name}, {job['attempt']}: {failure}" for failure in failures]

    def _full_disk(self, disk: Path) -> None:
        name = "storm-full-disk"
        run = self._runs[name] = Run(name, {"clip": str(self._clip)}, self.kept.url, disk / "out", files=True)
        run.start()
        code = self._waited(run)
        self.jobs.append({"job": name, "exit_code": code})
        if code != 2 or "space" not in run.log.read_text():
            self.faults.append(f"{name}: ended with {code} and without a word of the full disk")

    def _waited(self, run: Run) -> int | None:
        """The exit code of a run; None of one that hung and was killed."""
        deadline = time.monotonic() + self._job_seconds
        while run.ended is None and time.monotonic() < deadline:
            time.sleep(0.1)
        if run.ended is None and run.process is not None:
            run.process.kill()
            run.process.wait()
            return None
        return run.ended

    def _concluded(self, storm: Storm, watched: Run) -> dict[str, Any]:
        """Whether the cameras live; then end them, and look at what they leave."""
        if watched.ended is not None:
            self.faults.append(f"the cameras' run ended with {watched.ended}: {watched.last_words()}")
        self.faults += [f"{name}: dead after the storm" for name in self._until_seen(_LIVE_SECONDS)]
        self._under_way()
        took = watched.terminate() if watched.ended is None else 0.0
        if took > END_SECONDS:
            self.faults.append(f"SIGTERM took {took:.1f} s")
        looked = Looked()
        for name in self.names:
            self.faults += camera_faults(name, watched.output, storm.calm, looked)
        return {
            "jobs": self.jobs,
            "cameras": {name: self._fates(name, watched) for name in self.names},
            "calm_stretches": vars(looked),
            "calm_seconds": round(sum(end - begin for begin, end in storm.calm), 1),
            "ended_after_seconds": round(took, 1),
            "log": storm.done,
        }

    def _ledger(self, name: str) -> list[Any]:
        return lines(self.folder / "cameras" / "out" / f"{name}.ledger.jsonl")

    def _until_seen(self, seconds: float) -> list[str]:
        """Wait until every camera has given some more frames. Returns those that have not in time."""
        before = {name: len(self._ledger(name)) for name in self.names}
        deadline = time.monotonic() + seconds
        while True:
            late = [name for name in self.names if len(self._ledger(name)) < before[name] + _LIVE_FRAMES]
            if not late or time.monotonic() > deadline:
                return late
            time.sleep(0.5)

    def _fates(self, name: str, watched: Run) -> dict[str, Any]:
        """What became of a camera's messages; a fault for any of which that is not known."""
        ledger = self._ledger(name)
        why, unknown = account(ledger, read_fates(watched.log, name))
        if unknown:
            self.faults.append(f"{name}: {len(unknown)} messages are missing, and nothing says why: {unknown[:5]}")
        return {
            "processed": sum(isinstance(line[2], int) for line in ledger),
            "gaps": Counter(line[2] for line in ledger if not isinstance(line[2], int)),
            "numberings": len({line[0] for line in ledger}),
            "missing": sum(why.values()) + len(unknown),
            "dropped": why,
            "not_accounted_for": len(unknown),
            "events": len(lines(watched.output / f"{name}.motion.jsonl")),
        }


def storm(
    seconds: float, seed: int, cameras: int, files: int, calm_seconds: float = 50.0, keep: Path | None = None
) -> dict[str, Any]:
    """Let a storm rage. Returns its report, in which ``failures`` is empty if everything held; if not, what the run of
    cameras left is copied to `keep`.
    """
    with tempfile.TemporaryDirectory(prefix="raftline-storm-") as folder:
        report = Trial(Path(folder), cameras, files).run(seconds, seed, calm_seconds)
        if report["failures"] and keep is not None:
            shutil.copytree(Path(folder) / "cameras", keep, dirs_exist_ok=True)
    return {"seconds": seconds, "seed": seed, "held": not report["failures"], **report}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=20.0, help="how long the storm rages")
    parser.add_argument("--seed", type=int, default=1, help="of the order of the faults")
    parser.add_argument("--cameras", type=int, default=4, help="number of cameras")
    parser.add_argument("--files", type=int, default=2, help="file jobs at a time")
    parser.add_argument("--keep", type=Path, help="where logs, ledgers and events of cameras go if anything failed")
    parser.add_argument("--json", type=Path, help="also write the report to this file")
    arguments = parser.parse_args()
    about = machine()
    report = storm(60 * arguments.minutes, arguments.seed, arguments.cameras, arguments.files, keep=arguments.keep)
    told = {key: value for key, value in report.items() if key != "log"}
    print(json.dumps(told, indent=2))
    if arguments.json:
        arguments.json.write_text(json.dumps({"machine": about, **report}, indent=1) + "\n")
    sys.exit(0 if report["held"] else 1)


if __name__ == "__main__":
    main()

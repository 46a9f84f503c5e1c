"""Everything that only a GPU can show, by one command: kernels, tests, speed, memory, profile.

    python -m benchmarks.gpu_check --minutes 6 --out DIR [--dry] [--only PART]

Each part runs in a process of its own, with its own limit: one that hangs or crashes does not end the others. What a
part finds is in DIR/results.json as soon as it is known. Run again with the same DIR, the parts that are whole are left
out, and the others go on. DIR/log.txt has what they printed.

--dry runs every line on the CPU with tiny sizes. `python -m benchmarks.gpu_results DIR` puts the results into the
documentation. docs/gpu.md has the command for the day.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.gpu.plan import PARTS, Part

ROOT = Path(__file__).resolve().parent.parent
_LEAST_SECONDS = 8
"""A part is not begun with less time: to load torch takes about that. Chosen by hand."""
_ATTEMPTS = 6
"""Processes for one part in one run, as long as each gets further than the one before. Chosen by hand."""
_LOOK_SECONDS = 0.25
"""How often a part's file is looked at."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=6, help="for all parts together")
    parser.add_argument("--out", type=Path, required=True, help="folder for the results")
    names = [part.name for part in PARTS]
    parser.add_argument("--only", choices=names, action="append", help="a part; may be given several times")
    parser.add_argument("--device", help="cuda if not given; cpu with --dry")
    parser.add_argument("--dry", action="store_true", help="every line on the CPU, with tiny sizes")
    arguments = parser.parse_args()
    device = arguments.device or ("cpu" if arguments.dry else "cuda")
    check = Check(arguments.out, 60 * arguments.minutes, device, arguments.dry)
    check.run([part for part in PARTS if part.name in (arguments.only or part.name)])
    raise SystemExit(0 if check.all_well else 1)


class Check:
    """One run: results gathered in one file."""

    def __init__(self, out: Path, seconds: float, device: str, dry: bool) -> None:
        out.mkdir(parents=True, exist_ok=True)
        self._out, self._device, self._dry = out, device, dry
        self._end = time.monotonic() + seconds
        self._file = out / "results.json"
        self._results: dict[str, Any] = json.loads(self._file.read_text()) if self._file.is_file() else {}
        self._results |= {"device": device, "dry": dry}
        self._results.setdefault("parts", {})

    @property
    def all_well(self) -> bool:
        """Whether every part is whole and none of their cases failed."""
        parts = self._results["parts"].values()
        return all(part["state"] == "whole" and not part.get("result", {}).get("failed") for part in parts)

    def run(self, parts: list[Part]) -> None:
        """Those that are not whole yet, one after the other."""
        for part in parts:
            entry = self._results["parts"].setdefault(part.name, {"state": "not begun", "seconds": 0.0})
            if entry["state"] == "whole":
                print(f"{part.name}: whole already", flush=True)
                continue
            if self._end - time.monotonic() < _LEAST_SECONDS:
                print(f"{part.name}: no time left", flush=True)
            else:
                self._run(part, entry)
            self._write()

    def _run(self, part: Part, entry: dict[str, Any]) -> None:
        limit = min(part.seconds, self._end - time.monotonic())
        begin = time.monotonic()
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder, f"{part.name}.json")
            if "result" in entry:
                file.write_text(json.dumps(entry["result"]))
            for _ in range(_ATTEMPTS):
                before = entry.get("result")
                entry["state"] = self._attempt(part, entry, file, begin + limit)
                if entry["state"] != "failed" or entry.get("result") == before:
                    break
        entry["seconds"] = round(entry["seconds"] + time.monotonic() - begin, 1)
        print(f"{part.name}: {entry['state']}, {time.monotonic() - begin:.1f} s", flush=True)

    def _attempt(self, part: Part, entry: dict[str, Any], file: Path, until: float) -> str:
        """Run it once, and say how it ended: whole, failed or cut."""
        command = part.command(self._device, self._dry, str(file), str(self._out))
        with (self._out / "log.txt").open("ab") as log:
            log.write(f"\n==== {part.name}: {' '.join(command[1:])}\n".encode())
            log.flush()
            environment = {**os.environ, "PYTHONUNBUFFERED": "1", "COLUMNS": "140"}
            child = subprocess.Popen(
                command, cwd=ROOT, stdout=log, stderr=subprocess.STDOUT, start_new_session=True, env=environment
            )
            try:
                state = self._watch(child, entry, file, until)
            finally:
                _stop(child)
        self._take(entry, file)
        if state == "failed":
            entry["said"] = _last_lines(self._out / "log.txt")
            print(f"{part.name} failed:\n{entry['said']}", flush=True)
        else:
            entry.pop("said", None)
        return state

    def _watch(self, child: subprocess.Popen[bytes], entry: dict[str, Any], file: Path, until: float) -> str:
        while True:
            self._take(entry, file)
            try:
                return "failed" if child.wait(_LOOK_SECONDS) else "whole"
            except subprocess.TimeoutExpired:
                if time.monotonic() > until:
                    return "cut"

    def _take(self, entry: dict[str, Any], file: Path) -> None:
        """What the part has written so far, into the file of all results."""
        found = json.loads(file.read_text()) if file.is_file() else None
        if found is not None and found != entry.get("result"):
            entry["result"] = found
            self._write()

    def _write(self) -> None:
        aside = self._file.with_suffix(".part")
        aside.write_text(json.dumps(self._results, indent=1) + "\n")
        os.replace(aside, self._file)


def _stop(child: subprocess.Popen[bytes]) -> None:
    """End it and what it started; that is its own process group."""
    try:
        os.killpg(child.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
    child.wait()


def _last_lines(log: Path) -> str:
    return "\n".join(log.read_text(errors="replace").splitlines()[-25:])


if __name__ == "__main__":
    main()

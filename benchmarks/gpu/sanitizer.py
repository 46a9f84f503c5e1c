"""The smoke under compute-sanitizer: bad addresses, races, misplaced barriers.

python -m benchmarks.gpu.sanitizer --json FILE
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.gpu.arguments import parse
from benchmarks.gpu.case_file import CaseFile

TOOLS = ("memcheck", "racecheck", "synccheck")
_FOUND = 99
"""Exit code that the sanitizer is told to give where it found something: the smoke has none like it."""


def main() -> None:
    arguments = parse(__doc__)
    results = CaseFile(arguments.json)
    program = shutil.which("compute-sanitizer") or shutil.which("/usr/local/cuda/bin/compute-sanitizer")
    for tool in TOOLS:
        results.run(tool, lambda tool=tool: checked(program, tool, arguments.device))


def checked(program: str | None, tool: str, device: str) -> dict[str, Any]:
    """What one tool says of the smoke.

    Raises:
        RuntimeError: it found something, or the smoke failed under it; with what was said.
    """
    if program is None:
        return {"left_out": "compute-sanitizer is not on the PATH; it comes with the CUDA toolkit"}
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "smoke.json")
        own = [sys.executable, "-m", "benchmarks.gpu.smoke", "--device", device, "--json", str(file), "--keep", folder]
        command = [program, "--tool", tool, "--error-exitcode", str(_FOUND), *own]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        print(done.stdout[-4000:], done.stderr[-4000:])
        smoke = json.loads(file.read_text()) if file.is_file() else {"cases": {}, "failed": {}}
    said = [line for line in (done.stdout + done.stderr).splitlines() if line.startswith("=========")]
    summary = next((line for line in reversed(said) if re.search(r"SUMMARY", line)), "no summary")
    if done.returncode != 0 or smoke["failed"]:
        raise RuntimeError("\n".join([summary, *said[:40], *smoke["failed"].values()])[:3000])
    return {"summary": summary.strip("= "), "cases": len(smoke["cases"])}


if __name__ == "__main__":
    main()

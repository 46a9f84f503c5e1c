"""The tests marked gpu, a process for each file, so that a fault of the GPU in one does not fail the others.

    python -m benchmarks.gpu.gpu_tests --json FILE [--tiny]

pytest is needed; without it the part says so and the other parts go on.
"""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

from benchmarks.gpu.arguments import parse
from benchmarks.gpu.case_file import CaseFile

ROOT = Path(__file__).resolve().parents[2]
_MARK = re.compile(r"^(@pytest\.mark\.gpu|pytestmark = pytest\.mark\.gpu)", re.MULTILINE)
_SECONDS = 45
"""For one file. Chosen by hand."""
# No option of pyproject.toml: some of the plug-ins that they name may not be installed.
_OPTIONS = ["-c", "/dev/null", "--rootdir", ".", "-p", "no:cacheprovider", "-m", "gpu", "-q", "-rf", "--tb=short"]


def main() -> None:
    arguments = parse(__doc__)
    results = CaseFile(arguments.json)
    if importlib.util.find_spec("pytest") is None:
        results.run("pytest", lambda: {"left_out": "pytest is not installed; carry its wheel (docs/gpu.md)"})
        return
    files = marked_files(ROOT / "tests")
    for file in files[:1] if arguments.tiny else files:
        results.run(file, lambda file=file: run_file(file))


def marked_files(folder: Path) -> list[str]:
    """Test files with tests marked gpu, below the project's folder."""
    found = (path for path in sorted(folder.rglob("test_*.py")) if _MARK.search(path.read_text()))
    return [str(path.relative_to(ROOT)) for path in found]


def run_file(file: str) -> dict[str, Any]:
    """How many passed, failed and were skipped.

    Raises:
        RuntimeError: a test failed, or the file could not be run; with the end of what pytest said.
        TimeoutExpired: it did not end.
    """
    command = [sys.executable, "-m", "pytest", *_OPTIONS, file]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=_SECONDS, check=False)
    print(done.stdout[-6000:], done.stderr[-2000:])
    counts = counted(done.stdout)
    if done.returncode != 0:
        failed = "\n".join(line for line in done.stdout.splitlines() if line.startswith(("FAILED", "ERROR")))
        raise RuntimeError(f"{counts}\n{failed or done.stdout[-800:] + done.stderr[-800:]}")
    return counts


def counted(said: str) -> dict[str, int]:
    """The numbers in pytest's last line."""
    last = said.strip().splitlines()[-1] if said.strip() else ""
    return {what: int(number) for number, what in re.findall(r"(\d+) (passed|failed|skipped|errors?)", last)}


if __name__ == "__main__":
    main()

"""Parts of a check that hang, crash or are cut: what was found is kept, and the others go on."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from benchmarks.gpu.case_file import CaseFile
from benchmarks.gpu.plan import Part
from benchmarks.gpu_check import Check

PROGRAM = """
import os, sys, time
from pathlib import Path
from benchmarks.gpu.case_file import CaseFile

def fail(): raise ValueError("a wrong figure")
def lose(): raise RuntimeError("CUDA error: an illegal memory access was encountered")
def crash(): os.kill(os.getpid(), 9)
def hang(): time.sleep(600)
Path("{folder}", "begun.txt").open("a").write(f"{{os.getpid()}} {{sys.argv[0]}}\\n")
file = CaseFile(Path(sys.argv[sys.argv.index("--json") + 1]))
for number, name in enumerate("{cases}".split()):
    file.run(f"{{name}} {{number}}", {{"fail": fail, "lose": lose, "crash": crash, "hang": hang}}.get(name, lambda: 7))
"""


@pytest.fixture
def part(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Makes a part whose cases do as their names say."""
    root = Path(__file__).resolve().parents[3]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), str(root)]))

    def make(name: str, cases: str, seconds: float = 20) -> Part:
        (tmp_path / f"part_{name}.py").write_text(PROGRAM.format(cases=cases, folder=tmp_path))
        return Part(name, f"part_{name}", seconds)

    return make


def found(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "results.json").read_text())["parts"]


def run(folder: Path, *parts: Part) -> Check:
    check = Check(folder / "out", 60, "cpu", dry=True)
    check.run(list(parts))
    return check


def test_one_that_hangs_is_cut_and_keeps_what_it_found(part: Any, tmp_path: Path) -> None:
    check = run(tmp_path, part("first", "good hang", seconds=1.5), part("second", "good"))
    parts = found(tmp_path / "out")
    assert parts["first"]["state"] == "cut" and parts["first"]["result"]["cases"] == {"good 0": 7}
    assert parts["second"]["state"] == "whole" and not check.all_well


@pytest.mark.parametrize("ends", ["crash", "lose"])
def test_after_a_crash_a_new_process_goes_on_with_the_next_case(part: Any, tmp_path: Path, ends: str) -> None:
    check = run(tmp_path, part("first", f"good {ends} good fail"))
    first = found(tmp_path / "out")["first"]
    assert first["state"] == "whole" and not check.all_well
    assert first["result"]["cases"] == {"good 0": 7, "good 2": 7}
    assert set(first["result"]["failed"]) == {f"{ends} 1", "fail 3"}
    assert first["result"]["failed"]["fail 3"] == "ValueError: a wrong figure"


def test_what_is_whole_is_not_run_again(part: Any, tmp_path: Path) -> None:
    first, second = part("first", "good"), part("second", "good hang", seconds=1)
    run(tmp_path, first, second)
    again = part("second", "good good")
    assert run(tmp_path, first, again).all_well is False  # the case that hung was noted
    begun = (tmp_path / "begun.txt").read_text()
    assert begun.count("part_first") == 1 and begun.count("part_second") == 2
    assert found(tmp_path / "out")["second"]["result"]["cases"] == {"good 0": 7, "good 1": 7}


def test_a_run_that_is_killed_leaves_what_was_known(part: Any, tmp_path: Path) -> None:
    part("first", "good hang")
    text = (
        "import sys; from pathlib import Path\n"
        "from benchmarks.gpu.plan import Part; from benchmarks.gpu_check import Check\n"
        "Check(Path(sys.argv[1]), 60, 'cpu', True).run([Part('first', 'part_first', 50)])"
    )
    child = subprocess.Popen([sys.executable, "-c", text, str(tmp_path / "out")], stdout=subprocess.DEVNULL)
    file, begin = tmp_path / "out" / "results.json", time.monotonic()
    while not (file.is_file() and "good 0" in file.read_text()) and time.monotonic() - begin < 60:
        time.sleep(0.05)
    child.send_signal(signal.SIGKILL)
    child.wait()
    try:
        assert found(tmp_path / "out")["first"]["result"]["cases"] == {"good 0": 7}
    finally:
        # The part outlives the one that was killed, which no longer can end it.
        os.kill(int((tmp_path / "begun.txt").read_text().split()[0]), signal.SIGKILL)


def test_a_case_that_was_begun_and_not_ended_is_not_tried_again(tmp_path: Path) -> None:
    path = tmp_path / "cases.json"
    path.write_text(json.dumps({"cases": {"one": 1}, "failed": {}, "begun": "two"}))
    file = CaseFile(path, machine="here")
    assert file.run("one", lambda: 2) == 1
    assert file.run("two", lambda: 2) is None
    assert file.run("three", lambda: 3) == 3
    written = json.loads(path.read_text())
    assert written["cases"] == {"one": 1, "three": 3} and set(written["failed"]) == {"two"}
    assert written["machine"] == "here" and "begun" not in written

"""How many small faults in `pipeline/` its tests notice.

    python -m benchmarks.mutations --each 10 --seed 1

Needs ``pip install cosmic-ray``. Each fault is one change of an operator, a number or a word, made by cosmic-ray in a
copy of the checkout, where the tests of that module then run. A fault that they do not notice survives, and is listed
with its line: either a test is missing, or the change means nothing (`benchmarks/results/mutations.json` says which, in
its key ``explained``). Modules that are not asked for keep what the file has of them.
"""

from __future__ import annotations

import argparse
import difflib
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks.machine import machine

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "benchmarks" / "results" / "mutations.json"
_RUNTIME = "tests/pipeline/runtime"
TESTS: dict[str, list[str]] = {
    "pipeline/codec.py": ["tests/pipeline/test_codec.py", "tests/pipeline/test_wire_format.py"],
    "pipeline/message_checks.py": ["tests/pipeline/test_message_checks.py"],
    "pipeline/redaction.py": ["tests/pipeline/test_redaction.py"],
    "pipeline/payload/ring_space.py": ["tests/pipeline/payload"],
    "pipeline/payload/shared_memory.py": ["tests/contracts", "tests/pipeline/payload"],
    "pipeline/transport/keys.py": ["tests/pipeline/transport/test_keys.py", "tests/contracts"],
    "pipeline/transport/memory.py": ["tests/contracts"],
    "pipeline/transport/redis_streams.py": [
        "tests/pipeline/transport/test_redis_streams.py",
        "tests/contracts/test_transport.py",
        "tests/pipeline/transport/test_redis_connection.py",
    ],
    "pipeline/runtime/cores.py": [f"{_RUNTIME}/test_cores.py"],
    "pipeline/runtime/entries.py": [f"{_RUNTIME}/test_entries.py", f"{_RUNTIME}/test_stage_task.py"],
    "pipeline/runtime/inbox.py": [f"{_RUNTIME}/test_inbox.py", f"{_RUNTIME}/test_stage_task.py"],
    "pipeline/runtime/intake.py": [f"{_RUNTIME}/test_stage_task.py", f"{_RUNTIME}/test_turns.py"],
    "pipeline/runtime/keeping.py": [f"{_RUNTIME}/test_keeping.py", f"{_RUNTIME}/test_stage_task.py"],
    "pipeline/runtime/metrics.py": [f"{_RUNTIME}/test_stage_task.py", f"{_RUNTIME}/test_http_status.py"],
    "pipeline/runtime/outage.py": [f"{_RUNTIME}/test_outage.py"],
    "pipeline/runtime/output_lock.py": [f"{_RUNTIME}/test_output_lock.py", f"{_RUNTIME}/test_outputs_in_work.py"],
    "pipeline/runtime/ownership.py": [f"{_RUNTIME}/test_ownership.py"],
    "pipeline/runtime/publisher.py": [
        f"{_RUNTIME}/test_publisher.py",
        f"{_RUNTIME}/test_stage_task.py",
        f"{_RUNTIME}/test_in_process.py",
    ],
    "pipeline/runtime/source_task.py": [f"{_RUNTIME}/test_source_task.py", f"{_RUNTIME}/test_turns.py"],
    "pipeline/runtime/stage_task.py": [
        f"{_RUNTIME}/test_stage_task.py",
        f"{_RUNTIME}/test_keeping.py",
        f"{_RUNTIME}/test_turns.py",
    ],
    "pipeline/runtime/step_queue.py": [f"{_RUNTIME}/test_stage_task.py"],
    "pipeline/runtime/turns.py": [f"{_RUNTIME}/test_turns.py"],
    "pipeline/runtime/watchdog.py": [f"{_RUNTIME}/test_watchdog.py"],
}
"""Modules on which a promise to users rests, and the tests that should notice a fault in each."""
_OPERATORS = (
    *("ReplaceComparisonOperator_Lt_LtE", "ReplaceComparisonOperator_LtE_Lt", "ReplaceComparisonOperator_Gt_GtE"),
    *("ReplaceComparisonOperator_GtE_Gt", "ReplaceComparisonOperator_Eq_NotEq", "ReplaceComparisonOperator_NotEq_Eq"),
    *("ReplaceComparisonOperator_Is_IsNot", "ReplaceComparisonOperator_IsNot_Is", "ReplaceAndWithOr"),
    *("ReplaceOrWithAnd", "AddNot", "ReplaceTrueWithFalse", "ReplaceFalseWithTrue", "NumberReplacer"),
    *("ZeroIterationForLoop", "ReplaceBreakWithContinue", "ReplaceContinueWithBreak"),
    *("ReplaceBinaryOperator_Add_Sub", "ReplaceBinaryOperator_Sub_Add", "ReplaceBinaryOperator_Mul_Div"),
)
"""Those of cosmic-ray whose changes a reader could make by mistake."""
_LIMIT_SECONDS = 600.0
"""For the tests of a module without a fault."""
_AT_LEAST_SECONDS, _TIMES = 20.0, 3.0
"""Tests that take longer than this, and than so many times what they take without a fault, hang: they notice it."""


@dataclass(frozen=True)
class Fault:
    """One small change."""

    module: str
    line: int
    before: str
    after: str
    text: str
    """Of the whole module, changed."""


def faults(module: str, text: str) -> list[Fault]:
    """All that the operators can make of a module's text, each once."""
    from cosmic_ray.mutating import mutate_code  # type: ignore[import-not-found]
    from cosmic_ray.plugins import get_operator  # type: ignore[import-not-found]

    found: dict[str, Fault] = {}
    for name in _OPERATORS:
        operator, occurrence = get_operator(f"core/{name}")(), 0
        while (changed := mutate_code(text, operator, occurrence)) is not None:
            occurrence += 1
            line, before, after = _difference(text, changed)
            if before != after:
                found.setdefault(changed, Fault(module, line, before, after, changed))
    return list(found.values())


def _difference(text: str, changed: str) -> tuple[int, str, str]:
    """Line number, and the first line that differs, before and after."""
    old, new = text.splitlines(), changed.splitlines()
    for tag, first, last, begin, end in difflib.SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        if tag != "equal":
            return first + 1, " ".join(old[first:last]).strip(), " ".join(new[begin:end]).strip()
    return 0, "", ""


class Copy:
    """A copy of the checkout, in which files may be spoiled."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._limit_seconds = _LIMIT_SECONDS
        listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True).stdout
        for name in filter(None, listed.decode().split("\0")):
            if (ROOT / name).is_file():
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(ROOT / name, folder / name, follow_symlinks=False)

    def text(self, module: str) -> str:
        """Of a module, whole."""
        return (self._folder / module).read_text()

    def passes_whole(self, module: str) -> bool:
        """Whether the tests of a module pass without a fault; notes how long they take."""
        self._limit_seconds = _LIMIT_SECONDS
        begin = time.monotonic()
        passes = self.passes(module)
        self._limit_seconds = _AT_LEAST_SECONDS + _TIMES * (time.monotonic() - begin)
        return passes

    def notices(self, fault: Fault) -> bool:
        """Whether the tests of the module fail with the fault in it."""
        path = self._folder / fault.module
        whole = self.text(fault.module)
        path.write_text(fault.text)
        try:
            return not self.passes(fault.module)
        finally:
            path.write_text(whole)

    def passes(self, module: str) -> bool:
        """Whether the tests of a module pass. Those that hang do not."""
        flags = ["-q", "-x", "-p", "no:cacheprovider", "-p", "no:xdist", "-m", "not slow"]
        tests = [name for name in TESTS[module] if (self._folder / name).exists()]
        environment = {**os.environ, "PYTHONPATH": str(self._folder), "PYTHONDONTWRITEBYTECODE": "1"}
        process = subprocess.Popen(
            [sys.executable, "-m", "pytest", *flags, *tests],
            cwd=self._folder,
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            return process.wait(self._limit_seconds) == 0
        except subprocess.TimeoutExpired:
            return False
        finally:
            _kill_group(process)


def _kill_group(process: subprocess.Popen[bytes]) -> None:
    try:
        os.killpg(process.pid, 9)
    except ProcessLookupError:
        pass
    process.wait()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--each", type=int, default=10, help="faults tried per module; 0: all")
    parser.add_argument("--seed", type=int, default=1, help="which of them")
    parser.add_argument("--module", action="append", choices=sorted(TESTS), help="this one alone; may be repeated")
    parser.add_argument("--json", type=Path, default=RESULTS, help="where the result goes")
    asked = parser.parse_args()
    earlier = json.loads(asked.json.read_text()) if asked.json.exists() else {}
    modules: dict[str, Any] = dict(earlier.get("modules", {}))
    tried: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as folder:
        copy = Copy(Path(folder))
        for module in asked.module or TESTS:
            modules[module] = {"seed": asked.seed, **_try(copy, module, asked.each, asked.seed)}
            tried.append(modules[module])
            told = {"machine": machine(), "modules": modules, "explained": earlier.get("explained", {})}
            asked.json.write_text(json.dumps(told, indent=2) + "\n")
    print(f"{sum(each['noticed'] for each in tried)} of {sum(each['tried'] for each in tried)} faults noticed")


def _try(copy: Copy, module: str, each: int, seed: int) -> dict[str, Any]:
    if not copy.passes_whole(module):
        raise SystemExit(f"{module}: its tests fail without a fault; mend them first")
    found = faults(module, copy.text(module))
    tried = random.Random(seed).sample(found, min(each or len(found), len(found)))
    survivors = []
    for fault in tried:
        if not copy.notices(fault):
            survivors.append({name: value for name, value in asdict(fault).items() if name not in ("text", "module")})
            print(f"survives: {module}:{fault.line}: {fault.before}  ->  {fault.after}", flush=True)
    print(f"{module}: {len(tried) - len(survivors)} of {len(tried)} noticed ({len(found)} possible)", flush=True)
    return {"possible": len(found), "tried": len(tried), "noticed": len(tried) - len(survivors), "survivors": survivors}


if __name__ == "__main__":
    main()

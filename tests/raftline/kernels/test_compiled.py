"""Compilation at the first call, with and without a place to keep its result."""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from raftline.kernels.compiled import compiled

numba = pytest.importorskip("numba")


def add(a: int, b: int) -> int:
    return a + b


def test_a_kernel_runs_where_no_cache_can_be_written(monkeypatch: pytest.MonkeyPatch) -> None:
    original = numba.njit

    def without_a_place(*arguments: Any, **options: Any) -> Any:
        if options.get("cache"):
            raise RuntimeError("cannot cache function 'add': no locator available for file 'x.py'")
        return original(*arguments, **options)

    monkeypatch.setattr(numba, "njit", without_a_place)
    assert compiled(add)(2, 3) == 5


def test_threads_that_call_first_compile_a_kernel_once(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[dict[str, Any]] = []
    original = numba.njit
    monkeypatch.setattr(numba, "njit", lambda **options: (asked.append(options), original(**options))[1])
    kernel = compiled(fastmath={"contract"})(add)
    assert asked == []
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(kernel, range(20), range(20))) == list(range(0, 40, 2))
    assert [(one["fastmath"], one["nogil"]) for one in asked] == [({"contract"}, True)]


def test_importing_the_kernels_and_the_network_compiles_nothing() -> None:
    code = (
        "import sys, raftline.kernels.lookup, raftline.kernels.lookup_on_demand, raftline.flow.session; "
        "print([name for name in ('numba', 'cupy') if name in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"


def test_what_readies_numba_before_a_fork_starts_no_thread_and_later_no_compiler(tmp_path: Path) -> None:
    code = (
        "import os, sys, raftline.kernels.readied; "
        "print(len(os.listdir('/proc/self/task')), 'numba.np.linalg' in sys.modules)"
    )
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path), "OPENBLAS_NUM_THREADS": "1"}
    compiling, loading = (
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment).stdout
        for _ in range(2)
    )
    assert compiling.strip() == "1 True"
    assert loading.strip() == "1 False"


_CALLED = """
from raftline.kernels.compiled import compiled

@compiled
def grow(value):
    return value {how}
"""
_CALLING = """
from called import grow
from raftline.kernels.compiled import compiled

@compiled
def grown_twice(value):
    return grow(grow(value))

print(grown_twice(5))
"""


def test_a_kernel_calls_kernels_of_other_files_and_follows_their_changes(tmp_path: Path) -> None:
    (tmp_path / "calling.py").write_text(_CALLING)
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path / "cache")}
    command = [sys.executable, str(tmp_path / "calling.py")]
    for how, grown in (("+ 1", "7"), ("+ 1", "7"), ("* 3 + 0", "45")):
        (tmp_path / "called.py").write_text(_CALLED.format(how=how))
        result = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
        assert result.stdout.strip() == grown

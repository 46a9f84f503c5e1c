"""Compilation at first use, with and without a place to keep its result."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest

from stages.kernels.compiled import compiled

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


def test_importing_the_kernels_and_the_network_compiles_nothing() -> None:
    code = (
        "import sys, stages.kernels.lookup, stages.kernels.lookup_on_demand, stages.raft.session; "
        "print([name for name in ('numba', 'cupy') if name in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"

"""Compiled kernels load quickly: none of them brings in numba's linear algebra, and scipy.linalg with it."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
REDUCTIONS = {"sum", "mean", "max", "min", "any", "all", "argmax", "argmin", "std", "var", "cumsum", "dot", "median"}
"""Of arrays, as methods or functions of NumPy: they take numba.np.arraymath, 0.2 CPU seconds of each worker."""


def kernels(tree: ast.AST) -> Iterator[ast.FunctionDef]:
    """Functions that are decorated with `compiled`, with or without options."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef):
            names = [each.func if isinstance(each, ast.Call) else each for each in node.decorator_list]
            if any(isinstance(name, ast.Name) and name.id == "compiled" for name in names):
                yield node


@pytest.mark.parametrize("folder", ["raftline", "stages"])
def test_kernels_spell_out_sums_over_arrays(folder: str) -> None:
    found = [
        f"{path.relative_to(ROOT)}:{call.lineno} {ast.unparse(call)}"
        for path in sorted((ROOT / folder).rglob("*.py"))
        for kernel in kernels(ast.parse(path.read_text()))
        for call in ast.walk(kernel)
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute) and call.func.attr in REDUCTIONS
    ]
    assert found == []

"""Every promise of the pipeline has a test that is there: ``promises.yaml`` beside this file lists them."""

from __future__ import annotations

import ast
from pathlib import Path

import yaml

TESTS = Path(__file__).parents[1]
PROMISES = yaml.safe_load((Path(__file__).with_name("promises.yaml")).read_text())


def names_in(file: Path) -> set[str]:
    """Of the functions at the top of a file."""
    return {node.name for node in ast.parse(file.read_text()).body if isinstance(node, ast.FunctionDef)}


def test_every_promise_names_tests_that_are_there() -> None:
    missing = []
    for chapter in PROMISES.values():
        for promise in chapter:
            for each in promise.get("tests", ()):
                file, _, name = each.partition("::")
                if not (TESTS / file).is_file() or name not in names_in(TESTS / file):
                    missing.append(each)
    assert not missing


def test_every_promise_has_a_test_or_is_measured() -> None:
    without = [each["promise"] for chapter in PROMISES.values() for each in chapter if not each.get("tests")]
    measured = [each["promise"] for chapter in PROMISES.values() for each in chapter if each.get("measured")]
    assert without == measured == ["Wall time is the sum of CPU times over the cores."]
    assert (TESTS.parent / "benchmarks" / "bench_end_to_end.py").is_file()

"""Every promise of the pipeline has a test that is there: ``promises.yaml`` beside this file lists them."""

from __future__ import annotations

import re
from pathlib import Path

import yaml

TESTS = Path(__file__).parents[1]
PROMISES = yaml.safe_load((Path(__file__).with_name("promises.yaml")).read_text())


def test_every_promise_names_tests_that_are_there() -> None:
    files = [file.read_text() for file in TESTS.rglob("test_*.py")]
    there = {name for text in files for name in re.findall(r"^def (test_\w+)", text, re.MULTILINE)}
    named = {name for chapter in PROMISES.values() for each in chapter for name in each.get("tests", ())}
    assert named <= there, f"gone, or called otherwise now: {sorted(named - there)}"
    assert len(named) > 90


def test_every_promise_has_a_test_or_is_measured() -> None:
    without = [each["promise"] for chapter in PROMISES.values() for each in chapter if not each.get("tests")]
    measured = [each["promise"] for chapter in PROMISES.values() for each in chapter if each.get("measured")]
    assert without == measured == ["Wall time is the sum of CPU times over the cores."]
    assert (TESTS.parent / "benchmarks" / "bench_end_to_end.py").is_file()

"""The checker of the fault storm notices what it is there for."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks.storm.checks import camera_faults, missing_frames

CALM = (1000.0, 1060.0)
"""20 s to settle, then three loops of the clip."""


def ledger(count: int = 600, begin: float = 1000.0) -> list[list[Any]]:
    return [[1, index + 1, index, round((begin + index / 10) * 1e9)] for index in range(count)]


def event(second: int) -> dict[str, str]:
    return {"begin_time": f"1970-01-01T00:{second // 60:02}:{second % 60:02}+00:00"}


def faults(folder: Path, lines: list[list[Any]], events: list[dict[str, str]]) -> list[str]:
    for name, values in (("cam.ledger.jsonl", lines), ("cam.motion.jsonl", events)):
        (folder / name).write_text("".join(f"{json.dumps(each)}\n" for each in values))
    return list(camera_faults("cam", folder, [CALM]))


EVENTS = [event(second) for second in (1024, 1036, 1048)]


def test_a_camera_that_lost_nothing_has_no_faults(tmp_path: Path) -> None:
    assert faults(tmp_path, ledger(), EVENTS) == []


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda lines, events: lines.insert(300, lines[299]), "twice or out of order"),
        (lambda lines, events: lines.reverse(), "twice or out of order"),
        (lambda lines, events: events.insert(1, events[0]), "told twice"),
        (lambda lines, events: events.extend([{**event(900), "uid": "a"}] * 2), "told twice: ['a']"),
        (lambda lines, events: events.clear(), "0 events in a calm stretch of 40 s"),
    ],
)
def test_what_is_wrong_is_noticed(tmp_path: Path, spoil: Any, words: str) -> None:
    lines, events = ledger(), list(EVENTS)
    spoil(lines, events)
    assert any(words in fault for fault in faults(tmp_path, lines, events))


def test_frames_that_are_missing_are_counted_unless_a_gap_says_so() -> None:
    lines = ledger()
    del lines[100:103]
    assert missing_frames(lines) == 3
    lines.insert(100, [1, 104, "lost_frames", lines[100][3]])
    assert missing_frames(lines) == 0
    assert missing_frames([*ledger(10), *([2, *line[1:]] for line in ledger(10))]) == 0

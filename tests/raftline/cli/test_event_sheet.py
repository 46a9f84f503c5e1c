from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from pipeline.errors import InputError
from raftline.cli.sheets.event_sheet import MOST_EVENTS, write_event_sheet
from tests.command_line import run

RED, GREEN = (200, 30, 30), (30, 180, 30)
CELL, COLUMNS = 336 + 6, 4


def event(number: int, **fields: Any) -> dict[str, Any]:
    return {"id": number, "begin_seconds": 10.0 * number, "duration_seconds": 2.5, "peak_area": 0.02, **fields}


def thumbnail(folder: Path, name: str, color: tuple[int, int, int]) -> str:
    cv2.imwrite(str(folder / name), np.full((36, 64, 3), color[::-1], np.uint8))
    return name


def log(folder: Path, *events: dict[str, Any]) -> Path:
    path = folder / "clip.motion.jsonl"
    path.write_text("".join(json.dumps(each) + "\n" for each in events))
    return path


def middle_of(sheet: Path, number: int) -> np.ndarray:
    """RGB in the middle of a cell of the first row."""
    return np.asarray(cv2.imread(str(sheet)))[90, number * CELL + 168, ::-1]


def test_each_event_shows_its_thumbnail_in_order(tmp_path):
    names = [thumbnail(tmp_path, f"{at}.png", color) for at, color in enumerate((RED, GREEN))]
    sheet = write_event_sheet(log(tmp_path, *(event(at, thumbnail=name) for at, name in enumerate(names))))
    assert sheet == tmp_path / "clip.motion.png"
    np.testing.assert_allclose([middle_of(sheet, 0), middle_of(sheet, 1)], [RED, GREEN], atol=2)
    assert np.asarray(cv2.imread(str(sheet))).shape[1] == 2 * CELL


def test_an_event_without_a_thumbnail_has_its_place_all_the_same(tmp_path):
    there = thumbnail(tmp_path, "there.png", RED)
    sheet = write_event_sheet(log(tmp_path, event(0), event(1, thumbnail="removed.jpg"), event(2, thumbnail=there)))
    np.testing.assert_allclose(middle_of(sheet, 2), RED, atol=2)
    assert np.ptp(middle_of(sheet, 0)) == 0 and np.ptp(middle_of(sheet, 1)) == 0


def test_an_uncertain_event_says_so(tmp_path):
    certain = np.asarray(cv2.imread(str(write_event_sheet(log(tmp_path, event(0))))))
    uncertain = np.asarray(cv2.imread(str(write_event_sheet(log(tmp_path, event(0, uncertain=True))))))
    assert certain.shape == uncertain.shape and (certain[200:] != uncertain[200:]).any()


def test_of_many_events_the_newest_are_shown(tmp_path):
    newest = thumbnail(tmp_path, "newest.png", GREEN)
    events = [event(at) for at in range(MOST_EVENTS + 3)] + [event(99, thumbnail=newest)]
    sheet = np.asarray(cv2.imread(str(write_event_sheet(log(tmp_path, *events)))))
    rows = MOST_EVENTS // COLUMNS
    assert sheet.shape[1] == COLUMNS * CELL and sheet.shape[0] % rows == 0
    last = sheet[(rows - 1) * sheet.shape[0] // rows + 90, 3 * CELL + 168, ::-1]
    np.testing.assert_allclose(last, GREEN, atol=2)


@pytest.mark.parametrize(
    ("text", "words"), [("", "holds no event"), ("{}\n", "line 1 is no motion event"), ("x\n", "line 1 is no")]
)
def test_what_is_no_log_of_events_is_said(tmp_path, text, words):
    path = tmp_path / "clip.motion.jsonl"
    path.write_text(text)
    with pytest.raises(InputError, match=words):
        write_event_sheet(path)


@pytest.mark.parametrize(("name", "words"), [("", "Is a directory"), ("no.jsonl", "No such file or directory")])
def test_a_log_that_cannot_be_read_is_named_once(tmp_path, name, words):
    with pytest.raises(InputError, match=rf"cannot be read: {words}; give a log of the stage event_log$"):
        write_event_sheet(tmp_path / name)


def test_the_command_tells_what_it_wrote_and_fails_with_the_users_mistake(tmp_path):
    log(tmp_path, event(0))
    assert run(tmp_path, "event-sheet", "clip.motion.jsonl").stdout == "event sheet: clip.motion.png\n"
    assert "no.jsonl: cannot be read" in run(tmp_path, "event-sheet", "no.jsonl", code=2).stderr

"""``raftline events``: the database from the command line."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from raftline.cli.app import app
from raftline.event_database import NAME, Event, EventDatabase


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """Results with two events, the first of which has a clip and a thumbnail, while the other goes on."""
    (tmp_path / "gate.recordings").mkdir()
    (tmp_path / "gate.recordings/one.mp4").touch()
    (tmp_path / "gate.recordings/one.json").write_text(json.dumps({"source": "gate", "events": ["a"]}))
    (tmp_path / "gate.recordings/broken.json").write_text("{")
    (tmp_path / "1.jpg").touch()
    with EventDatabase.opened(tmp_path / NAME) as database:
        database.put(
            Event("a", "gate", True, 1.7e9, 0, 1, 0.25, 64, 36, until=1.7e9 + 9, zones=("[red]",), thumbnail="1.jpg")
        )
        database.put(Event("b", "yard", True, 1.7e9 + 60, 0, 1, 0.1, 64, 36))
        yield tmp_path


def events(folder: Path, *arguments: str, code: int = 0) -> Result:
    done = CliRunner().invoke(app, ["events", *arguments, "-o", str(folder)])
    assert done.exit_code == code, done.output
    return done


def test_events_are_listed_the_newest_first(folder: Path) -> None:
    shown = events(folder, "list").output
    assert shown.index("yard") < shown.index("gate") and "[red]" in shown and "goes on" in shown and "25.0 %" in shown
    found = [json.loads(line) for line in events(folder, "list", "--json", "--source", "gate").output.splitlines()]
    assert [(each["uid"], each["clip"]) for each in found] == [("a", "gate.recordings/one.mp4")]
    assert events(folder, "list", "--json", "--day", "2020-01-01").output == ""
    assert events(folder, "list", "--day", "monday", code=2)


def test_an_event_is_labelled_shown_and_deleted(folder: Path) -> None:
    events(folder, "label", "1", "no event")
    assert json.loads(events(folder, "show", "1").output)["label"] == "no event"
    assert "allowed: event, no event, none" in events(folder, "label", "1", "cat", code=2).output
    events(folder, "label", "1", "none")
    assert json.loads(events(folder, "show", "1").output)["label"] is None
    events(folder, "delete", "1")
    assert not (folder / "1.jpg").exists() and (folder / "gate.recordings/one.mp4").exists()
    assert "there is none with this number" in events(folder, "show", "1", code=2).output
    assert "still goes on" in events(folder, "delete", "2", code=2).output


def test_results_without_a_database_are_said_to_have_none(tmp_path: Path) -> None:
    assert "there is no event database" in events(tmp_path, "list", code=2).output

"""Clips that the recorder wrote are found for their events."""

from __future__ import annotations

import json
from pathlib import Path

from raftline.event_database import NAME, Clips, Event, EventDatabase


def write(folder: Path, name: str, *uids: str, suffix: str = ".mp4") -> None:
    folder.mkdir(exist_ok=True)
    (folder / f"{name}{suffix}").touch()
    part = folder / f"{name}.part"
    part.write_text(json.dumps({"source": "gate", "events": uids}))
    part.replace(folder / f"{name}.json")


def test_a_clip_is_linked_while_it_grows_and_when_it_is_done(tmp_path: Path) -> None:
    folder = tmp_path / "gate.recordings"
    clips = Clips()
    with EventDatabase.opened(tmp_path / NAME) as database:
        for uid in "ab":
            database.put(Event(uid, "gate", True, 1.0, 0.0, 0.0, 0.1, 64, 36))
        write(folder, "one", "a", suffix=".growing.mp4")
        (folder / "other.json").write_text("[1, 2")
        (tmp_path / "summary.json").write_text("{}")
        assert clips.link(database) == 1 and clips.link(database) == 0
        assert (event := database.get(1)) is not None and event.clip == "gate.recordings/one.growing.mp4"
        write(folder, "one", "a", "b", "unknown")
        assert clips.link(database) == 2
        assert [each.clip for each in map(database.get, (1, 2)) if each] == ["gate.recordings/one.mp4"] * 2

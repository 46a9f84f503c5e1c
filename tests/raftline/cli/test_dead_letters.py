"""``raftline dead-letters`` beside a run that has some: a poison frame, and entries of a foreign producer."""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pipeline.runtime.run_status import active_runs
from pipeline.transport.redis_streams import RedisStreams
from tests.command_line import lay_out, run, running, wait_until_begun
from tests.stages.alerting import until

MARK = f"dead-letters-of-{os.getpid()}"  # another session may run the same test
FOREIGN = {"nonsense": {b"hello": b"world"}, "tomorrow": {b"format": b"raftline/99", b"type": b"Frame", b"body": b"{}"}}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Where a run is under way that could not take frame 3, nor what was written by somebody else."""
    folder = tmp_path_factory.mktemp("letters")
    lay_out(folder)
    slow = ["--set", f"name={MARK}", "--set", "stages.counter.options={frames: 100000, pause_seconds: 0.1}"]
    fails = ["--set", "stages.sums.options.fail_at=3"]
    with running(folder, "run", "counting.yaml", "-i", "a.mp4", "-o", "out", *slow, *fails):
        wait_until_begun(folder)
        wait_for_letters(folder, 1)  # frame 3 kills no worker any more, which would take its counts along
        write_into_stream(*FOREIGN.values())
        wait_for_letters(folder, 3)
        yield folder


@contextlib.contextmanager
def transport() -> Iterator[RedisStreams]:
    (url,) = (found.redis_url for found in active_runs() if found.name == MARK)
    with contextlib.closing(RedisStreams(url, MARK)) as made:
        yield made


def write_into_stream(*entries: dict[bytes, bytes]) -> None:
    with transport() as made:
        for entry in entries:
            made.client.xadd(made.keys.stream("a", "counter"), entry)


def wait_for_letters(folder: Path, count: int) -> list[dict[str, Any]]:
    for _ in range(200):
        found = letters(folder)
        if len(found) >= count:
            return found
        time.sleep(0.1)
    raise AssertionError(f"{len(found)} dead letters instead of {count}")


def letters(folder: Path) -> list[dict[str, Any]]:
    return json.loads(run(folder, "dead-letters", "list", MARK, "--json").stdout)


def test_a_poison_frame_is_listed_shown_replayed_and_dropped(folder: Path) -> None:
    (poison,) = (letter for letter in letters(folder) if letter["message"] == "Frame" and "frame 3" in letter["error"])
    assert (poison["stage"], poison["source"]) == ("sums", "a")
    listed = run(folder, "dead-letters", "list", MARK).stdout
    assert poison["id"] in listed and "cannot take frame 3" in listed
    shown = json.loads(run(folder, "dead-letters", "show", MARK, "--id", poison["id"]).stdout)
    assert shown["fields"]["body"]["index"] == 3 and shown["fields"]["a0"].startswith(("128 bytes", "\x03"))
    again = run(folder, "dead-letters", "replay", MARK, "--id", poison["id"], code=1).stdout
    assert "fails again: ValueError: cannot take frame 3" in again
    mended = (folder / "counting.py").read_text().replace("if message.index == self.options.fail_at", "if False")
    (folder / "counting.py").write_text(mended)
    taken = run(folder, "dead-letters", "replay", MARK, "--id", poison["id"], "-o", "again").stdout
    assert "taken; it yields nothing; files: " in taken
    written = folder / "again" / f"sums-{poison['id']}" / "a.sums.txt"
    assert written.read_text() == "3 384\n"
    assert poison["id"] not in {letter["id"] for letter in letters(folder)}


def test_what_a_foreign_producer_wrote_is_put_aside_and_stops_nobody(folder: Path) -> None:
    errors = {letter["message"]: letter["error"] for letter in letters(folder) if "frame 3" not in letter["error"]}
    assert "not a message" in errors["not a message"]
    assert "raftline/99" in errors["Frame"] and "raftline/1" in errors["Frame"]
    with transport() as made:
        before = made.counters("a", "sums")["frames"]
        until(lambda: made.counters("a", "sums")["frames"] > before)
        assert made.counters("a", "sums")["dead_letters"] == 3
        until(lambda: made.length("a", "counter") < 20)  # entries that nobody counts would stay in the stream
    assert "dropped" in run(folder, "dead-letters", "drop", MARK, "--stage", "sums").stdout
    assert letters(folder) == []


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("drop", MARK), "give --id ID, --stage NAME or --all"),
        (("show", MARK, "--id", "1-1"), "there is no dead letter --id 1-1"),
        (("list", "another"), "runs of this machine called another: none"),
        (("list", "--redis", "redis://127.0.0.1:1/0"), "give the `name` of the pipeline"),
    ],
)
def test_a_mistake_is_said(folder: Path, arguments: tuple[str, ...], words: str) -> None:
    assert words in " ".join(run(folder, "dead-letters", *arguments, code=2).stderr.split())

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.errors import OutputError
from stages.shared import outbox
from stages.shared.outbox import Letter, NotTaken, Outbox, Refused
from tests.stages.alerting import until

LOG = logging.getLogger("test")


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbox, "_FIRST_PAUSE_SECONDS", 0.01)
    monkeypatch.setattr(outbox, "_LONGEST_PAUSE_SECONDS", 0.02)


class Friend:
    """Takes letters, unless it is away."""

    def __init__(self, away: bool = False) -> None:
        self.away, self.tries, self.taken = away, 0, list[str]()

    def __call__(self, letter: Letter) -> None:
        self.tries += 1
        if self.away:
            raise NotTaken("http://me:secret@host is away")
        if letter.body.get("bad"):
            raise Refused("bad letter")
        self.taken.append(letter.key)


def test_letters_are_delivered_in_order_and_each_key_once(tmp_path):
    friend = Friend()
    box = Outbox(tmp_path / "box", friend, LOG)
    for key in ("b", "a", "b", "c", "a"):
        box.put(key, {})
    assert box.drain(60) == 0
    box.close()
    assert friend.taken == ["b", "a", "c"]


def test_a_receiver_that_is_away_is_tried_again_and_said_once(tmp_path, caplog):
    friend, said = Friend(away=True), []
    box = Outbox(tmp_path / "box", friend, LOG, said.append)
    box.put("a", {})
    box.put("b", {})
    until(lambda: friend.tries >= 4 and said and said[-1]["waiting"] == 2)
    assert said[-1] == {"delivered": 0, "waiting": 2, "receiver": "http://me:***@host is away"}
    friend.away = False
    assert box.drain(60) == 0
    box.close()
    assert friend.taken == ["a", "b"]
    assert said[-1] == {"delivered": 2, "waiting": 0, "receiver": ""}
    lines = [record.message for record in caplog.records]
    assert lines == ["http://me:***@host is away; trying again until it is taken", "delivering again"]


def test_what_was_not_delivered_goes_out_with_the_next_run_and_nothing_twice(tmp_path):
    away = Friend(away=True)
    box = Outbox(tmp_path / "box", away, LOG)
    box.put("a", {})
    assert box.drain(0.05) == 1
    box.close()
    friend = Friend()
    for _ in range(2):
        box = Outbox(tmp_path / "box", friend, LOG)
        box.put("a", {})
        assert box.drain(60) == 0
        box.close()
    assert friend.taken == ["a"]


def test_a_letter_that_nobody_wants_does_not_hold_up_the_others(tmp_path, caplog):
    friend = Friend()
    box = Outbox(tmp_path / "box", friend, LOG)
    box.put("a", {"bad": True})
    box.put("b", {})
    assert box.drain(60) == 0
    box.close()
    assert friend.taken == ["b"] and "given up: bad letter" in caplog.text


def test_of_too_many_letters_the_oldest_are_given_up_and_that_is_said(tmp_path, caplog):
    earlier = Outbox(tmp_path / "box", Friend(away=True), LOG)
    for key in "abcd":
        earlier.put(key, {})
    earlier.close()
    friend = Friend()
    box = Outbox(tmp_path / "box", friend, LOG, most_waiting=2)
    assert box.drain(60) == 0
    box.close()
    assert friend.taken == ["c", "d"]
    assert "2 letters given up: more than 2 wait" in caplog.text


def test_keys_of_what_was_delivered_are_forgotten_after_some_days(tmp_path):
    friend = Friend()
    for _ in range(2):
        box = Outbox(tmp_path / "box", friend, LOG, kept_days=0.0)
        box.put("a", {})
        assert box.drain(60) == 0
        box.close()
    assert friend.taken == ["a", "a"]


def test_of_two_with_one_file_one_delivers_and_the_other_takes_over(tmp_path):
    first, second = Friend(), Friend()
    boxes = [Outbox(tmp_path / "box", friend, LOG) for friend in (first, second)]
    for number in range(20):
        boxes[number % 2].put(str(number), {})
    assert boxes[0].drain(60) == 0
    assert sorted(first.taken + second.taken, key=int) == [str(number) for number in range(20)]
    assert not first.taken or not second.taken
    boxes[0].close()
    boxes[1].put("last", {})
    assert boxes[1].drain(60) == 0 and second.taken[-1] == "last"
    boxes[1].close()


_KILLED = """
import logging, os, signal, sys
from pathlib import Path
from stages.shared.outbox import NotTaken, Outbox

def away(letter):
    raise NotTaken("away")

box = Outbox(Path(sys.argv[1]), away, logging.getLogger())
for number in range(50):
    box.put(f"{number:02d}", {})
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_no_letter_is_lost_when_its_process_is_killed(tmp_path):
    path = tmp_path / "box"
    killed = subprocess.run([sys.executable, "-c", _KILLED, str(path)], env={**os.environ}, stderr=subprocess.DEVNULL)
    assert killed.returncode == -signal.SIGKILL
    friend = Friend()
    box = Outbox(path, friend, LOG)
    assert box.drain(60) == 0
    box.close()
    assert friend.taken == [f"{number:02d}" for number in range(50)]


def test_a_file_that_is_no_outbox_is_refused(tmp_path):
    path: Path = tmp_path / "box"
    path.write_bytes(b"something else altogether" * 100)
    with pytest.raises(OutputError, match=r"cannot keep letters there: file is not a database.*move it away"):
        Outbox(path, Friend(), LOG)
    assert path.read_bytes().startswith(b"something else")

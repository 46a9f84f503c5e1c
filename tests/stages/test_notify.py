from __future__ import annotations

import pytest
from pydantic import ValidationError

from pipeline.errors import ConfigError
from stages.notify import Notify
from stages.shared import outbox
from tests.stages.alerting import receiver, told, until
from tests.stages.frames import end
from tests.stages.stage_bench import Machine, bench_context

# Apprise looks whether the module is there.
pytestmark = pytest.mark.filterwarnings("ignore:'imghdr' is deprecated:DeprecationWarning")


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbox, "_FIRST_PAUSE_SECONDS", 0.01)


def json_url(url: str) -> str:
    """Apprise's own address for a server that takes JSON."""
    return url.replace("http://", "json://")


def test_people_are_told_of_begin_and_end_with_an_image(tmp_path):
    (tmp_path / "1.jpg").write_bytes(b"jpeg")
    with receiver() as (kept, url):
        machine = Machine(Notify, bench_context(tmp_path), urls=[json_url(url)])
        line = {"thumbnail": "1.jpg", "duration_seconds": 2.5, "begin_time": "2026-11-01T10:20:30.000Z"}
        machine.deliver(told(0, tmp_path, begun=(1,)), told(1, tmp_path, ended=(1,), **line), end(2))
        machine.close()
    begin, over = kept.bodies
    assert (begin["title"], begin["message"]) == ("Motion: clip", "Something began to move at 0.1 s.")
    assert over["message"].endswith(", for 2.5 s.") and " on 2026-1" in over["message"]
    assert [each["filename"] for each in over["attachments"]] == ["1.jpg"]


def test_events_that_follow_too_closely_are_counted_rather_than_told(tmp_path):
    with receiver() as (kept, url):
        machine = Machine(Notify, bench_context(tmp_path), urls=[json_url(url)], pause_seconds=1.0)
        machine.deliver(told(0, tmp_path, begun=(1, 2)))
        machine.kill()
        ended = {"duration_seconds": 1.0}
        machine.deliver(told(1, tmp_path, begun=(3, 20), ended=(1, 2, 3), **ended), end(2))
        machine.close()
    assert [body["message"] for body in kept.bodies] == [
        "Something began to move at 0.1 s.",
        "Something began to move at 2.0 s.",
        "Something moved at 0.1 s, for 1.0 s.",
    ]
    assert machine.counts["not_told"] == 2


def test_a_message_that_was_not_taken_is_sent_again(tmp_path):
    with receiver() as (kept, url):
        kept.answers = [503]
        machine = Machine(Notify, bench_context(tmp_path), urls=[json_url(url)], when="begin")
        machine.deliver(told(0, tmp_path, begun=(1,)))
        until(lambda: len(kept.requests) == 2)
        machine.close()


def test_no_password_is_in_what_is_said(tmp_path, caplog):
    machine = Machine(Notify, bench_context(tmp_path), urls=["json://me:hush@127.0.0.1:1"], when="begin")
    machine.deliver(told(0, tmp_path, begun=(1,)))
    until(lambda: machine.context.said.get("receiver"))
    machine.close()
    assert "hush" not in caplog.text + str(machine.context.said)


def test_an_address_that_apprise_does_not_know_is_refused_without_showing_it(tmp_path):
    with pytest.raises(ConfigError, match=r"does not understand address 2 of 2 \(nosuch://\.\.\.\)") as error:
        Machine(Notify, bench_context(tmp_path), urls=["json://host", "nosuch://hush"])
    assert "hush" not in str(error.value)
    with pytest.raises(ValidationError, match="has no ://"):
        Notify.Options.model_validate({"urls": ["me@example.com"]})

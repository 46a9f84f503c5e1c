from __future__ import annotations

import base64
import hashlib
import hmac

import pytest
from pydantic import ValidationError

from pipeline.errors import ConfigError
from pipeline.messages import Data
from stages.shared import outbox
from stages.webhook import Webhook
from tests.free_port import free_port
from tests.stages.alerting import receiver, told, until
from tests.stages.frames import end, yuv_frame
from tests.stages.stage_bench import Machine, bench_context


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbox, "_FIRST_PAUSE_SECONDS", 0.01)


def test_each_event_is_posted_when_it_begins_and_when_it_ends(tmp_path):
    with receiver() as (kept, url):
        machine = Machine(Webhook, bench_context(tmp_path), url=url, headers={"x-house": "3"})
        machine.deliver(told(0, tmp_path, begun=(1,)), told(1, tmp_path, begun=(2,), ended=(1,)), end(2))
        machine.close()
    assert [(body["type"], body["data"]["id"]) for body in kept.bodies] == [
        ("motion.begin", 1),
        ("motion.begin", 2),
        ("motion.end", 1),
    ]
    headers = [headers for headers, _ in kept.requests]
    assert [each["webhook-id"] for each in headers] == ["uid-1.begin", "uid-2.begin", "uid-1.end"]
    assert {each["x-house"] for each in headers} == {"3"} and "webhook-signature" not in headers[0]


@pytest.mark.parametrize("secret", ["a secret of my own", "whsec_" + base64.b64encode(b"0123456789abcdef").decode()])
def test_the_signature_is_the_one_of_the_standard(tmp_path, secret):
    with receiver() as (kept, url):
        machine = Machine(Webhook, bench_context(tmp_path), url=url, secret=secret)
        machine.deliver(told(0, tmp_path, begun=(1,)), end(1))
        machine.close()
    headers, body = kept.requests[0]
    key = b"0123456789abcdef" if secret.startswith("whsec_") else secret.encode()
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    expected = base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
    assert headers["webhook-signature"] == f"v1,{expected}"


def test_a_thumbnail_goes_along_where_it_is_asked_for(tmp_path):
    (tmp_path / "1.jpg").write_bytes(b"jpeg")
    with receiver() as (kept, url):
        machine = Machine(Webhook, bench_context(tmp_path), url=url, thumbnail=True, when="end")
        machine.deliver(told(0, tmp_path, ended=(1,), thumbnail="1.jpg"), told(1, tmp_path, ended=(2,)), end(2))
        machine.close()
    assert [body["data"].get("thumbnail_jpeg") for body in kept.bodies] == [base64.b64encode(b"jpeg").decode(), None]


def test_uncertain_events_can_be_left_out(tmp_path):
    with receiver() as (kept, url):
        machine = Machine(Webhook, bench_context(tmp_path), url=url, uncertain=False, when="end")
        machine.deliver(told(0, tmp_path, ended=(1,), uncertain=True), told(1, tmp_path, ended=(2,)), end(2))
        machine.close()
    assert [body["data"]["id"] for body in kept.bodies] == [2]


def test_while_the_receiver_is_away_and_over_a_kill_every_event_waits_and_comes_once(tmp_path):
    port = free_port()
    context = bench_context(tmp_path, live=True)
    machine = Machine(Webhook, context, url=f"http://127.0.0.1:{port}/hook")
    machine.deliver(told(0, tmp_path, begun=(1,)))
    list(machine.stage.process(told(1, tmp_path, begun=(2,))))  # put, but not committed
    killed = machine.stage
    machine.kill(thought_dead=True)
    machine.deliver(told(1, tmp_path, begun=(2,)), told(2, tmp_path, ended=(1, 2)))
    until(lambda: context.said.get("waiting") == 4)
    assert "Connection refused" in str(context.said["receiver"])
    with receiver(port) as (kept, _):
        until(lambda: context.said["waiting"] == 0)
        machine.close()
        killed.close()
    assert [headers["webhook-id"] for headers, _ in kept.requests] == [
        *("uid-1.begin", "uid-2.begin"),
        *("uid-1.end", "uid-2.end"),
    ]


@pytest.mark.parametrize(("answer", "tries"), [(503, 2), (429, 2), (404, 2), (400, 1), (413, 1)])
def test_what_can_be_mended_is_tried_again_and_what_cannot_is_given_up(tmp_path, answer, tries):
    with receiver() as (kept, url):
        kept.answers = [answer]
        machine = Machine(Webhook, bench_context(tmp_path), url=url)
        machine.deliver(told(0, tmp_path, begun=(1,)), end(1))
        machine.close()
    assert len(kept.requests) == tries


def test_a_stream_of_something_else_is_refused_with_what_to_read(tmp_path):
    machine = Machine(Webhook, bench_context(tmp_path), url="http://127.0.0.1:1/")
    with pytest.raises(ConfigError, match=r"reads data of kind 'speeds'; it needs motion events.*EventLog"):
        list(machine.stage.process(Data(yuv_frame(0, 0, 20, 10).header, "speeds", {})))
    machine.close()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"url": "ftp://me:hush@host"}, "must begin with http:// or https://, found 'ftp://me:\\*\\*\\*@host'"),
        ({"url": "http://host", "secret": "short"}, "at least 16 characters"),
        ({"url": "http://host", "secret": "whsec_?"}, "what follows is no base64"),
    ],
)
def test_wrong_options_are_refused(options, words):
    with pytest.raises(ValidationError, match=words):
        Webhook.Options.model_validate(options)

from __future__ import annotations

import itertools
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import ValidationError

from pipeline.testing import TestContext
from stages.mqtt import Mqtt
from stages.shared import outbox
from tests.stages.alerting import told, until
from tests.stages.frames import end
from tests.stages.mqtt.mosquitto import listener, mosquitto, needs_mosquitto
from tests.stages.stage_bench import Machine, bench_context

pytestmark = needs_mosquitto


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbox, "_FIRST_PAUSE_SECONDS", 0.05)
    monkeypatch.setattr(outbox, "_LONGEST_PAUSE_SECONDS", 0.1)


def events(payloads: list[bytes]) -> list[tuple[str, int]]:
    return [(event["event_type"], event["id"]) for event in map(json.loads, payloads)]


def test_motion_events_and_their_images_are_published_and_the_end_says_offline(tmp_path: Path) -> None:
    (tmp_path / "1.jpg").write_bytes(b"jpeg")
    with mosquitto(tmp_path) as broker, listener(broker.port) as heard:
        machine = Machine(Mqtt, bench_context(tmp_path), url=f"mqtt://127.0.0.1:{broker.port}")
        until(lambda: heard.last("raftline/clip/motion") == b"OFF")
        until(lambda: heard.last("raftline/clip/availability") == b"online")
        machine.deliver(told(0, tmp_path, begun=(1,)))
        until(lambda: heard.last("raftline/clip/motion") == b"ON")
        machine.deliver(told(1, tmp_path, begun=(2,), ended=(1,), thumbnail="1.jpg"))
        until(lambda: heard.last("raftline/clip/image") == b"jpeg")
        assert heard.last("raftline/clip/motion") == b"ON"  # the second goes on
        machine.deliver(told(2, tmp_path, ended=(2,)))
        until(lambda: heard.last("raftline/clip/motion") == b"OFF")
        machine.deliver(end(3))
        machine.close()
        until(lambda: heard.last("raftline/clip/availability") == b"offline")
        assert events(heard.all("raftline/clip/event")) == [("begin", 1), ("begin", 2), ("end", 1), ("end", 2)]


def test_a_broker_that_was_away_hears_every_event_once_and_the_state_as_it_is(tmp_path: Path) -> None:
    with mosquitto(tmp_path) as broker:
        context = bench_context(tmp_path, live=True)
        broker.stop()
        machine = Machine(Mqtt, context, url=f"mqtt://127.0.0.1:{broker.port}")
        machine.deliver(told(0, tmp_path, begun=(1,)), told(1, tmp_path, ended=(1,), begun=(2,)))
        until(lambda: context.said.get("waiting") == 3)
        broker.start()
        with listener(broker.port) as heard:
            until(lambda: context.said["waiting"] == 0)
            until(lambda: len(heard.all("raftline/clip/event")) == 3)
            assert events(heard.all("raftline/clip/event")) == [("begin", 1), ("begin", 2), ("end", 1)]
            until(lambda: heard.last("raftline/clip/motion") == b"ON")
            machine.deliver(told(2, tmp_path, ended=(2,)))
            until(lambda: heard.last("raftline/clip/motion") == b"OFF")
        machine.close()


def test_what_is_retained_greets_who_comes_later(tmp_path: Path) -> None:
    with mosquitto(tmp_path) as broker:
        machine = Machine(Mqtt, bench_context(tmp_path), url=f"mqtt://127.0.0.1:{broker.port}")
        machine.deliver(told(0, tmp_path, begun=(1,)))
        until(lambda: machine.context.said.get("delivered") == 1)
        with listener(broker.port) as heard:
            until(lambda: heard.last("raftline/clip/motion") == b"ON")
            until(lambda: heard.last("raftline/clip/availability") == b"online")
            until(lambda: heard.last("homeassistant/device/raftline_clip/config"))
            assert heard.all("raftline/clip/event") == []  # an event is news, not a state
        machine.close()


def changes(payloads: list[bytes]) -> list[bytes]:
    return [payload for payload, _ in itertools.groupby(payloads)]


class Sharing(TestContext):
    """Of a host among others that share cameras."""

    holds = True

    def holds_source(self) -> bool | None:
        return self.holds


def test_of_hosts_that_share_a_camera_the_one_that_has_it_says_how_things_are(tmp_path: Path) -> None:
    lost, found = (Sharing(source="clip", directory=tmp_path / name) for name in ("lost", "found"))
    with mosquitto(tmp_path) as broker, listener(broker.port) as heard:
        url = f"mqtt://127.0.0.1:{broker.port}"
        zombie = Machine(Mqtt, lost, url=url)
        zombie.deliver(told(0, tmp_path, begun=(1,)))
        until(lambda: heard.last("raftline/clip/motion") == b"ON")
        lost.holds = False  # it stood still for longer than its lease
        heir = Machine(Mqtt, found, url=url)
        until(lambda: heard.last("raftline/clip/motion") == b"OFF")
        zombie.deliver(told(1, tmp_path, ended=(1,), begun=(3,)), end(2))
        zombie.close()
        heard.publish("raftline/clip/availability", "offline")  # as a broker does once a dead host's connection breaks
        until(lambda: heard.all("raftline/clip/availability")[-2:] == [b"offline", b"online"])
        heir.deliver(told(0, tmp_path, begun=(2,)))
        until(lambda: heard.last("raftline/clip/motion") == b"ON")
        heir.deliver(end(1))
        heir.close()
        until(lambda: heard.last("raftline/clip/availability") == b"offline")
        assert changes(heard.all("raftline/clip/availability")) == [b"online", b"offline"] * 2
        assert changes(heard.all("raftline/clip/motion")) == [b"OFF", b"ON", b"OFF", b"ON", b"OFF"]


_KILLED = """
import os, signal, sys, time
from pathlib import Path
from tests.stages.alerting import told, until
from tests.stages.stage_bench import Machine, bench_context
from stages.mqtt import Mqtt

machine = Machine(Mqtt, bench_context(Path(sys.argv[1])), url=sys.argv[2])
machine.deliver(told(0, Path(sys.argv[1]), begun=(1,)))
until(lambda: machine.context.said.get("delivered") == 1)
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_run_that_dies_leaves_offline_behind(tmp_path: Path) -> None:
    with mosquitto(tmp_path) as broker, listener(broker.port) as heard:
        url = f"mqtt://127.0.0.1:{broker.port}"
        killed = subprocess.run([sys.executable, "-c", _KILLED, str(tmp_path), url], env={**os.environ})
        assert killed.returncode == -signal.SIGKILL
        until(lambda: heard.all("raftline/clip/availability") == [b"online", b"offline"])


def test_a_wrong_password_is_said_and_the_right_one_works(tmp_path: Path) -> None:
    users = tmp_path / "users"
    subprocess.run(["mosquitto_passwd", "-b", "-c", str(users), "me", "a b"], check=True, capture_output=True)
    users.chmod(0o644)
    with mosquitto(tmp_path, "allow_anonymous false", f"password_file {users}") as broker:
        context = bench_context(tmp_path)
        machine = Machine(Mqtt, context, url=f"mqtt://me:hush@127.0.0.1:{broker.port}")
        machine.deliver(told(0, tmp_path, begun=(1,)))
        until(lambda: "refuses: Not authorized" in str(context.said.get("receiver")))
        assert "hush" not in str(context.said)
        machine.close()
        with listener(broker.port, user="me", password="a b") as heard:
            machine = Machine(Mqtt, context, url=f"mqtt://me:a%20b@127.0.0.1:{broker.port}")
            until(lambda: events(heard.all("raftline/clip/event")) == [("begin", 1)])
            machine.close()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"url": "http://host"}, "must be mqtt://"),
        ({"url": "mqtt://me:hush@"}, r"must be mqtt://.*found 'mqtt://me:\*\*\*@'"),
        ({"url": "mqtt://host", "topic": "a/#"}, "wildcards"),
        ({"url": "mqtt://host", "topic": ""}, "at least 1 character"),
    ],
)
def test_wrong_options_are_refused(options: dict[str, str], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        Mqtt.Options.model_validate(options)

"""The discovery payload against what Home Assistant checks; `home_assistant_schema` says where that is from."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from stages.mqtt import Mqtt
from stages.mqtt.home_assistant import discovery, object_id
from tests.stages.alerting import told, until
from tests.stages.mqtt.home_assistant_schema import CONFIG_TOPIC, DEVICE_DISCOVERY
from tests.stages.mqtt.mosquitto import listener, mosquitto, needs_mosquitto
from tests.stages.stage_bench import Machine, bench_context

CHECK = Draft202012Validator(DEVICE_DISCOVERY)


def faults(payload: Any) -> list[str]:
    return [error.message for error in CHECK.iter_errors(payload)]


@pytest.mark.parametrize("source", ["door", "日本語", "Überfahrt 2"])
def test_discovery_is_what_home_assistant_takes(source: str) -> None:
    payload = json.loads(json.dumps(discovery(source, f"raftline/{source}")))
    assert faults(payload) == []
    found = payload["components"]
    assert [entity["platform"] for entity in found.values()] == ["binary_sensor", "event", "image"]
    assert {entity["unique_id"] for entity in found.values()} == set(found)
    assert all(re.fullmatch(r"[a-zA-Z0-9_-]+", each) for each in [object_id(source), *found])


def _without(*keys: str) -> Callable[[Any], None]:
    def remove(payload: Any) -> None:
        for key in keys[:-1]:
            payload = payload[key]
        del payload[keys[-1]]

    return remove


MOTION, EVENT = ("components", "raftline_door_motion"), ("components", "raftline_door_event")


@pytest.mark.parametrize(
    "wrong",
    [
        _without("origin"),
        _without("device"),
        _without("device", "identifiers"),
        _without(*MOTION, "unique_id"),
        _without(*MOTION, "platform"),
        _without(*MOTION, "state_topic"),
        _without(*EVENT, "event_types"),
        lambda payload: payload["components"][MOTION[1]].update(state_topik="a slip"),
        lambda payload: payload["components"][MOTION[1]].update(state_topic="raftline/#"),
        lambda payload: payload["device"].update(maker="raftline"),
    ],
)
def test_the_schema_finds_what_home_assistant_would_refuse_or_leave_out(wrong: Callable[[Any], None]) -> None:
    payload = copy.deepcopy(discovery("door", "raftline/door"))
    wrong(payload)
    assert faults(payload)


def test_sources_whose_names_differ_in_other_letters_alone_are_two_devices() -> None:
    assert len({object_id(name) for name in ("a b", "a_b", "a.b", "ä", "ö", "日本", "本日")}) == 7


@needs_mosquitto
def test_what_is_published_is_what_the_discovery_announces(tmp_path: Path) -> None:
    (tmp_path / "1.jpg").write_bytes(b"jpeg")
    with mosquitto(tmp_path) as broker, listener(broker.port) as heard:
        machine = Machine(Mqtt, bench_context(tmp_path), url=f"mqtt://127.0.0.1:{broker.port}")
        machine.deliver(told(0, tmp_path, begun=(1,)), told(1, tmp_path, ended=(1,), thumbnail="1.jpg"))
        config = "homeassistant/device/raftline_clip/config"
        assert re.fullmatch(CONFIG_TOPIC, config)
        until(lambda: heard.last(config))
        payload = json.loads(heard.last(config) or b"")
        assert faults(payload) == []
        motion, event, image = payload["components"].values()
        until(lambda: heard.last(image["image_topic"]) == b"jpeg")
        until(lambda: len(heard.all(event["state_topic"])) == 2)
        types = [json.loads(each)["event_type"] for each in heard.all(event["state_topic"])]
        assert types == event["event_types"] == ["begin", "end"]
        availability = payload["availability"][0]["topic"]
        until(lambda: heard.last(availability) == b"online")  # as Home Assistant takes it by default
        assert set(heard.all(motion["state_topic"])) <= {b"ON", b"OFF"}
        machine.close()

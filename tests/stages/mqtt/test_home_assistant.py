"""The discovery payload against what Home Assistant documents (https://www.home-assistant.io/integrations/mqtt, of
2024.12 and later): what it requires, and no key that it does not know."""

from __future__ import annotations

import re
from typing import Literal

import pytest
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from stages.mqtt.home_assistant import discovery, object_id


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")


class _Device(_Strict):
    identifiers: list[str] = Field(min_length=1)
    name: str
    manufacturer: str
    model: str
    sw_version: str


class _Origin(_Strict):
    name: str
    sw_version: str


class _Availability(_Strict):
    topic: str


class _Entity(_Strict):
    unique_id: str
    name: str


class _BinarySensor(_Entity):
    platform: Literal["binary_sensor"]
    device_class: Literal["motion"]
    state_topic: str


class _Event(_Entity):
    platform: Literal["event"]
    event_types: list[str] = Field(min_length=1)
    state_topic: str


class _Image(_Entity):
    platform: Literal["image"]
    content_type: Literal["image/jpeg"]
    image_topic: str


class _Discovery(_Strict):
    device: _Device
    origin: _Origin
    availability: list[_Availability]
    components: dict[str, _BinarySensor | _Event | _Image]


@pytest.mark.parametrize("source", ["door", "日本語", "Überfahrt 2"])
def test_discovery_is_what_home_assistant_reads(source: str) -> None:
    found = TypeAdapter(_Discovery).validate_python(discovery(source, f"raftline/{source}"))
    assert [entity.platform for entity in found.components.values()] == ["binary_sensor", "event", "image"]
    assert {entity.unique_id for entity in found.components.values()} == set(found.components)
    assert found.availability[0].topic == f"raftline/{source}/availability"
    ids = [object_id(source), *found.components]
    assert all(re.fullmatch(r"[a-zA-Z0-9_-]+", each) for each in ids)


def test_sources_whose_names_differ_in_other_letters_alone_are_two_devices() -> None:
    assert len({object_id(name) for name in ("a b", "a_b", "a.b", "ä", "ö", "日本", "本日")}) == 7

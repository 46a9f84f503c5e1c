"""What Home Assistant takes as a device's discovery, as JSON Schema (draft 2020-12).

Written after the checks of its MQTT integration, as of 2024.12 and since: `homeassistant/components/mqtt`, the files
`schemas.py`, `util.py` (topics), `config.py`, `binary_sensor.py`, `event.py` and `image.py` of
https://github.com/home-assistant/core, and its documentation, https://www.home-assistant.io/integrations/mqtt. Home
Assistant leaves out keys of an entity that it does not know; here they are faults, since they are slips.
"""

from __future__ import annotations

from typing import Any

_TEXT: dict[str, Any] = {"type": "string"}
_SECONDS: dict[str, Any] = {"type": "integer", "minimum": 0}
_CONTROL = "\\u0000-\\u001f\\u007f-\\u009f\\ufdd0-\\ufdef\\ufffe\\uffff"
_TOPIC: dict[str, Any] = {"type": "string", "minLength": 1, "maxLength": 65535, "pattern": f"^[^+#{_CONTROL}]+$"}
"""To subscribe to; wildcards would be allowed in their places, but none of ours has any."""

_AVAILABILITY: dict[str, Any] = {
    "availability": {
        "type": "array",
        "items": {
            "type": "object",
            "properties": {"topic": _TOPIC, "payload_available": _TEXT, "payload_not_available": _TEXT,
                           "value_template": _TEXT},
            "required": ["topic"],
            "additionalProperties": False,
        },
    },
    "availability_mode": {"enum": ["all", "any", "latest"]},
    "availability_template": _TEXT,
    "availability_topic": _TOPIC,
    "payload_available": _TEXT,
    "payload_not_available": _TEXT,
}  # fmt: skip
_BASE: dict[str, Any] = {"qos": {"enum": [0, 1, 2]}, "encoding": _TEXT}
_DEVICE = {
    "type": "object",
    "properties": {
        "identifiers": {"type": "array", "items": _TEXT},
        "connections": {"type": "array", "items": {"type": "array", "items": _TEXT, "minItems": 2, "maxItems": 2}},
        "configuration_url": {"type": "string", "pattern": "^(https?|homeassistant)://"},
        **dict.fromkeys(("manufacturer", "model", "model_id", "name", "hw_version", "serial_number"), _TEXT),
        **dict.fromkeys(("sw_version", "via_device", "suggested_area"), _TEXT),
    },
    "anyOf": [{"required": [name], "properties": {name: {"minItems": 1}}} for name in ("identifiers", "connections")],
    "additionalProperties": False,
}
_ORIGIN = {
    "type": "object",
    "properties": {"name": _TEXT, "sw_version": _TEXT, "support_url": {"type": "string", "pattern": "^https?://"}},
    "required": ["name"],
    "additionalProperties": False,
}
_ENTITY: dict[str, Any] = {
    **_AVAILABILITY,
    **_BASE,
    "device": _DEVICE,
    "origin": _ORIGIN,
    "enabled_by_default": {"type": "boolean"},
    "entity_category": {"enum": ["config", "diagnostic", None]},
    "icon": {"type": "string", "pattern": ":"},
    "json_attributes_topic": _TOPIC,
    "json_attributes_template": _TEXT,
    "name": {"type": ["string", "null"]},
    "object_id": _TEXT,
    "unique_id": _TEXT,
}


def _entity(platform: str, required: tuple[str, ...], **keys: Any) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": {"platform": {"const": platform}, **_ENTITY, **keys},
        "required": ["platform", "unique_id", *required],  # without the id a device's entity is refused
        "additionalProperties": False,
    }


_BINARY_SENSOR = _entity(
    "binary_sensor",
    ("state_topic",),
    state_topic=_TOPIC,
    value_template=_TEXT,
    device_class={"enum": ["motion", "moving", "occupancy", "presence", "sound", "vibration", None]},  # and others
    expire_after=_SECONDS,
    force_update={"type": "boolean"},
    off_delay=_SECONDS,
    payload_off=_TEXT,
    payload_on=_TEXT,
)
_EVENT = _entity(
    "event",
    ("state_topic", "event_types"),
    state_topic=_TOPIC,
    value_template=_TEXT,
    device_class={"enum": ["button", "doorbell", "motion"]},
    event_types={"type": "array", "items": _TEXT, "minItems": 1},
)
_IMAGE = _entity(
    "image",
    ("image_topic",),  # or url_topic, without content_type, which we do not use
    image_topic=_TOPIC,
    content_type=_TEXT,
    image_encoding={"const": "b64"},
    url_template=_TEXT,
)

DEVICE_DISCOVERY: dict[str, Any] = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "type": "object",
    "properties": {
        **_AVAILABILITY,
        **_BASE,
        "device": _DEVICE,
        "origin": _ORIGIN,
        "state_topic": _TOPIC,
        "command_topic": _TOPIC,
        "components": {
            "type": "object",
            "additionalProperties": {
                "type": "object",
                "required": ["platform"],
                "oneOf": [_BINARY_SENSOR, _EVENT, _IMAGE],
            },
        },
    },
    "required": ["device", "components", "origin"],
    "not": {"required": ["availability", "availability_topic"]},
    "additionalProperties": False,
}
"""Of the topic ``homeassistant/device/ID/config``, with the platforms that a camera has."""
CONFIG_TOPIC = r"homeassistant/device/([a-zA-Z0-9_-]+/)?[a-zA-Z0-9_-]+/config"
"""Topics that Home Assistant reads a device's discovery from, a regular expression."""

"""What Home Assistant wants to be told of a camera.

Source: https://www.home-assistant.io/integrations/mqtt, device discovery.
"""

from __future__ import annotations

import re
from hashlib import sha256
from importlib.metadata import version
from typing import Any


def object_id(source: str) -> str:
    """An id of the letters that Home Assistant allows; different sources have different ones."""
    plain = re.sub(r"[^a-zA-Z0-9_-]+", "_", source).strip("_")
    mark = "" if plain == source else "_" + sha256(source.encode()).hexdigest()[:8]
    return f"raftline_{plain}{mark}"


def discovery(source: str, topic: str) -> dict[str, Any]:
    """The device of a source, with its entities: whether something moves, the last event, and its image.

    Args:
        source: Its name.
        topic: What its topics begin with.
    """
    device = object_id(source)
    return {
        "device": {
            "identifiers": [device],
            "name": source,
            "manufacturer": "raftline",
            "model": "Motion of a camera",
            "sw_version": version("raftline"),
        },
        "origin": {"name": "raftline", "sw_version": version("raftline")},
        "availability": [{"topic": f"{topic}/availability"}],
        "components": {
            f"{device}_motion": {
                "platform": "binary_sensor",
                "unique_id": f"{device}_motion",
                "name": "Motion",
                "device_class": "motion",
                "state_topic": f"{topic}/motion",
            },
            f"{device}_event": {
                "platform": "event",
                "unique_id": f"{device}_event",
                "name": "Motion event",
                "event_types": ["begin", "end"],
                "state_topic": f"{topic}/event",
            },
            f"{device}_image": {
                "platform": "image",
                "unique_id": f"{device}_image",
                "name": "Last motion",
                "content_type": "image/jpeg",
                "image_topic": f"{topic}/image",
            },
        },
    }

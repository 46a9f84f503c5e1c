"""Publishes motion to an MQTT broker."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from pydantic import Field, field_validator

from pipeline import stage
from pipeline.messages import Data, EndOfStream, Message
from stages.mqtt.broker import Address, Broker
from stages.mqtt.home_assistant import discovery, object_id
from stages.mqtt.retained import RetainedTopics
from stages.shared.event_alerts import Alert, EventAlerts

_NOT_IN_TOPICS = re.compile(r"[+#/\0]")


class Mqtt(EventAlerts):
    """Publishes to an MQTT broker whether something moves, and each motion event.

    Topics, for a source ``door`` and the option ``topic: raftline``:

    - ``raftline/door/availability``: ``online`` or ``offline``, retained; ``offline`` also when the run dies
    - ``raftline/door/motion``: ``ON`` while something moves, else ``OFF``; retained
    - ``raftline/door/event``: JSON, the keys of the event log's line and ``event_type``: ``begin`` or ``end``
    - ``raftline/door/image``: JPEG of the last event, retained, if the event log writes thumbnails

    Home Assistant finds each source as a device by itself. While the broker is away, events are kept on disk.
    """

    class Options(EventAlerts.Options):
        url: str = Field(..., description="mqtt://[USER:PASSWORD@]HOST[:PORT]; mqtts:// for TLS")
        topic: str = Field("raftline", description="what topics begin with", min_length=1)
        discovery: str | None = Field(
            "homeassistant", description="what topics of Home Assistant's discovery begin with; null: no discovery"
        )
        ca_file: Path | None = Field(None, description="PEM file of the certificates to trust; null: the system's")
        timeout_seconds: float = Field(5.0, gt=0, le=60, description="longest wait for an answer, s")

        @field_validator("url")
        @classmethod
        def _is_an_address(cls, url: str) -> str:
            Address.of(url)
            return url

        @field_validator("topic", "discovery")
        @classmethod
        def _is_a_topic(cls, topic: str | None) -> str | None:
            if topic is not None and re.search(r"[+#\0]", topic):
                raise ValueError(f"must not contain + or #, which are wildcards; found {topic!r}")
            return topic and topic.strip("/")

    @classmethod
    def modules(cls, given: Mapping[str, Any]) -> Iterable[str]:
        return ("paho.mqtt.client",)

    def __init__(self, options: Options, context: stage.Context) -> None:
        super().__init__(options, context)
        self._open_events: list[str] = []
        self._topic = f"{options.topic}/{_NOT_IN_TOPICS.sub('_', context.source.name)}"

    def open(self) -> None:
        options = self.options
        self._broker = Broker(
            Address.of(options.url),
            f"{self._topic}/availability",
            self._introduce,
            self.context.log,
            ca_file=options.ca_file,
            timeout_seconds=options.timeout_seconds,
        )
        # Where hosts share cameras, it alone says how things are, for as long as this one has the camera.
        self._shared: RetainedTopics | None = None
        if self.context.holds_source() is not None:
            self._shared = RetainedTopics(self._broker, self.context.holds_source, self._retained)
            self._shared.start()
        self._broker.connect()
        super().open()

    def restore(self, snapshot: Mapping[str, Any]) -> None:
        self._open_events = list(snapshot["open"])

    def snapshot(self) -> Mapping[str, Any]:
        return {"open": self._open_events}

    def process(self, message: Data) -> Iterable[Message]:
        yield from super().process(message)
        ended = {event["uid"] for event in message.values["events"]}
        begun = [event["uid"] for event in message.values["begun"]]
        self._open_events = [uid for uid in self._open_events + begun if uid not in ended]
        self._tell_motion()

    def flush(self, end: EndOfStream) -> Iterable[Message]:
        self._open_events = []
        self._tell_motion()
        return super().flush(end)

    def close(self) -> None:
        super().close()
        if shared := getattr(self, "_shared", None):
            shared.close()
        if broker := getattr(self, "_broker", None):
            broker.close(silently=self.context.holds_source() is False)

    def deliver(self, alert: Alert) -> None:
        if alert.thumbnail is not None and alert.thumbnail.exists():
            self._broker.deliver(f"{self._topic}/image", alert.thumbnail.read_bytes(), retain=True)
        self._broker.deliver(f"{self._topic}/event", json.dumps({"event_type": alert.state, **alert.event}))

    def _introduce(self, broker: Broker) -> None:
        if self.options.discovery is not None:
            device = object_id(self.context.source.name)
            told = json.dumps(discovery(self.context.source.name, self._topic))
            broker.publish(f"{self.options.discovery}/device/{device}/config", told, retain=True)
        if self._shared is not None:
            self._shared.listen()
            return
        for topic, payload in self._retained().items():
            broker.publish(topic, payload, retain=True)

    def _tell_motion(self) -> None:
        if self._shared is not None:
            self._shared.look()
            return
        topic = f"{self._topic}/motion"
        self._broker.publish(topic, self._retained()[topic], retain=True)

    def _retained(self) -> dict[str, str]:
        motion = "ON" if self._open_events else "OFF"
        return {f"{self._topic}/availability": "online", f"{self._topic}/motion": motion}

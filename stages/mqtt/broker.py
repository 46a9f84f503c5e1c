"""A connection to an MQTT broker that comes back by itself."""

from __future__ import annotations

import logging
import ssl
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from pipeline.errors import ConfigError
from pipeline.redaction import redact
from stages.shared.outbox import NotTaken

_LONGEST_PAUSE_SECONDS = 30
"""Between two tries to connect. Chosen by hand: a broker that restarts is back within half a minute."""
_KEEP_ALIVE_SECONDS = 30
"""After one and a half of these without a sign of life the broker publishes the last will."""
_PORTS = {"mqtt": 1883, "mqtts": 8883}


@dataclass(frozen=True)
class Address:
    """Where a broker is, and who asks."""

    host: str
    port: int
    tls: bool
    user: str | None
    password: str | None = field(repr=False)

    @classmethod
    def of(cls, url: str) -> Address:
        """Raises ValueError if it is no address of a broker."""
        parts = urlsplit(url)
        if parts.scheme not in _PORTS or not parts.hostname:
            raise ValueError(f"must be mqtt://[USER:PASSWORD@]HOST[:PORT] or mqtts://..., found {redact(url)!r}")
        user, password = (unquote(each) if each else None for each in (parts.username, parts.password))
        return cls(parts.hostname, parts.port or _PORTS[parts.scheme], parts.scheme == "mqtts", user, password)


class Broker:
    """Publishes to a broker. `on_connect` is called in a thread of its own each time a connection stands."""

    def __init__(
        self,
        address: Address,
        will_topic: str,
        on_connect: Callable[[Broker], None],
        log: logging.Logger,
        *,
        ca_file: Path | None,
        timeout_seconds: float,
    ) -> None:
        """Of `connect`.

        Args:
            address: Of the broker.
            will_topic: The broker says ``offline`` there, retained, when the connection is lost.
            on_connect: What to publish first.
            log: For a line when the broker goes, and one when it is back.
            ca_file: Certificates to trust instead of the system's.
            timeout_seconds: Longest wait for an answer.

        Raises:
            ConfigError: If paho-mqtt is not installed, or `ca_file` cannot be read.
        """
        try:
            import paho.mqtt.client as paho
            from paho.mqtt.enums import CallbackAPIVersion
        except ImportError as error:
            raise ConfigError("mqtt needs the package paho-mqtt: pip install 'raftline[events]'") from error
        self._name = f"MQTT broker {address.host}:{address.port}"
        self._log, self._on_connect, self._timeout = log, on_connect, timeout_seconds
        self._hear: Callable[[str, bytes], None] = lambda topic, payload: None
        self._will_topic = will_topic
        self._trouble = ""
        client = paho.Client(CallbackAPIVersion.VERSION2)
        client.username_pw_set(address.user, address.password)
        if address.tls:
            client.tls_set_context(_trusting(ca_file))
        client.will_set(will_topic, "offline", qos=1, retain=True)
        client.reconnect_delay_set(1, _LONGEST_PAUSE_SECONDS)
        client.connect_timeout = timeout_seconds
        client.on_connect = self._connected
        client.on_connect_fail = lambda client, data: self._failed("cannot be reached")
        client.on_disconnect = self._disconnected
        client.on_message = lambda client, data, message: self._hear(message.topic, bytes(message.payload))
        self._client, self._address = client, address

    def connect(self) -> None:
        """Begin to connect; returns at once."""
        self._client.connect_async(self._address.host, self._address.port, _KEEP_ALIVE_SECONDS)
        self._client.loop_start()

    def publish(self, topic: str, payload: str | bytes, *, retain: bool = False) -> bool:
        """Publish if there is a connection; else do nothing, and return False."""
        connected = self._client.is_connected()
        if connected:
            self._client.publish(topic, payload, qos=1, retain=retain)
        return connected

    def subscribe(self, topics: Sequence[str], hear: Callable[[str, bytes], None]) -> None:
        """Call `hear`, in the connection's thread, with the topic and payload of what is published on some topics, and
        of what is retained of them now; until the connection is lost."""
        self._hear = hear
        self._client.subscribe([(topic, 1) for topic in topics])

    def deliver(self, topic: str, payload: str | bytes, *, retain: bool = False) -> None:
        """Publish, and wait until the broker has it.

        Raises:
            NotTaken: If it has not.
        """
        if not self._client.is_connected():
            raise NotTaken(f"{self._name} {self._trouble or 'does not answer'}")
        message = self._client.publish(topic, payload, qos=1, retain=retain)
        try:
            message.wait_for_publish(self._timeout)
        except (RuntimeError, ValueError) as error:
            raise NotTaken(f"{self._name}: {error}") from error
        if not message.is_published():
            raise NotTaken(f"{self._name} does not acknowledge")

    def close(self, *, silently: bool) -> None:
        """Say ``offline``, unless `silently`, and leave."""
        if self._client.is_connected() and not silently:
            self._client.publish(self._will_topic, "offline", qos=1, retain=True).wait_for_publish(self._timeout)
        self._client.disconnect()
        self._client.loop_stop()

    def _connected(self, client: Any, data: Any, flags: Any, reason: Any, properties: Any) -> None:
        if reason.is_failure:
            self._failed(f"refuses: {reason}")
            return
        if self._trouble:
            self._log.warning("%s is back", self._name)
        self._trouble = ""
        self._on_connect(self)

    def _disconnected(self, client: Any, data: Any, flags: Any, reason: Any, properties: Any) -> None:
        if reason.is_failure:
            self._failed(f"is gone: {reason}")

    def _failed(self, trouble: str) -> None:
        if not self._trouble:
            self._log.warning("%s %s; trying until it answers", self._name, trouble)
            self._trouble = trouble


def _trusting(ca_file: Path | None) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=str(ca_file) if ca_file else None)
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(f"ca_file {ca_file}: {error}; give a PEM file of certificates") from error

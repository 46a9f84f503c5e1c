"""A real MQTT broker (Debian's mosquitto) for tests, and somebody who listens to it."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import paho.mqtt.client as paho
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from tests.free_port import free_port
from tests.stages.alerting import until

PROGRAM = shutil.which("mosquitto", path=os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin")
needs_mosquitto = pytest.mark.skipif(
    PROGRAM is None and "CI" not in os.environ, reason="mosquitto is not installed: apt-get install mosquitto"
)


class Mosquitto:
    """A broker in a process of its own."""

    def __init__(self, folder: Path, *lines: str) -> None:
        self.port = free_port()
        self._config = folder / "mosquitto.conf"
        # As root it would become another user, who may not read the folders of tests.
        user = pwd.getpwuid(os.getuid()).pw_name
        self._config.write_text("\n".join((f"user {user}", f"listener {self.port} 127.0.0.1", *lines, "")))
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Returns when it listens."""
        assert PROGRAM is not None
        self._process = subprocess.Popen([PROGRAM, "-c", str(self._config)], stderr=subprocess.PIPE)
        assert self._process.stderr is not None
        for line in self._process.stderr:
            if b"running" in line:
                return
        self.stop()
        raise RuntimeError("mosquitto did not start")

    def stop(self) -> None:
        """As a power cut would. What was retained is lost."""
        if self._process is not None:
            self._process.send_signal(signal.SIGKILL)
            self._process.wait()
            assert self._process.stderr is not None
            self._process.stderr.close()
            self._process = None


@contextmanager
def mosquitto(folder: Path, *lines: str) -> Iterator[Mosquitto]:
    """A running broker.

    Args:
        folder: for its configuration.
        lines: of its configuration.
    """
    broker = Mosquitto(folder, *(lines or ("allow_anonymous true",)))
    broker.start()
    try:
        yield broker
    finally:
        broker.stop()


class Listener:
    """Hears all topics."""

    def __init__(self, port: int, user: str | None = None, password: str | None = None) -> None:
        self.heard: list[tuple[str, bytes]] = []
        self._client = paho.Client(CallbackAPIVersion.VERSION2)
        self._client.username_pw_set(user, password)
        self._client.on_message = self._hear
        ready: list[Any] = []
        self._client.on_subscribe = lambda *rest: ready.append(rest)
        self._client.connect("127.0.0.1", port)
        self._client.loop_start()
        until(self._client.is_connected)
        self._client.subscribe("#", qos=1)
        until(lambda: ready)

    def _hear(self, client: paho.Client, data: Any, message: paho.MQTTMessage) -> None:
        self.heard.append((message.topic, bytes(message.payload)))

    def publish(self, topic: str, payload: str) -> None:
        """Say something, to be retained."""
        self._client.publish(topic, payload, qos=1, retain=True).wait_for_publish(30)

    def last(self, topic: str) -> bytes | None:
        """The newest payload of a topic."""
        return next((payload for heard, payload in reversed(list(self.heard)) if heard == topic), None)

    def all(self, topic: str) -> list[bytes]:
        """All payloads of a topic."""
        return [payload for heard, payload in list(self.heard) if heard == topic]

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()


@contextmanager
def listener(port: int, **login: str) -> Iterator[Listener]:
    heard = Listener(port, **login)
    try:
        yield heard
    finally:
        heard.close()

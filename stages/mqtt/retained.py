"""Topics that a broker retains and hosts share: whoever has the camera keeps them as it says.

Another host's last will comes when its connection breaks, long after the camera has gone to this one.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping

from stages.mqtt.broker import Broker

_LOOK_SECONDS = 1.0
"""Between two looks whether the camera is here. Chosen by hand: hosts renew what they have each second or two."""


class RetainedTopics:
    """Publishes what is wanted wherever something else was heard, while this host has the camera."""

    def __init__(
        self, broker: Broker, holds: Callable[[], bool | None], wanted: Callable[[], Mapping[str, str]]
    ) -> None:
        """
        Args:
            broker: The connection.
            holds: As `Context.holds_source`.
            wanted: What is to be retained, by topic.
        """
        self._broker, self._holds, self._wanted = broker, holds, wanted
        self._heard: dict[str, bytes] = {}
        self._changed, self._stopped = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run, name="mqtt topics", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def listen(self) -> None:
        """Hear what others say. Call it each time the broker has connected."""
        self._heard.clear()
        self._broker.subscribe(list(self._wanted()), self._hear)
        self.look()

    def look(self) -> None:
        """What is wanted may have changed."""
        self._changed.set()

    def close(self) -> None:
        """Publish no more."""
        self._stopped.set()
        self._changed.set()
        self._thread.join()

    def _hear(self, topic: str, payload: bytes) -> None:
        self._heard[topic] = payload
        self._changed.set()

    def _run(self) -> None:
        stopped = False
        while not stopped:
            self._changed.wait(_LOOK_SECONDS)
            self._changed.clear()
            stopped = self._stopped.is_set()  # what has changed before is published still
            if not self._holds():
                continue
            for topic, payload in self._wanted().items():
                if self._heard.get(topic) != payload.encode() and self._broker.publish(topic, payload, retain=True):
                    self._heard[topic] = payload.encode()

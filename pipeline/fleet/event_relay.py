"""Tells the fleet of the motion events of a host's run, each once, and none of a camera that another host has."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any, Protocol, cast

import redis

from pipeline.codec import decode
from pipeline.config.plan import Plan
from pipeline.errors import DecodeError, TransportError
from pipeline.fleet.control import Told
from pipeline.fleet.facts import TellEvent
from pipeline.messages import Data
from pipeline.payload.inline import InlinePayload
from pipeline.runtime.run_status import ActiveRun
from pipeline.transport.redis_connection import explain
from pipeline.transport.redis_streams import RedisStreams

KIND = "motion_events"
"""Of the `Data` that tells of events, as `stages.event_log` writes it."""
_BLOCK_MS = 200
_AT_ONCE = 100
_MOST_WAITING = 10_000
"""Events that wait for the control Redis; then the oldest are given up. Chosen by hand: some hours of a busy host."""
_PAUSE_SECONDS = 0.5

log = logging.getLogger("raftline.fleet")


def event_stages(plan: Plan) -> list[str]:
    """Stages that may tell of events: those that write `Data`."""
    return [name for name, stage in plan.stages.items() if getattr(stage.cls, "writes", None) is Data]


class Teller(Protocol):
    """Where events are told."""

    def publish(self, token: str, told: TellEvent) -> Told:
        """Tell of one. Raises `TransportError`."""
        ...


class EventRelay:
    """Follows the streams of events of a run, in a thread of its own, and without a consumer group."""

    def __init__(
        self,
        run: ActiveRun,
        stages: Collection[str],
        cameras: Callable[[], Collection[str]],
        token: Callable[[str], str | None],
        teller: Teller,
        on_told: Callable[[str, bool], None] | None = None,
    ) -> None:
        """
        Args:
            run: The run.
            stages: Those that write `Data`.
            cameras: Those that the host has.
            token: Of the lease of a camera; None where the host has none.
            teller: The control Redis.
            on_told: Called with the key of each event, and whether it was told; None: nobody asks.
        """
        self._transport = RedisStreams(run.redis_url, run.name)
        self._stages, self._cameras, self._token, self._teller = stages, cameras, token, teller
        self._on_told = on_told
        self._last: dict[bytes, tuple[str, bytes]] = {}
        """Of each stream: its camera, and the entry that was read last."""
        self._waiting: deque[TellEvent] = deque(maxlen=_MOST_WAITING)
        self._read_at = 0.0
        self.counts: dict[Told, int] = {"taken": 0, "known": 0, "stale": 0}
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="event relay", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def close(self) -> None:
        """Tell what is there, if the control Redis answers, and end."""
        self._stopped.set()
        self._thread.join()
        self._transport.close()

    def relayed_until(self, camera: str) -> float:
        """The time (`time.monotonic`) up to which all events of a camera were told."""
        return 0.0 if any(each.camera == camera for each in list(self._waiting)) else self._read_at

    def _run(self) -> None:
        lost = ""
        while not self._stopped.is_set():
            try:
                begin = time.monotonic()
                self._read()
                self._tell_waiting()
                self._read_at, lost = begin, ""
            except TransportError as error:
                if not lost:
                    log.warning("events wait to be told: %s", error)
                lost = str(error)
                self._stopped.wait(_PAUSE_SECONDS)

    def _read(self) -> None:
        keys = self._transport.keys
        wanted = {keys.stream(camera, stage).encode(): camera for camera in self._cameras() for stage in self._stages}
        self._last = {key: self._last.get(key, (camera, b"0-0")) for key, camera in wanted.items()}
        if not self._last:
            self._stopped.wait(_BLOCK_MS / 1000)
            return
        positions = {key: last for key, (_, last) in self._last.items()}
        try:
            found = self._transport.client.xread(positions, count=_AT_ONCE, block=_BLOCK_MS)  # type: ignore[arg-type]
        except redis.RedisError as error:
            raise explain(error, self._transport.where) from error
        for key, entries in cast("list[tuple[bytes, list[tuple[bytes, Mapping[bytes, bytes]]]]]", found):
            camera = self._last[key][0]
            for id, fields in entries:
                self._waiting.extend(_events(camera, fields))
                self._last[key] = (camera, id)

    def _tell_waiting(self) -> None:
        while self._waiting:
            told = self._waiting[0]
            token = self._token(told.camera)
            answer: Told = "stale" if token is None else self._teller.publish(token, told)
            self.counts[answer] += 1
            if answer == "stale":
                log.warning("an event of %s was not told: another host has the camera", told.camera)
            if self._on_told is not None:
                self._on_told(told.key, answer != "stale")
            self._waiting.popleft()


def _events(camera: str, fields: Mapping[bytes, bytes]) -> Iterator[TellEvent]:
    if fields.get(b"type") != b"Data":
        return
    try:
        message = decode(fields, InlinePayload())
    except DecodeError:
        return
    if isinstance(message, Data) and message.kind == KIND:
        values: Mapping[str, Any] = message.values
        yield from (TellEvent(camera, "begin", event) for event in values.get("begun", ()))
        yield from (TellEvent(camera, "end", event) for event in values.get("events", ()))

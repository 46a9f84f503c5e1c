"""The run that the page watches: its status and its plan, read as any reader may, without a consumer group."""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pipeline.errors import ConfigError, TransportError
from pipeline.runtime.run_status import ActiveRun, active_runs, told
from pipeline.transport.redis_streams import RedisStreams
from raftline.web.models import RunState
from raftline.web.rates import Rates
from raftline.web.state import run_state

_FRESH_SECONDS = 0.9
"""However many look, Redis is asked once in this time. The run tells its status twice a second."""


class WatchedRun:
    """A run by its name, found again when it is started anew."""

    def __init__(self, name: str | None = None, redis_url: str | None = None, output: Path | None = None) -> None:
        """
        Args:
            name: Of the pipeline; None: the only one that runs on this machine.
            redis_url: Of its server; None: found by the run directories of this user.
            output: Directory of its results; None: as the run says.
        """
        self._name, self._redis_url, self._output = name, redis_url, output
        self._lock = threading.Lock()
        self._transport: RedisStreams | None = None
        self._url: str | None = None
        self._rates = Rates()
        self._state = RunState(name=name, state="none")
        self._read_at: float | None = None

    @property
    def name(self) -> str | None:
        """Of the pipeline, once it is known."""
        return self._name or self._state.name

    @property
    def output(self) -> Path | None:
        """Directory of the results, once it is known."""
        run = None if self._output else self.active()
        if run is not None:
            self._output = run.output
        return self._output

    def active(self) -> ActiveRun | None:
        """The run, if it is one of this user on this machine that goes on."""
        runs = [run for run in active_runs() if self._name in (None, run.name)]
        if self._name is None and len({run.name for run in runs}) > 1:
            return None
        return runs[-1] if runs else None

    def reachable(self) -> ActiveRun | None:
        """The run, wherever it is, to ask something of it."""
        active = self.active()
        if active is None and self._redis_url is not None and self._name is not None:
            return ActiveRun(self._name, self._redis_url)
        return active

    def state(self) -> RunState:
        """What the page shows, at most `_FRESH_SECONDS` old."""
        with self._lock:
            if self._read_at is None or time.monotonic() - self._read_at > _FRESH_SECONDS:
                self._state, self._read_at = self._read(), time.monotonic()
            return self._state

    @contextlib.contextmanager
    def transport(self) -> Iterator[RedisStreams]:
        """A connection of one's own to the run's server. Raises `TransportError` where there is no run."""
        url, name = self._where()
        if url is None or name is None:
            raise TransportError(
                f"no run{f' {self._name!r}' if self._name else ''} goes on; start it with raftline run"
            )
        with contextlib.closing(RedisStreams(url, name)) as transport:
            yield transport

    def close(self) -> None:
        """Close the connection."""
        with self._lock:
            self._disconnect()

    def _where(self) -> tuple[str | None, str | None]:
        if self._redis_url is not None:
            return self._redis_url, self._name
        run = self.active()
        return (None, self._name) if run is None else (run.redis_url, run.name)

    def _read(self) -> RunState:
        try:
            status = self._told()
        except TransportError:  # the run has ended, and its private server with it
            self._disconnect()
            status = None
        if status is None:
            gone = self._state.state in ("running", "silent", "ended")
            return (
                self._state.model_copy(update={"state": "ended"}) if gone else RunState(name=self._name, state="none")
            )
        return run_state(status, self._rates)

    def _told(self) -> dict[str, Any] | None:
        url, name = self._where()
        if url != self._url:
            self._disconnect()
        if url is None or name is None:
            return None
        if self._transport is None:
            self._transport, self._url = RedisStreams(url, name), url
        return told(self._transport)

    def _disconnect(self) -> None:
        if self._transport is not None:
            with contextlib.suppress(TransportError):
                self._transport.close()
        self._transport = self._url = None


def only_run() -> str:
    """The name of the one run on this machine. Raises `ConfigError` where there is none, or are several."""
    names = sorted({run.name for run in active_runs()})
    if len(names) != 1:
        found = "none" if not names else ", ".join(names)
        raise ConfigError(f"raftline web: found {found} running on this machine; give the name of one pipeline")
    return names[0]


def as_json(state: RunState) -> str:
    """For an event of the stream."""
    return json.dumps(state.model_dump(mode="json"), separators=(",", ":"))

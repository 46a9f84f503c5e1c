"""Runs the cameras of a host as sources of one live run."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from pipeline import plugin_files
from pipeline.errors import ConfigError, TransportError, UserError
from pipeline.fleet.facts import CameraStatus
from pipeline.redaction import redact
from pipeline.runtime import source_changes
from pipeline.runtime.run_status import ActiveRun, source_state

_AT_ONCE = 16
"""Requests to the run. Chosen by hand: it takes all that are there twice a second."""


@dataclass
class _Camera:
    """A camera between its start and its end."""

    section: Mapping[str, Any]
    since: str
    asked: Future[str] = field(default_factory=Future)
    """The answer of the run."""
    asked_at: float = float("inf")
    """When it came."""
    gone_at: float = float("inf")
    """When the run was first seen without it."""
    tries: int = 0
    leaves: bool = False


class RunCarrier:
    """A `pipeline.fleet.placement.Carrier`. Any thread may call it."""

    def __init__(self, run: Callable[[], ActiveRun], relayed_until: Callable[[str], float] | None = None) -> None:
        """
        Args:
            run: The run. Raises `TransportError` until it has begun.
            relayed_until: Of a camera, the time (`time.monotonic`) up to which its events were told to the fleet; a
                camera that has left is there until they all were. None: nobody tells them.
        """
        self._run = run
        self._relayed_until = relayed_until or (lambda camera: float("inf"))
        self._cameras: dict[str, _Camera] = {}
        self._pool = ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="camera changes")
        self._status: Mapping[str, Any] = {"sources": {}}
        self._status_at = 0.0

    def look(self, status: Mapping[str, Any]) -> None:
        """Take a status of the run's supervisor."""
        self._status, self._status_at = status, time.monotonic()

    def close(self) -> None:
        """Wait for requests that are under way."""
        self._pool.shutdown(cancel_futures=True)

    def start(self, camera: str, section: Mapping[str, Any]) -> None:
        known = self._cameras[camera] = _Camera(section, _now())
        known.asked = self._pool.submit(self._add, known, camera)

    def stop(self, camera: str) -> None:
        known = self._cameras.get(camera)
        if known is not None and not known.leaves:
            known.leaves = True
            known.asked = self._pool.submit(self._remove, known, camera, known.asked)

    def states(self) -> dict[str, CameraStatus]:
        sources, at = self._status["sources"], self._status_at
        for name, each in self._cameras.items():
            if not each.leaves and each.asked.done() and isinstance(each.asked.exception(), TransportError):
                each.asked = self._pool.submit(self._add, each, name)  # the run was busy
        for name in [name for name, each in self._cameras.items() if self._is_gone(name, each, sources, at)]:
            del self._cameras[name]
        return {name: _state(each, sources.get(name)) for name, each in self._cameras.items()}

    def _is_gone(self, name: str, camera: _Camera, sources: Mapping[str, Any], at: float) -> bool:
        if not camera.asked.done():
            return False
        error = camera.asked.exception()
        if not camera.leaves:
            return error is None and name not in sources and camera.asked_at < at  # somebody else removed it
        if isinstance(error, TransportError):  # the run was busy
            camera.asked = self._pool.submit(self._remove, camera, name, None)
            return False
        if error is None and (name in sources or at <= camera.asked_at):
            return False
        # From when it was first seen to be gone: the last status may always be newer than what was relayed.
        camera.gone_at = min(camera.gone_at, at)
        return error is not None or camera.gone_at < self._relayed_until(name)

    def _add(self, known: _Camera, camera: str) -> str:
        run, section = self._run(), known.section
        use, options = section.get("use"), section.get("options")
        if use is not None and run.file is not None:
            use = plugin_files.located(use, run.file.parent)
        known.tries += 1
        try:
            told = source_changes.add(run, str(section["input"]), name=camera, use=use, options=options)
        except ConfigError:
            if known.tries == 1 or all(source.name != camera for source in source_changes.current(run)):
                raise
            told = f"added {camera}"  # by a try before, whose answer came too late
        known.asked_at = time.monotonic()
        return told

    def _remove(self, known: _Camera, camera: str, added: Future[str] | None) -> str:
        known.asked_at = float("inf")
        if added is not None:
            added.result()  # raises what it raised: then there is nothing to remove
        told = source_changes.remove(self._run(), camera)
        known.asked_at = time.monotonic()
        return told


def _state(camera: _Camera, source: Mapping[str, Any] | None) -> CameraStatus:
    if camera.leaves:
        return CameraStatus("leaving", camera.since)
    if camera.asked.done() and (error := camera.asked.exception()) is not None:
        said = error if isinstance(error, UserError) else f"{type(error).__name__}: {error}"
        return CameraStatus("refused", camera.since, redact(said))
    if source is None:
        return CameraStatus("starting", camera.since)
    state, says = source_state(source)
    return CameraStatus(state, says.get("since") or camera.since, redact(source["error"] or says.get("trouble") or ""))


def _now() -> str:
    return datetime.now().astimezone().isoformat(timespec="seconds")

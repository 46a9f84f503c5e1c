"""What a run says of itself, for other processes: one key in Redis, read without a group and without pixels."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pipeline.config.plan import Plan
from pipeline.runtime.run_directory import run_directories
from pipeline.transport.redis_connection import translate_redis_errors
from pipeline.transport.redis_streams import RedisStreams

STUCK_SECONDS = 15.0
"""A supervisor tells its status twice a second, and may wait some seconds for Redis. Chosen by hand."""
_KEPT_SECONDS = 60
"""After a run was killed, its last words can be read for so long. Chosen by hand."""


@translate_redis_errors
def tell(transport: RedisStreams, status: dict[str, Any]) -> dict[str, Any]:
    """Leave a supervisor's status for others, and return it."""
    transport.client.set(transport.keys.run_status, json.dumps(status), ex=_KEPT_SECONDS)
    return status


@dataclass(frozen=True)
class ActiveRun:
    """A run of this user on this machine."""

    name: str
    redis_url: str
    """May contain a password: never show it."""
    directory: Path | None = None
    """Its run directory; None for a run of another machine or user."""
    output: Path | None = None
    """Directory of its results, likewise."""
    file: Path | None = None
    """Its configuration, likewise."""

    def status(self) -> dict[str, Any] | None:
        """What it told last; None before its first word. Raises `TransportError` where its server does not answer."""
        with contextlib.closing(RedisStreams(self.redis_url, self.name)) as transport:
            return told(transport)


@translate_redis_errors
def told(transport: RedisStreams) -> dict[str, Any] | None:
    """The last status that a run of this name told, and how long ago (``age_seconds``); None where there is none."""
    key = transport.keys.run_status
    text, left_ms = transport.client.get(key), transport.client.pttl(key)
    if text is None:
        return None
    return {**json.loads(text), "age_seconds": round(max(0.0, _KEPT_SECONDS - left_ms / 1000), 1)}


SourceState = Literal["starting", "live", "trying", "running", "leaving", "finished", "stopped", "failed"]


def source_state(source: Mapping[str, Any]) -> tuple[SourceState, Mapping[str, str]]:
    """How a source does, by its part of the status, and what its Source says: ``since``, ``trouble``, ``next_try``."""
    says = next(iter(source["stages"].values()))["status"] if source["stages"] else {}
    if source["state"] != "running":
        return source["state"], says
    if says.get("trouble"):
        return "trying", says
    if source["policy"] != "live":
        return "running", says
    return "live" if source["frames_decoded"] else "starting", says


def plan_of(name: str) -> Plan | None:
    """The plan of a run of this user on this machine; None where there is none of that name.

    Nothing of other runs is taken up: where their plug-ins lie, modules of this run's names may lie, too.
    """
    for directory in run_directories():
        with contextlib.suppress(OSError, ValueError, KeyError):
            text = (directory / "plan.json").read_text()
            if json.loads(text)["name"] == name:
                return Plan.from_json(text)
    return None


def active_runs() -> Iterator[ActiveRun]:
    """Runs of this user on this machine, found by their run directories."""
    for directory in run_directories():
        with contextlib.suppress(OSError, ValueError, KeyError):
            plan = json.loads((directory / "plan.json").read_text())
            output, file = Path(plan["folder"], plan["output"]), Path(plan["file"])
            yield ActiveRun(plan["name"], plan["redis_url"], directory, output, file)

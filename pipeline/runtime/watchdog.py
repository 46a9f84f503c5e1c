"""Where a source makes no progress: which of its stages waits for what."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.config.plan import Plan
from pipeline.runtime.metrics import FRAMES
from pipeline.transport.redis_connection import translate_redis_errors
from pipeline.transport.redis_streams import RedisStreams

STILL_SECONDS = 10.0
"""Without any frame of a source for so long, its status says why. Chosen by hand: longer than a stage takes to load."""
_NOT_RUNNING = {
    "T": "is stopped by a signal",
    "t": "is stopped by a debugger",
    "Z": "has died",
    "D": "waits for a disk",
}
"""States of a process in ``/proc`` in which it does nothing."""


@dataclass(frozen=True)
class _Standing:
    """How it stands with a stage and a source."""

    owner: str | None
    """Token of the worker that has the source."""
    in_hand: int
    """Messages that it has taken and not acknowledged."""
    unread: int
    """Messages that wait for it."""
    ended: bool
    """It is done with the source."""


class Watchdog:
    """Looks at the status of a run again and again."""

    def __init__(self, transport: RedisStreams) -> None:
        self._transport = transport
        self._done: dict[str, tuple[int, float]] = {}
        """By source: frames that all its stages have processed, and since when it is so many."""

    def look(self, plan: Plan, sources: Mapping[str, dict[str, Any]], pids: Mapping[str, list[int]]) -> None:
        """Add ``waits`` to the status of each source that makes no progress, in words; "" to that of the others."""
        now = time.monotonic()
        for name, source in sources.items():
            done = sum(stage[FRAMES] for stage in source["stages"].values())
            before, since = self._done.get(name, (-1, now))
            since = since if done == before else now
            self._done[name] = done, since
            still_seconds = now - since
            source["waits"] = ""
            if source["state"] == "running" and still_seconds > STILL_SECONDS:
                reasons = "; ".join(self._reasons(plan, name, source, pids))
                source["waits"] = f"no progress for {still_seconds:.0f} s: {reasons}"

    def _reasons(self, plan: Plan, source: str, status: Mapping[str, Any], pids: Mapping[str, list[int]]) -> list[str]:
        standings = {stage: self._standing(plan, source, stage) for stage in plan.stages}
        reasons = []
        for stage, standing in standings.items():
            processes = pids.get(stage, [])
            states = [(pid, _NOT_RUNNING[state]) for pid in processes if (state := _state(pid)) in _NOT_RUNNING]
            waiting = standing.in_hand + standing.unread
            if standing.ended:
                continue
            if states:
                reasons += [f"the worker of {stage} (process {pid}) {state}" for pid, state in states]
            elif standing.owner is None:
                reasons.append(f"{stage} has no worker that owns the source: {_without(processes)}")
            elif plan.stages[stage].reads is None:
                trouble = status["stages"][stage]["status"].get("trouble")
                full = [reader for reader in plan.stages[stage].readers if standings[reader].unread]
                if not full:
                    reasons.append(f"{stage} waits for the input{f' ({trouble})' if trouble else ''}")
            elif waiting and not any(standings[reader].unread for reader in plan.stages[stage].readers):
                reasons.append(f"{stage} has {standing.in_hand} messages in hand and {standing.unread} to read, and "
                               "finishes none")  # fmt: skip
        return reasons or ["every stage waits for messages of the one before it"]

    @translate_redis_errors
    def _standing(self, plan: Plan, source: str, stage: str) -> _Standing:
        client, keys = self._transport.client, self._transport.keys
        owner = client.get(keys.lease(source, stage))
        reads = plan.stages[stage].reads
        in_hand = unread = 0
        if reads is not None:
            for group in client.xinfo_groups(keys.stream(source, reads)):
                if group["name"].decode() == stage:
                    in_hand = int(group["pending"])
                    last = group["last-delivered-id"].decode()
                    unread = len(client.xrange(keys.stream(source, reads), min=f"({last}", count=plan.limits.entries))
        ended = bool(client.hexists(keys.state(source, stage), "ended"))
        return _Standing(None if owner is None else owner.decode(), in_hand, unread, ended)


def _without(processes: list[int]) -> str:
    return "it is starting, or waits for the lease of another" if processes else "it is started again"


def _state(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return ""

"""Give back what a source had that was removed: its streams and state in Redis, its shared memory."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pipeline.config.plan import Plan
from pipeline.runtime.run_folder import remove_run_folders
from pipeline.runtime.summary import summarize_source
from pipeline.transport.base import Lease
from pipeline.transport.keys import ring_name
from pipeline.transport.redis_connection import translate_redis_errors
from pipeline.transport.redis_streams import RedisStreams

_CLOSED_SECONDS = 3.0
"""How long nobody can take up a source that is gone: several times as long as a worker takes to learn that it is.
Chosen by hand. Then its leases end, and nothing of it is left."""


class SourceRemoval:
    """Waits until every stage has finished a source, closes it to all workers, and removes what it leaves."""

    def __init__(self, source: str) -> None:
        self.source = source
        self.summary: dict[str, Any] = {}
        """What the source had come to when it was removed."""
        self._leases: dict[str, Lease] = {}

    def finished(self, plan: Plan, transport: RedisStreams) -> bool:
        """Whether every stage has finished, and given the source back. From then on no worker can take it up.

        Where the server was lost while it removed what is left, it may have forgotten already that they have finished.
        """
        if self.summary:
            return True
        if not all(transport.progress(self.source, stage).ended for stage in plan.stages):
            return False
        for stage in plan.stages:
            held = self._leases.get(stage)
            if held is None or not held.renew():
                lease = transport.acquire(self.source, stage, "supervisor", _CLOSED_SECONDS)
                if lease is None:
                    return False
                self._leases[stage] = lease
        return True

    def remove(self, plan: Plan, transport: RedisStreams, rings: Path) -> None:
        """Remove what is left. `finished` must have said that nobody is at work. May be repeated."""
        self.summary = self.summary or summarize_source(plan, transport, self.source)
        names = []
        for stage in plan.stages:
            for ring in rings.glob(f"{ring_name(self.source, stage)}:*.ring"):
                names.append(ring.stem)
                if ring.is_symlink():  # it lies on disk
                    ring.resolve().unlink(missing_ok=True)
                ring.unlink(missing_ok=True)
        remove_run_folders(rings, self.source)
        _forget(transport, self.source, list(plan.stages), names)


@translate_redis_errors
def _forget(transport: RedisStreams, source: str, stages: list[str], rings: list[str]) -> None:
    keys = transport.keys
    names = [key for stage in stages for key in keys.of_source(source, stage)]
    names += [key(ring) for ring in rings for key in (keys.free, keys.held)]
    transport.client.unlink(*names)

"""How a worker learns what became of its run: that it goes on, and that its plan has changed."""

from __future__ import annotations

import json
import logging
import os
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from pipeline.config.plan import Plan, SourcePlan
from pipeline.stage import SourceInfo
from pipeline.transport.base import Transport
from pipeline.transport.redis_connection import translate_redis_errors
from pipeline.transport.redis_streams import RedisStreams

_RUN_GONE_SECONDS = 3.0
"""A worker of another host ends once a run's data has been away for so long. Chosen by hand: after a restart of Redis
without persistence the supervisor marks it as its own again within a second."""

log = logging.getLogger("raftline.worker")


class RunNews:
    """What a worker is told by a run that never changes."""

    def goes_on(self) -> bool | None:
        """Whether there is a run to take part in; None: there was one, and it has ended."""
        return True

    def plan(self) -> Plan | None:
        """The plan, if it has changed since this was asked last."""
        return None


class PlanFile(RunNews):
    """The plan as the supervisor of this machine keeps it, in the run's directory."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seen = self._state()
        self.first = Plan.from_json(path.read_text())

    @staticmethod
    def write(path: Path, plan: Plan) -> None:
        """Replace the file as a whole. It holds passwords: nobody else may read it."""
        new = path.with_suffix(".new")
        new.unlink(missing_ok=True)
        new.touch(mode=0o600)
        new.write_text(plan.to_json())
        os.replace(new, path)

    def plan(self) -> Plan | None:
        state = self._state()
        if state == self._seen:
            return None
        self._seen = state
        return Plan.from_json(self._path.read_text())

    def _state(self) -> tuple[int, int]:
        told = self._path.stat()
        return told.st_ino, told.st_mtime_ns


class RemoteRun(RunNews):
    """A run of another machine, which tells its sources without their inputs.

    A source that was added or changed there is read there: this machine does not know its password. For every other
    stage its name is enough.
    """

    def __init__(self, plan: Plan, stage: str, transport: Transport) -> None:
        self._own = plan
        self._reads_inputs = stage == plan.source_stage
        self._transport = transport
        self._stage = stage
        self._run_seen: float | None = None
        self._sources: bytes | None = None

    def goes_on(self) -> bool | None:
        now = time.monotonic()
        if self._transport.has_run():
            self._run_seen = now
            return True
        if self._run_seen is not None and now - self._run_seen > _RUN_GONE_SECONDS:
            log.warning("stage %s: the run has ended", self._stage)
            return None
        return False

    def plan(self) -> Plan | None:
        sources = read_sources(self._transport) if isinstance(self._transport, RedisStreams) else None
        if sources is None or sources == self._sources:
            return None
        self._sources = sources
        told = {name: self._source(name, each) for name, each in json.loads(sources).items()}
        return replace(self._own, sources={name: each for name, each in told.items() if each is not None})

    def _source(self, name: str, told: Mapping[str, Any]) -> SourcePlan | None:
        own = self._own.sources.get(name)
        lives = {"life": told["life"], "revision": told["revision"], "leaves": told["leaves"]}
        if own is not None and told["life"] == 0 and told["revision"] == 0:
            return replace(own, **lives)
        if self._reads_inputs:
            return None
        info = SourceInfo(name, told["display"], told["display"], told["live"])
        return SourcePlan(told["use"], {}, info=info, policy=told["policy"], **lives)


@translate_redis_errors
def read_sources(transport: RedisStreams) -> bytes | None:
    """What `tell_sources` left, as it is; None where there is nothing."""
    return transport.client.get(transport.keys.sources)


@translate_redis_errors
def tell_sources(transport: RedisStreams, plan: Plan) -> None:
    """Tell workers of other machines which sources there are, without inputs and options, which may hold passwords."""
    told = {
        name: {
            "use": source.use,
            "policy": source.policy,
            "display": source.info.display,
            "live": source.info.live,
            "life": source.life,
            "revision": source.revision,
            "leaves": source.leaves,
        }
        for name, source in plan.sources.items()
    }
    transport.client.set(transport.keys.sources, json.dumps(told))

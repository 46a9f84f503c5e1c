"""The plan of a run: a checked configuration with its classes and wiring."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from pydantic import ValidationError

from pipeline import registry
from pipeline.config.explain import explain
from pipeline.config.schema import Limits
from pipeline.errors import ConfigError, InputError
from pipeline.stage import FULL_DEMAND, Demand, Options, Source, SourceInfo, Stage

Policy = Literal["lossless", "live"]


@dataclass(frozen=True)
class PluginPlan:
    """A plug-in by name, with its options as the user wrote them. Class and checked options are made on demand."""

    use: str
    """``module:Class``, or the name of an entry point."""
    given: Mapping[str, Any]
    """Options as written in the configuration."""

    @cached_property
    def cls(self) -> registry.PluginClass:
        """The class, imported at first use.

        Raises:
            PluginError: If it cannot be imported.
        """
        return registry.load(self.use)

    @cached_property
    def options(self) -> Options:
        """The options, checked and completed by the plug-in's own `Options`.

        Raises:
            ConfigError: If they are wrong.
        """
        try:
            return self.cls.Options.model_validate(dict(self.given))
        except ValidationError as error:
            raise ConfigError(explain(error, self.cls.Options, ("options",), lambda _: self.use)) from None


@dataclass(frozen=True)
class StagePlan(PluginPlan):
    """One entry of `stages`: a `Stage`, or the one `Source`."""

    name: str
    reads: str | None = None
    """Stage that it reads; None for the Source."""
    readers: tuple[str, ...] = ()
    """Stages that read it."""
    needs: frozenset[str] = frozenset()
    """Union of the readers' `Stage.needs`."""
    demand: Demand = FULL_DEMAND
    """What the readers ask for by `Stage.accuracy`."""
    workers: int | None = None
    """Number of processes that share the sources; None: the run works it out."""
    threads: int | None = None
    """Threads each of them computes with; None: its share of the cores, which the run works out."""

    @cached_property
    def supports_batching(self) -> bool:
        """Whether the stage implements `Stage.prepare_batch`."""
        own = getattr(self.cls, "prepare_batch", Stage.prepare_batch)
        return own.__func__ is not Stage.prepare_batch.__func__


@dataclass(frozen=True)
class SourcePlan(PluginPlan):
    """One camera or file, and the Source that reads it."""

    info: SourceInfo
    policy: Policy = "lossless"
    life: int = 0
    """Its number among the sources of the run: one that comes back under its name has another."""
    revision: int = 0
    """How often it was changed while the run went on."""
    leaves: bool = False
    """Whether it was removed: its stream ends, and its stages finish."""

    def check_input(self) -> None:
        """Refuse an input that is wrong on sight.

        Raises:
            InputError: With the name of the source.
        """
        assert issubclass(self.cls, Source)
        try:
            self.cls.check_input(self.info.input, self.info.display)
        except InputError as error:
            raise InputError(f"source {self.info.name}: {error}") from None


@dataclass(frozen=True)
class Plan:
    """Everything that a supervisor or a worker needs to know."""

    name: str
    payload: Literal["shm", "inline"]
    output: Path
    redis_url: str | None
    """None: start a private server. May contain a password: never log it."""
    redis_memory_mb: int
    limits: Limits
    source_stage: str
    stages: dict[str, StagePlan]
    """In topological order: each stage comes after the one it reads; the Source is first."""
    sources: dict[str, SourcePlan]
    cores: int | None = None
    """CPU cores that the stages share; None: all that the machine allows."""
    ring_bytes: int | None = None
    """Shared memory for the frames of one stage and source, unless their readers hold more; None: not bounded."""
    search_path: tuple[str, ...] = field(default=())
    """Directories that are searched for the modules of plug-ins, after the installed ones."""
    run: str = ""
    """Process, host and start of the run, in words; for the messages of other runs."""
    file: str = ""
    """Absolute path of the configuration that it was made of."""
    folder: str = ""
    """The working directory in which it was made: relative paths start there."""

    def to_json(self) -> str:
        """The plan as text for another process. Contains passwords: store it where nobody else can read it."""
        stages = {name: _stage(stage) for name, stage in self.stages.items()}
        sources = {name: _source(source) for name, source in self.sources.items()}
        plain = {
            "name": self.name,
            "payload": self.payload,
            "output": str(self.output),
            "redis_url": self.redis_url,
            "redis_memory_mb": self.redis_memory_mb,
            "limits": self.limits.model_dump(),
            "source_stage": self.source_stage,
            "stages": stages,
            "sources": sources,
            "cores": self.cores,
            "ring_bytes": self.ring_bytes,
            "search_path": list(self.search_path),
            "run": self.run,
            "file": self.file,
            "folder": self.folder,
        }
        return json.dumps(plain)

    @staticmethod
    def from_json(text: str) -> Plan:
        """The plan that `to_json` wrote. Plug-ins are imported only when their class is used."""
        plain = json.loads(text)
        registry.add_search_path(plain["search_path"])
        stages = {name: StagePlan(name=name, **{**s, **_of_readers(s)}) for name, s in plain.pop("stages").items()}
        sources = {
            name: SourcePlan(**{**s, "info": SourceInfo(**s["info"])}) for name, s in plain.pop("sources").items()
        }
        rest = {
            "output": Path(plain.pop("output")),
            "limits": Limits(**plain.pop("limits")),
            "search_path": tuple(plain.pop("search_path")),
        }
        return Plan(**plain, **rest, stages=stages, sources=sources)


def _plugin(plan: PluginPlan) -> dict[str, Any]:
    return {"use": plan.use, "given": dict(plan.given)}


def _stage(plan: StagePlan) -> dict[str, Any]:
    return {
        **_plugin(plan),
        "reads": plan.reads,
        "readers": plan.readers,
        "needs": sorted(plan.needs),
        "demand": asdict(plan.demand),
        "workers": plan.workers,
        "threads": plan.threads,
    }


def _source(plan: SourcePlan) -> dict[str, Any]:
    lives = {"life": plan.life, "revision": plan.revision, "leaves": plan.leaves}
    return {**_plugin(plan), "info": asdict(plan.info), "policy": plan.policy, **lives}


def _of_readers(plain: Mapping[str, Any]) -> dict[str, Any]:
    asked = plain["demand"]
    demand = Demand(asked["accuracy"], tuple(asked["readers"]), tuple(asked["also"]))
    return {"readers": tuple(plain["readers"]), "needs": frozenset(plain["needs"]), "demand": demand}

"""What changes in a run while it goes on: the supervisor's part of it.

Requests (`pipeline.runtime.source_changes`) and edits of the configuration file become a new configuration, which is
checked as at the start; what it changes is applied, or nothing is.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from pipeline.config.live import LiveConfig
from pipeline.config.plan import Plan, SourcePlan, StagePlan
from pipeline.config.schema import Config
from pipeline.config.wiring import make_plan
from pipeline.errors import ConfigError, UserError
from pipeline.input_paths import STANDARD_INPUT
from pipeline.redaction import redact
from pipeline.runtime.cores import share_cores
from pipeline.runtime.crew import Crew
from pipeline.runtime.hosted import describe
from pipeline.runtime.roster import Roster
from pipeline.runtime.run_news import tell_sources
from pipeline.runtime.source_changes import Request, answer, take
from pipeline.runtime.source_removal import SourceRemoval
from pipeline.stage import Stage
from pipeline.transport.redis_streams import RedisStreams

_CHANGES_TOLD = 20
_REMOVED_TOLD = 1000
"""How many of the last changes and removed sources the status holds. Chosen by hand: what a person reads, and a bound
on a run of months."""

log = logging.getLogger("raftline.changes")


@dataclass(frozen=True)
class _Checked:
    """A configuration that may hold from now on."""

    config: Config
    plan: Plan
    stages: list[str]
    """Those whose options differ from now."""


class RunChanges:
    """Takes changes, has them followed, and removes what has left."""

    def __init__(self, crew: Crew, transport: RedisStreams, live: LiveConfig | None) -> None:
        """`live` None: the run takes no changes."""
        self._crew = crew
        self._transport = transport
        self._live = live
        self._roster = Roster(crew.plan.sources)
        self._removals: dict[str, SourceRemoval] = {}
        self._unfollowed: Plan | None = None
        self._untold: deque[tuple[Request, bool, str]] = deque()
        """Requests that were decided, and the answers to them."""
        self._trouble = ""
        self._changes: deque[dict[str, str]] = deque(maxlen=_CHANGES_TOLD)
        self._removed: deque[dict[str, Any]] = deque(maxlen=_REMOVED_TOLD)

    def look(self) -> None:
        """Take what was asked for and edited since, and apply it. Raises `TransportLost` where the server is away."""
        if self._live is None:
            return
        self._settle()
        while (request := take(self._transport, self._crew.rings)) is not None:
            self._decide(self._live, request)
            self._settle()
        self._take_edit(self._live)
        self._settle()
        self._note_taken_back(self._live)
        tell_sources(self._transport, self._crew.plan)

    def remove_finished(self) -> None:
        """Remove the sources whose stages have finished them since they were asked to leave."""
        for name, source in list(self._crew.plan.sources.items()):
            if not source.leaves:
                continue
            removal, plan = self._removals.setdefault(name, SourceRemoval(name)), self._crew.plan
            if not removal.finished(plan, self._transport):
                continue
            removal.remove(plan, self._transport, self._crew.rings)
            self._removed.append(_removed(name, removal.summary))
            del self._removals[name]
            self._roster.gone(name)
            self._crew.follow(replace(plan, sources={n: s for n, s in plan.sources.items() if n != name}))
            self._unfollowed = replace(plan, sources=self._roster.sources)
            self._settle()

    def told(self) -> dict[str, Any]:
        """For the status and the summary."""
        if self._live is None:
            return {}
        changes = {"file": str(self._live.file), "trouble": self._trouble, "changes": list(self._changes)}
        return {"configuration": changes, "removed_sources": list(self._removed)}

    def _decide(self, live: LiveConfig, request: Request) -> None:
        by = f"source {request.action}"
        try:
            checked = self._checked(lambda: _proposal(live, request))
        except UserError as error:
            log.warning("%s: refused, and nothing was changed: %s", by, redact(error))
            self._untold.append((request, False, f"{error}; nothing was changed"))
        else:
            self._untold.append((request, True, self._apply(live, by, checked)))

    def _take_edit(self, live: LiveConfig) -> None:
        try:
            config = live.edited()
            checked = None if config is None else self._checked(lambda: config)
        except UserError as error:
            self._trouble = redact(f"the edit of {live.file} was not taken, and nothing was changed: {error}")
            log.warning("%s", self._trouble)
        else:
            if checked is not None:
                self._trouble = ""
                if checked.config != live.now:
                    self._apply(live, str(live.file), checked)

    def _checked(self, propose: Callable[[], Config]) -> _Checked:
        """Check a configuration as at the start, and that it changes only what may. Raises `UserError`."""
        try:
            config = propose()
            made = make_plan(config, require_sources=False)
            changed = _changed_stages(self._crew.plan, made)
            for name, source in made.sources.items():
                known = self._roster.sources.get(name)
                if known is None or (known.given, known.info) != (source.given, source.info):
                    _check_new(name, source)
        except UserError:
            raise
        except Exception as error:  # of a plug-in that is asked about its options: the run goes on
            raise ConfigError(describe(error)) from error
        return _Checked(config, made, changed)

    def _apply(self, live: LiveConfig, by: str, checked: _Checked) -> str:
        """Let `_settle` have a configuration followed. Returns what is done, in words."""
        change = self._roster.want(checked.plan.sources)
        live.accept(checked.config)
        plan = self._crew.plan
        shared = share_cores(replace(checked.plan, sources=self._roster.sources)).stages
        stages = {name: _with_share(stage, shared[name]) for name, stage in plan.stages.items()}
        options = [f"new options for {', '.join(checked.stages)}"] if checked.stages else []
        told = "; ".join([*change.in_words(), *options]) or "nothing differs"
        self._note(by, told)
        self._unfollowed = replace(plan, sources=self._roster.sources, stages=stages)
        return told

    def _settle(self) -> None:
        """Have the crew follow what was decided, then answer whoever asked. What a lost connection cuts is repeated."""
        if self._unfollowed is not None:
            self._crew.follow(self._unfollowed)
            self._unfollowed = None
        while self._untold:
            answer(self._transport, *self._untold[0])
            self._untold.popleft()

    def _note_taken_back(self, live: LiveConfig) -> None:
        for stage, why in self._crew.taken_back.items():
            live.take_back(stage, self._crew.plan.stages[stage].given)
            self._trouble = redact(f"stage {stage} failed with its new options, and has those before again: {why}")
            self._note(str(live.file), self._trouble, logging.WARNING)
        self._crew.taken_back.clear()

    def _note(self, by: str, told: str, level: int = logging.INFO) -> None:
        self._changes.append(
            {"when": datetime.now().astimezone().isoformat(timespec="seconds"), "by": by, "what": told}
        )
        log.log(level, "%s: %s", by, told)


def _proposal(live: LiveConfig, request: Request) -> Config:
    if request.action == "add":
        return live.with_source(request.name, request.section, request.filled_in)[0]
    name = request.name or ""
    if request.action == "change":
        return live.with_change(name, request.section, request.filled_in)
    return live.without_source(name)


def _check_new(name: str, source: SourcePlan) -> None:
    if source.info.input == STANDARD_INPUT:
        raise ConfigError(f"source {name}: standard input (-) can be given at the start of a run alone")
    source.check_input()


def _changed_stages(before: Plan, after: Plan) -> list[str]:
    """Stages with other options, without the Source, whose options are those of its sources. Raises `ConfigError`."""
    changed = [
        name
        for name, stage in before.stages.items()
        if name != before.source_stage and stage.given != after.stages[name].given
    ]
    for name in changed:
        if (before.stages[name].workers or 1) > 1 and _in_one_process(after.stages[name]):
            raise ConfigError(
                f"stages.{name}.options: with these the stage works in one process, and {before.stages[name].workers} "
                "run; stop the pipeline and start it again"
            )
    return changed


def _with_share(now: StagePlan, new: StagePlan) -> StagePlan:
    """A stage with its new options, and with more workers where there are more sources; those that work go on."""
    grows = (new.workers or 1) > (now.workers or 1)
    return replace(now, given=new.given, **({"workers": new.workers, "threads": new.threads} if grows else {}))


def _in_one_process(stage: StagePlan) -> bool:
    return issubclass(stage.cls, Stage) and stage.cls.in_one_process(stage.options)


def _removed(name: str, summary: Mapping[str, Any]) -> dict[str, Any]:
    kept = ("input", "state", "error", "frames_decoded", "outputs")
    return {"name": name, **{key: summary[key] for key in kept}}

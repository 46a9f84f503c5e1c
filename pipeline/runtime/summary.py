"""Summarize a run per source and stage: its status while it runs, and ``summary.json`` at the end."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from pipeline.config.plan import Plan
from pipeline.errors import OutputError, OutputInWork
from pipeline.runtime.context import OUTPUT, PART
from pipeline.runtime.metrics import FRAMES, stage_summary
from pipeline.runtime.output import OutputFile, remove_parts, unwritable
from pipeline.runtime.output_lock import OutputLock, Run, run_of
from pipeline.transport.base import Transport

AT_WORK = ("running", "leaving")
"""States of a source that has not ended."""


def summarize_sources(plan: Plan, transport: Transport) -> dict[str, Any]:
    """The part of the summary for each source, as of now."""
    return {source: summarize_source(plan, transport, source) for source in plan.sources}


def summarize_source(plan: Plan, transport: Transport, source: str) -> dict[str, Any]:
    """The part of the summary for one source, as of now."""
    stages, outputs, ended = {}, [], True
    for stage in plan.stages:
        status = transport.status(source, stage)
        outputs += [name[len(OUTPUT) :] for name in status if name.startswith(OUTPUT)]
        shown = {name: value for name, value in status.items() if not name.startswith((PART, OUTPUT))}
        stages[stage] = stage_summary(transport.counters(source, stage), shown)
        ended = ended and transport.progress(source, stage).ended
    first = stages[plan.source_stage]["status"]
    expected = first.pop("frames_expected", None)
    end, error = first.pop("end", None), first.get("error")
    state = {"end": "finished", "stopped": "stopped", "failed": "failed"}.get(end or "") if ended else None
    at_work = "leaving" if plan.sources[source].leaves else "running"
    return {
        "input": plan.sources[source].info.display,
        "live": plan.sources[source].info.live,
        "policy": plan.sources[source].policy,
        "state": state or at_work,
        "error": error if end == "failed" else None,
        "frames_decoded": stages[plan.source_stage][FRAMES],
        "frames_expected": int(expected) if expected is not None else None,
        "stages": stages,
        "outputs": sorted(outputs),
    }


def remove_unfinished(plan: Plan, transport: Transport) -> None:
    """Remove the ``.part`` files of unfinished outputs, unless another run has begun to write them."""
    for source in plan.sources:
        for stage in plan.stages:
            for name in transport.status(source, stage):
                if name.startswith(PART):
                    _remove_parts_alone(Path(name[len(PART) :]), run_of(plan))


def _remove_parts_alone(output: Path, run: Run) -> None:
    try:
        lock = OutputLock.take(output, run, wait=False)
    except OutputInWork:
        return
    except OutputError:  # its folder is gone, or the disk is full
        lock = None
    remove_parts(output)
    if lock is not None:
        lock.release()


def run_state(sources: Mapping[str, Mapping[str, Any]], error: BaseException | None) -> str:
    """``failed``, ``stopped`` or ``finished``: of a run that has ended, with the summaries of its sources."""
    states = {source["state"] for source in sources.values()}
    return "failed" if error is not None or "failed" in states else "stopped" if "stopped" in states else "finished"


def summarize_run(
    plan: Plan, begin: datetime, seconds: float, state: str, error: BaseException | None, sources: dict[str, Any]
) -> dict[str, Any]:
    """The summary of a run, without what only its supervisor knows: restarts, CPU time, dead letters."""
    return {
        "pipeline": plan.name,
        "payload": plan.payload,
        "started": begin.isoformat(timespec="seconds"),
        "seconds": round(seconds, 3),
        "state": state,
        "error": None if error is None else str(error) or type(error).__name__,
        "cores": plan.cores,
        "workers": {
            name: {"processes": stage.workers, "threads": stage.threads, "cpu_seconds": None, "memory_mb": None}
            for name, stage in plan.stages.items()
        },
        "sources": sources,
        "dead_letters": [],
    }


def write_summary(path: Path, summary: dict[str, Any]) -> None:
    """Write a summary, completely or not at all.

    Raises:
        OutputError: If it cannot be written.
    """
    output = OutputFile(path)
    output.part = path.with_name(f"{path.name}.{os.getpid()}.part")  # another run may write a summary here
    try:
        output.part.write_text(json.dumps(summary, indent=2) + "\n")
        output.finish()
    except OSError as error:
        raise unwritable(path, error) from error
    finally:
        output.discard()

"""From what a run tells (`pipeline.runtime.run_status`) to what the page shows."""

from __future__ import annotations

from typing import Any

from pipeline.redaction import is_secret_name, redact
from pipeline.runtime.run_status import STUCK_SECONDS, source_state
from raftline.web.models import RunState, SourceStatus, StageState, WorkerState
from raftline.web.rates import Rates

Told = dict[str, Any]


def run_state(told: Told, rates: Rates) -> RunState:
    """The state of a run.

    Args:
        told: Its status, with ``age_seconds``.
        rates: Of the same run, from earlier calls.
    """
    silent, ended = told["age_seconds"], told["state"] != "running"
    now = told["seconds"]
    return RunState(
        name=told["pipeline"],
        state="ended" if ended else "silent" if silent > STUCK_SECONDS else "running",
        started=told["started"],
        seconds=now,
        silent_seconds=silent,
        cores=told["cores"],
        error=redact(told["error"]) if told["error"] else None,
        sources=[_source(name, source, now, rates) for name, source in told["sources"].items()],
        workers=[_worker(name, work, now, rates) for name, work in told["workers"].items()],
    )


def _source(name: str, source: Told, now: float, rates: Rates) -> SourceStatus:
    stages = [_stage(name, stage, told, now, rates) for stage, told in source["stages"].items()]
    state, says = source_state(source)
    expected, done = source["frames_expected"], min((stage.frames for stage in stages), default=0)
    slowest = min((stage.fps for stage in stages if stage.fps), default=None)
    latencies = [stage.latency_ms for stage in stages if stage.latency_ms is not None]
    return SourceStatus(
        name=name,
        input=redact(source["input"]),
        live=source["policy"] == "live",
        state=state,
        since=says.get("since") or None,
        why=redact(source["error"] or says.get("trouble") or ""),
        next_try=says.get("next_try") or None,
        frames=source["frames_decoded"],
        frames_expected=expected,
        seconds_left=max(0, expected - done) / slowest if expected and slowest else None,
        fps=stages[0].fps if stages else None,
        dropped=sum(stage.dropped for stage in stages),
        latency_ms=max(latencies, default=None),
        restarts=sum(stage.restarts for stage in stages),
        stages=stages,
    )


def _stage(source: str, name: str, told: Told, now: float, rates: Rates) -> StageState:
    return StageState(
        name=name,
        frames=told["frames"],
        fps=rates.rate((source, name), now, told["frames"]),
        dropped=sum(told["dropped"].values()),
        latency_ms=told["latency_ms"]["p50"],
        latency_p99_ms=told["latency_ms"]["p99"],
        restarts=told["restarts"],
        says={key: redact(value) for key, value in told["status"].items() if value and not is_secret_name(key)},
    )


def _worker(stage: str, work: Told, now: float, rates: Rates) -> WorkerState:
    rate = None if work["cpu_seconds"] is None else rates.rate(("cpu", stage), now, work["cpu_seconds"])
    return WorkerState(
        stage=stage,
        processes=work["processes"],
        threads=work["threads"],
        cpu_percent=None if rate is None else round(100 * rate, 1),
    )

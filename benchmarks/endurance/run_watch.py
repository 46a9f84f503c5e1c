"""What a run holds while it goes on: memory and descriptors of each process, Redis, shared memory, latency."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import psutil

from benchmarks.storm.runs import Run
from pipeline.runtime.metrics import latency_percentile
from pipeline.runtime.run_status import ActiveRun, active_runs
from pipeline.transport.redis_streams import RedisStreams

LATENCY = "latency_p50_ms", "latency_p95_ms"


@dataclass
class RunWatch:
    """Samples of one run. Names of what it measures: ``memory_mb PROCESS``, ``descriptors PROCESS``, ``redis_keys``,
    ``redis_mb``, ``shared_mb``, and the latencies at its last stage since the sample before.
    """

    run: Run
    redis_url: str
    last_stage: str
    times: list[float] = field(default_factory=list)
    """Seconds since the first sample."""
    samples: dict[str, list[float]] = field(default_factory=dict)
    """By name, one value a time; nan where there was none."""
    _counted: dict[str, int] = field(default_factory=dict)
    _begin: float = field(default_factory=time.monotonic)

    def sample(self) -> None:
        """Look once."""
        found = {**dict(self._processes()), **dict(self._redis()), "shared_mb": self._shared_mb()}
        for name in {*self.samples, *found}:
            values = self.samples.setdefault(name, [float("nan")] * len(self.times))
            values.append(found.get(name, float("nan")))
        self.times.append(round(time.monotonic() - self._begin, 2))

    def rows(self, after_seconds: float) -> list[dict[str, Any]]:
        """What each name began and ended with, its peak, and by how much it grew, from `after_seconds` on."""
        rows = []
        for name in sorted(self.samples):
            values = [(at, value) for at, value in zip(self.times, self.samples[name], strict=True) if value == value]
            settled = [(at, value) for at, value in values if at >= after_seconds]
            if len(settled) >= 3:
                series = " ".join(f"{value:g}" for value in np.round(self.samples[name], 1))
                rows.append({"what": name, **growth(settled), "samples": series})
        return rows

    def _processes(self) -> Iterator[tuple[str, float]]:
        assert self.run.process is not None
        for process in [psutil.Process(self.run.process.pid), *self.run.workers()]:
            with contextlib.suppress(psutil.NoSuchProcess):
                name = process.name() if process.name().startswith("rl:") else "supervisor"
                yield f"memory_mb {name}", process.memory_full_info().uss / 1e6
                yield f"descriptors {name}", process.num_fds()

    def _redis(self) -> Iterator[tuple[str, float]]:
        with contextlib.closing(RedisStreams(self.redis_url, self.run.name)) as transport:
            memory: Any = transport.client.info("memory")
            size: Any = transport.client.dbsize()
            yield "redis_keys", size
            yield "redis_mb", memory["used_memory"] / 1e6
            counters: dict[str, int] = {}
            for source in self.run.sources:
                for name, count in transport.counters(source, self.last_stage).items():
                    counters[name] = counters.get(name, 0) + count
        since = {name: count - self._counted.get(name, 0) for name, count in counters.items()}
        self._counted = counters
        for name, share in zip(LATENCY, (0.5, 0.95), strict=True):
            latency = latency_percentile({name: count for name, count in since.items() if count > 0}, share)
            if latency is not None:
                yield name, latency

    def _shared_mb(self) -> float:
        directories = [run.directory for run in active_runs() if run.name == self.run.name and run.directory]
        return sum(file.stat().st_size for each in directories for file in each.glob("*.ring")) / 1e6


def growth(values: Sequence[tuple[float, float]]) -> dict[str, float]:
    """The line through (seconds, value), by least squares, and how far values are from it.

    Returns:
        ``first``, ``last``: the line's ends; ``peak``; ``per_hour``: its slope; ``spread``: the standard deviation from
        it; ``slope_error``: the slope's standard error, per hour, as if samples were independent of each other.
    """
    at, of = np.array(values, float).T
    slope, begin = np.polyfit(at, of, 1)
    left = of - (begin + slope * at)
    spread = float(np.sqrt((left**2).sum() / max(1, len(of) - 2)))
    error = spread / max(1e-9, float(np.sqrt(((at - at.mean()) ** 2).sum())))
    line = {"first": begin + slope * at[0], "last": begin + slope * at[-1], "peak": float(of.max())}
    line |= {"per_hour": slope * 3600, "spread": spread, "slope_error": error * 3600}
    return {name: round(float(value), 3) for name, value in line.items()}


def status_of(run: Run, redis_url: str) -> Mapping[str, Any]:
    """What it tells of itself; nothing while its server is away."""
    with contextlib.suppress(Exception):
        return ActiveRun(run.name, redis_url).status() or {}
    return {}

"""The status of a run as metrics for Prometheus."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

_LABELS = ("pipeline", "source", "stage")


class StatusCollector(Collector):
    """Turns a supervisor's last status into metrics on every scrape."""

    def __init__(self) -> None:
        self.status: dict[str, Any] = {}
        """What `pipeline.runtime.supervisor.Supervisor` last passed to its `on_status`."""

    def collect(self) -> Iterable[Metric]:
        frames = CounterMetricFamily("raftline_frames", "messages that a stage has processed", labels=_LABELS)
        dropped = CounterMetricFamily("raftline_dropped", "messages dropped", labels=(*_LABELS, "reason"))
        restarts = CounterMetricFamily("raftline_restarts", "times a stage's workers were restarted", labels=_LABELS)
        letters = CounterMetricFamily("raftline_dead_letters", "messages that became dead letters", labels=_LABELS)
        latency = GaugeMetricFamily(
            "raftline_latency_seconds", "time from decoder to stage", labels=(*_LABELS, "quantile"), unit="seconds"
        )
        for labels, stage in self._stages():
            frames.add_metric(labels, stage["frames"])
            restarts.add_metric(labels, stage["restarts"])
            letters.add_metric(labels, stage["dead_letters"])
            for reason, count in stage["dropped"].items():
                dropped.add_metric([*labels, reason], count)
            for name, quantile in (("p50", "0.5"), ("p99", "0.99")):
                if stage["latency_ms"][name] is not None:
                    latency.add_metric([*labels, quantile], stage["latency_ms"][name] / 1000)
        return [frames, dropped, restarts, letters, latency]

    def _stages(self) -> Iterator[tuple[list[str], dict[str, Any]]]:
        for source, about in self.status.get("sources", {}).items():
            for stage, counted in about["stages"].items():
                yield [self.status["pipeline"], source, stage], counted

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
        return [*self._of_stages(), *self._of_workers(), self._of_cameras()]

    def _of_stages(self) -> list[Metric]:
        frames = CounterMetricFamily("raftline_frames", "messages that a stage has processed", labels=_LABELS)
        dropped = CounterMetricFamily("raftline_dropped", "messages dropped", labels=(*_LABELS, "reason"))
        restarts = CounterMetricFamily("raftline_restarts", "times a stage's workers were restarted", labels=_LABELS)
        letters = CounterMetricFamily("raftline_dead_letters", "messages that became dead letters", labels=_LABELS)
        counted = CounterMetricFamily("raftline_counts", "what stages count", labels=(*_LABELS, "counter"))
        rate = GaugeMetricFamily("raftline_frames_per_second", "over the whole run", labels=_LABELS)
        latency = GaugeMetricFamily(
            "raftline_latency_seconds", "time from decoder to stage", labels=(*_LABELS, "quantile"), unit="seconds"
        )
        for labels, stage in self._stages():
            frames.add_metric(labels, stage["frames"])
            restarts.add_metric(labels, stage["restarts"])
            letters.add_metric(labels, stage["dead_letters"])
            if stage["fps"] is not None:
                rate.add_metric(labels, stage["fps"])
            for reason, count in stage["dropped"].items():
                dropped.add_metric([*labels, reason], count)
            for name, count in stage["counts"].items():
                counted.add_metric([*labels, name], count)
            for name, quantile in (("p50", "0.5"), ("p99", "0.99")):
                if stage["latency_ms"][name] is not None:
                    latency.add_metric([*labels, quantile], stage["latency_ms"][name] / 1000)
        return [frames, dropped, restarts, letters, counted, rate, latency]

    def _of_workers(self) -> list[Metric]:
        labels = ("pipeline", "stage")
        cpu = CounterMetricFamily("raftline_cpu_seconds", "CPU time of a stage's workers", labels=labels)
        memory = GaugeMetricFamily(
            "raftline_memory_bytes", "memory of a stage's workers, shared memory included", labels=labels, unit="bytes"
        )
        for stage, work in self.status.get("workers", {}).items():
            cpu.add_metric([self.status["pipeline"], stage], work["cpu_seconds"] or 0.0)
            memory.add_metric([self.status["pipeline"], stage], (work["memory_mb"] or 0.0) * 1e6)
        return [cpu, memory]

    def _of_cameras(self) -> Metric:
        up = GaugeMetricFamily(
            "raftline_source_up", "1: gives frames, or has ended well; 0: failed, or in trouble", labels=_LABELS[:2]
        )
        for source, about in self.status.get("sources", {}).items():
            trouble = any(stage["status"].get("trouble") for stage in about["stages"].values())
            well = about["frames_decoded"] > 0 and not trouble and about["state"] != "failed"
            up.add_metric([self.status["pipeline"], source], float(well))
        return up

    def _stages(self) -> Iterator[tuple[list[str], dict[str, Any]]]:
        for source, about in self.status.get("sources", {}).items():
            for stage, counted in about["stages"].items():
                yield [self.status["pipeline"], source, stage], counted

from __future__ import annotations

import json
import re
import socket
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from pipeline.errors import ConfigError
from pipeline.runtime import http_status
from pipeline.runtime.http_status import serve_status
from pipeline.runtime.supervisor import Supervisor
from tests.free_port import free_port
from tests.pipeline.running import make_test_plan


def get(port: int, path: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}") as reply:
            return reply.status, reply.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def ready(port: int) -> tuple[int, dict[str, Any]]:
    code, text = get(port, "/readyz")
    return code, json.loads(text)["not_ready"]


def source(frames: int, trouble: str = "", state: str = "running") -> dict[str, Any]:
    stage = {
        "frames": frames,
        "fps": None,
        "dropped": {},
        "counts": {},
        "restarts": 0,
        "dead_letters": 0,
        "latency_ms": {"p50": None, "p99": None},
    }
    return {"state": state, "frames_decoded": frames, "stages": {"decoder": {**stage, "status": {"trouble": trouble}}}}


def test_a_run_is_scraped(tmp_path: Path) -> None:
    plan = make_test_plan(tmp_path, {"ledger": {"use": "Ledger", "reads": "decoder"}})
    port = free_port()
    with serve_status(port) as watch:
        watch.tell(Supervisor(plan).run())
        code, text = get(port, "/metrics")
    assert code == 200
    assert 'raftline_frames_total{pipeline="test",source="a",stage="ledger"} 100.0' in text
    assert 'raftline_latency_seconds{pipeline="test",quantile="0.99",source="a",stage="ledger"}' in text
    assert 'raftline_frames_per_second{pipeline="test",source="a",stage="ledger"}' in text
    assert 'raftline_source_up{pipeline="test",source="a"} 1.0' in text
    seconds = re.findall(r'raftline_cpu_seconds_total{pipeline="test",stage="ledger"} ([0-9.]+)', text)
    assert float(seconds[0]) > 0


def test_what_a_camera_counts_and_whether_it_is_up_is_scraped() -> None:
    port = free_port()
    lost, there = source(5, "connection refused"), source(5)
    lost["stages"]["decoder"]["counts"] = {"reconnects": 3}
    workers = {"decoder": {"cpu_seconds": 1.5, "memory_mb": 80.0}}
    with serve_status(port) as watch:
        watch.tell({"pipeline": "p", "sources": {"a": lost, "b": there, "c": source(0)}, "workers": workers})
        text = get(port, "/metrics")[1]
    assert 'raftline_counts_total{counter="reconnects",pipeline="p",source="a",stage="decoder"} 3.0' in text
    assert 'raftline_source_up{pipeline="p",source="a"} 0.0' in text
    assert 'raftline_source_up{pipeline="p",source="b"} 1.0' in text
    assert 'raftline_source_up{pipeline="p",source="c"} 0.0' in text
    assert 'raftline_memory_bytes{pipeline="p",stage="decoder"} 8e+07' in text


def test_the_status_tells_the_memory_of_workers_that_run(tmp_path: Path) -> None:
    seen: list[float] = []
    plan = make_test_plan(tmp_path, {"ledger": {"use": "Ledger", "reads": "decoder"}})
    Supervisor(plan, on_status=lambda status: seen.append(status["workers"]["ledger"]["memory_mb"] or 0.0)).run()
    assert max(seen) > 10


def test_before_there_is_a_status_there_are_no_metrics_and_nothing_is_ready() -> None:
    port = free_port()
    with serve_status(port):
        assert "{" not in get(port, "/metrics")[1]
        assert ready(port) == (503, {})
        assert get(port, "/healthz")[0] == 200


def test_it_is_ready_when_every_source_has_given_frames_and_none_is_in_trouble() -> None:
    port = free_port()
    with serve_status(port) as watch:
        watch.tell({"pipeline": "p", "sources": {"a": source(5), "b": source(0)}})
        assert ready(port) == (503, {"b": "no frame yet"})
        watch.tell({"pipeline": "p", "sources": {"a": source(5, "connection refused"), "b": source(1)}})
        assert ready(port) == (503, {"a": "connection refused"})
        watch.tell({"pipeline": "p", "sources": {"a": source(5), "b": source(1)}})
        assert ready(port) == (200, {})


def test_a_supervisor_that_says_nothing_any_more_is_not_healthy(monkeypatch: pytest.MonkeyPatch) -> None:
    port = free_port()
    with serve_status(port) as watch:
        watch.tell({"pipeline": "p", "sources": {}})
        monkeypatch.setattr(http_status, "STUCK_SECONDS", 0.0)
        assert get(port, "/healthz")[0] == 503


def test_another_path_is_told_what_there_is() -> None:
    port = free_port()
    with serve_status(port):
        assert get(port, "/") == (404, "there are /metrics, /healthz and /readyz\n")


def test_a_taken_port_is_said() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(ConfigError, match=f"127.0.0.1:{port}.*another port"), serve_status(port):
            pass

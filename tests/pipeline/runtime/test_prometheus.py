from __future__ import annotations

import socket
import urllib.request
from pathlib import Path

import pytest

from pipeline.errors import ConfigError
from pipeline.runtime.prometheus import serve_metrics
from pipeline.runtime.supervisor import Supervisor
from tests.pipeline.running import make_test_plan


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def test_a_run_is_scraped(tmp_path: Path) -> None:
    plan = make_test_plan(tmp_path, {"ledger": {"use": "Ledger", "reads": "decoder"}})
    port = free_port()
    with serve_metrics(port) as collector:
        supervisor = Supervisor(plan)
        collector.status = supervisor.run()
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics") as reply:
            text = reply.read().decode()
    assert 'raftline_frames_total{pipeline="test",source="a",stage="ledger"} 100.0' in text
    assert 'raftline_latency_seconds{pipeline="test",quantile="0.99",source="a",stage="ledger"}' in text


def test_nothing_is_served_before_there_is_a_status() -> None:
    port = free_port()
    with serve_metrics(port), urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics") as reply:
        assert "{" not in reply.read().decode()


def test_a_taken_port_is_said() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(ConfigError, match=f"127.0.0.1:{port}.*another port"), serve_metrics(port):
            pass

"""What the page reads of a run."""

from __future__ import annotations

import json
from typing import Any

import pytest

from pipeline.runtime.run_status import tell
from pipeline.transport.redis_server import PrivateServer
from raftline.web import watched_run
from raftline.web.rates import Rates
from raftline.web.state import run_state
from raftline.web.watched_run import WatchedRun
from tests.raftline.web.client import served
from tests.raftline.web.told import source, status, told_run


def state(**told: Any) -> Any:
    return run_state({**status(**told), "age_seconds": 0.1}, Rates())


def test_a_lost_camera_says_since_when_why_and_when_it_is_tried() -> None:
    trouble = {"camera": "lost", "since": "2026-03-01T08:15:00+01:00", "trouble": "refused", "next_try": "soon"}
    gate = state(gate=source(5, **trouble)).sources[0]
    assert (gate.state, gate.why, gate.since, gate.next_try) == ("trying", "refused", trouble["since"], "soon")
    assert state(gate=source(5)).sources[0].state == "live"
    assert state(gate=source(0)).sources[0].state == "starting"


def test_drops_restarts_and_latency_are_those_of_all_stages() -> None:
    gate = state(gate=source(5)).sources[0]
    assert (gate.dropped, gate.restarts, gate.latency_ms) == (4, 2, 40.0)


def test_a_file_says_how_long_it_still_takes() -> None:
    rates = Rates()
    file = {**source(100), "policy": "lossless", "frames_expected": 300}
    run_state({**status(10.0, clip=file), "age_seconds": 0.1}, rates)
    file = {**source(140), "policy": "lossless", "frames_expected": 300}
    clip = run_state({**status(12.0, clip=file), "age_seconds": 0.1}, rates).sources[0]
    assert (clip.state, clip.fps, clip.seconds_left) == ("running", 20.0, 8.0)


def test_rates_are_those_of_the_last_seconds_and_begin_anew_with_the_counter() -> None:
    rates = Rates()
    assert rates.rate(("a",), 0.0, 0) is None
    assert rates.rate(("a",), 1.0, 10) == 10.0
    for second in range(2, 40):
        last = rates.rate(("a",), float(second), 10 + 30 * (second - 1))
    assert last == 30.0
    assert rates.rate(("a",), 40.0, 0) is None


def test_a_run_that_falls_silent_and_ends_is_told_apart(
    redis_server: PrivateServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watched_run, "_FRESH_SECONDS", 0.0)
    with told_run(redis_server) as (run, transport):
        assert run.state().state == "none"
        tell(transport, status())
        assert run.state().state == "running"
        transport.client.pexpire(transport.keys.run_status, 40_000)  # told 20 s ago
        assert run.state().state == "silent"
        transport.client.delete(transport.keys.run_status)
        ended = run.state()
        assert (ended.state, len(ended.sources)) == ("ended", 2)


def test_however_many_look_redis_is_asked_once(redis_server: PrivateServer) -> None:
    with told_run(redis_server) as (run, transport):
        tell(transport, status())
        first = run.state()
        tell(transport, status(gate=source()))
        assert run.state() is first


def test_a_server_that_does_not_answer_is_no_run() -> None:
    assert WatchedRun("gone", "redis://127.0.0.1:1").state().state == "none"


def test_the_stream_tells_the_state_at_once(redis_server: PrivateServer) -> None:
    with told_run(redis_server) as (run, transport):
        tell(transport, status())
        with served(run, users=False) as page, page.client().stream("GET", "/api/state/stream") as answer:
            lines = answer.iter_lines()
            kind, data = next(lines), next(lines)
    assert kind == "event: state" and json.loads(data.removeprefix("data: "))["name"] == "garden"

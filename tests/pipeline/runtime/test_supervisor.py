"""Whole runs: real processes, a real Redis, real deaths."""

from __future__ import annotations

import json
import os
import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pipeline.errors import PluginError, TransportError, UserError, WorkerFailed
from pipeline.runtime.supervisor import Status, Supervisor
from tests.pipeline.running import ledger, make_test_plan, nothing_left_behind

RELAY = {"use": "Relay", "reads": "decoder"}
CHAIN = {"relay": RELAY, "ledger": {"use": "Ledger", "reads": "relay"}}
ALL = [str(index) for index in range(100)]


@pytest.fixture(autouse=True)
def clean(tmp_path: Path) -> Iterator[None]:
    with nothing_left_behind(tmp_path):
        yield


def when_done(count: int, stage: str, action: Callable[[Supervisor], Any]) -> Callable[[Status], None]:
    """A status callback that acts once, when `stage` has processed `count` frames."""
    done: list[bool] = []

    def on_status(status: Status) -> None:
        frames = sum(source["stages"][stage]["frames"] for source in status["sources"].values())
        if not done and frames >= count:
            done.append(True)
            action(on_status.supervisor)  # type: ignore[attr-defined]

    return on_status


def supervise(plan: Any, on_status: Callable[[Status], None] | None = None) -> Status:
    supervisor = Supervisor(plan, on_status=on_status)
    if on_status is not None:
        on_status.supervisor = supervisor  # type: ignore[attr-defined]
    return supervisor.run()


def test_every_frame_reaches_every_reader_once_and_the_summary_says_so(tmp_path: Path) -> None:
    stages = {**CHAIN, "direct": {"use": "Ledger", "reads": "decoder"}}
    plan = make_test_plan(tmp_path, stages)
    summary = supervise(plan)
    assert ledger(plan) == ledger(plan, stage="direct") == [*ALL, "end"]
    source = summary["sources"]["a"]
    assert (summary["state"], source["state"], source["frames_decoded"]) == ("finished", "finished", 100)
    assert {name: stage["frames"] for name, stage in source["stages"].items()} == dict.fromkeys(plan.stages, 100)
    assert source["stages"]["ledger"]["latency_ms"]["p50"] > 0
    assert sorted(source["outputs"]) == [str(plan.output / f"a.{stage}.txt") for stage in ("direct", "ledger")]
    assert json.loads((plan.output / "summary.json").read_text()) == summary


@pytest.mark.parametrize("payload", ["shm", "inline"])
def test_killing_each_worker_in_turn_loses_and_doubles_nothing(tmp_path: Path, payload: str) -> None:
    chain = {"holder": {"use": "Holder", "reads": "decoder"}, "ledger": {"use": "Ledger", "reads": "holder"}}
    plan = make_test_plan(tmp_path, chain, source={"frames": 100_000, "frames_per_second": 100}, payload=payload)
    victims = ["decoder", "holder", "ledger"]
    killed: list[str] = []
    due = 20

    def kill_next(status: Status) -> None:
        nonlocal due
        supervisor, frames = kill_next.supervisor, status["sources"]["a"]["stages"]["ledger"]["frames"]  # type: ignore
        if frames < due:
            return
        if not victims:
            supervisor.drain()
        for pid in supervisor.worker_pids.get(victims[0], []) if victims else []:
            os.kill(pid, signal.SIGKILL)
            killed.append(victims.pop(0))
            due = frames + 40

    summary = supervise(plan, kill_next)
    assert killed == ["decoder", "holder", "ledger"]
    *frames, end = ledger(plan)
    assert (frames, end) == ([str(index) for index in range(len(frames))], "stopped")
    stages = summary["sources"]["a"]["stages"]
    assert [stages[name]["restarts"] for name in killed] == [1, 1, 1]
    assert stages["decoder"]["frames"] == stages["ledger"]["frames"] == len(frames)


@pytest.mark.parametrize("limits", [{"slots": 4}, {"entries": 4}])
@pytest.mark.parametrize("payload", ["shm", "inline"])
def test_a_stage_may_hold_more_than_the_limits_without_a_deadlock(tmp_path: Path, limits: Any, payload: str) -> None:
    stages = {"holder": {"use": "Holder", "reads": "decoder", "options": {"hold": 20}},
              "ledger": {"use": "Ledger", "reads": "holder"}}  # fmt: skip
    plan = make_test_plan(tmp_path, stages, source={"frames": 60}, limits=limits, payload=payload)
    supervise(plan)
    assert ledger(plan) == [*map(str, range(60)), "end"]


@pytest.mark.parametrize("deed", ["raise", "die"])
def test_an_entry_that_kills_its_worker_three_times_is_put_aside(tmp_path: Path, deed: str) -> None:
    stages = {**CHAIN, "relay": {**RELAY, "options": {"at": 7, "do": deed}}}
    plan = make_test_plan(tmp_path, stages)
    summary = supervise(plan)
    assert ledger(plan) == [*ALL[:7], "lost_frames", *ALL[8:], "end"]
    relay = summary["sources"]["a"]["stages"]["relay"]
    assert (relay["restarts"], relay["dead_letters"]) == (3, 1)
    letter = summary["dead_letters"][0]
    assert (letter["stage"], letter["source"]) == ("relay", "a")
    if deed == "raise":
        assert "ValueError: frame is not to my taste" in letter["error"]
        assert "plugins.py" in letter["error"]


def test_what_a_stage_holds_back_comes_before_the_gap_of_an_entry_that_is_put_aside(tmp_path: Path) -> None:
    stages = {"holder": {"use": "Holder", "reads": "decoder", "options": {"die_at": 7}},
              "ledger": {"use": "Ledger", "reads": "holder"}}  # fmt: skip
    plan = make_test_plan(tmp_path, stages)
    summary = supervise(plan)
    assert ledger(plan) == [*ALL[:7], "lost_frames", *ALL[8:], "end"]
    holder = summary["sources"]["a"]["stages"]["holder"]
    assert (holder["restarts"], holder["dead_letters"]) == (3, 1)


def test_a_stage_that_fails_at_the_end_of_a_source_ends_the_run_with_its_words(tmp_path: Path) -> None:
    stages = {"holder": {"use": "Holder", "reads": "decoder", "options": {"fail_at_end": True}},
              "ledger": {"use": "Ledger", "reads": "holder"}}  # fmt: skip
    with pytest.raises(WorkerFailed, match=r"'holder'.*ValueError: ends are not to my taste.*plugins\.py"):
        supervise(make_test_plan(tmp_path, stages, limits={"restarts": 2}))


def test_a_stage_that_fails_at_every_frame_ends_the_run_with_its_words(tmp_path: Path) -> None:
    stages = {**CHAIN, "relay": {**RELAY, "options": {"do": "raise", "every": True}}}
    with pytest.raises(WorkerFailed, match=r"'relay'.*ValueError: frame is not to my taste.*plugins\.py"):
        supervise(make_test_plan(tmp_path, stages, limits={"restarts": 2}))
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert summary["state"] == "failed"
    assert not list((tmp_path / "out").glob("*.txt"))


def test_a_stage_that_cannot_open_ends_the_run_at_once(tmp_path: Path) -> None:
    stages = {**CHAIN, "relay": {**RELAY, "options": {"do": "fail to open"}}}
    with pytest.raises(UserError, match=r"'relay'.*ZeroDivisionError: no such thing.*plugins\.py"):
        supervise(make_test_plan(tmp_path, stages))


@pytest.mark.parametrize(
    ("at", "deed", "words"),
    [
        (
            0,
            "misspell",
            r"failed at its first message: AttributeError: 'Frame' object has no attribute 'planse' \(.*plugins.py",
        ),
        (0, "recurse", r"failed at its first message: RecursionError: .*plugins\.py:\d+\)"),
        (0, "ask", r"called input\(\), and its process has no terminal; run it with --in-process"),
        (7, "exit", r"process called exit with 3 \(.*plugins\.py:\d+\); a stage must not end its process"),
    ],
)
def test_what_is_wrong_every_time_is_tried_once(tmp_path: Path, at: int, deed: str, words: str) -> None:
    stages = {**CHAIN, "relay": {**RELAY, "options": {"at": at, "do": deed}}}
    with pytest.raises(UserError, match=r"stage 'relay' \(tests\.pipeline\.plugins:Relay\).*" + words):
        supervise(make_test_plan(tmp_path, stages))
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert summary["sources"]["a"]["stages"]["relay"]["restarts"] == 0


def test_two_messages_with_one_sequence_break_the_contract(tmp_path: Path) -> None:
    stages = {**CHAIN, "relay": {**RELAY, "options": {"at": 7, "do": "repeat"}}}
    with pytest.raises(UserError, match="sequences must increase"):
        supervise(make_test_plan(tmp_path, stages))


def test_a_broken_source_fails_alone_and_its_outputs_are_discarded(tmp_path: Path) -> None:
    sources = {"good": {"input": "counter"}, "bad": {"input": "counter", "options": {"fail_at": 50}}}
    plan = make_test_plan(tmp_path, CHAIN, sources=sources)
    summary = supervise(plan)
    assert ledger(plan, "good") == [*ALL, "end"]
    assert not (plan.output / "bad.ledger.txt").exists()
    states = {name: source["state"] for name, source in summary["sources"].items()}
    assert states == {"good": "finished", "bad": "failed"}
    assert summary["sources"]["bad"]["error"] == "counter: broken at frame 50"


def test_draining_leaves_whole_outputs(tmp_path: Path) -> None:
    plan = make_test_plan(tmp_path, CHAIN, source={"frames": 10_000, "frames_per_second": 200})
    summary = supervise(plan, when_done(50, "ledger", Supervisor.drain))
    *frames, end = ledger(plan)
    assert end == "stopped"
    assert frames == [str(index) for index in range(len(frames))]
    assert len(frames) == summary["sources"]["a"]["frames_decoded"] >= 50
    assert summary["state"] == "stopped"


def test_aborting_stops_at_once_and_leaves_nothing(tmp_path: Path) -> None:
    plan = make_test_plan(tmp_path, CHAIN, source={"frames": 10_000, "frames_per_second": 200})
    with pytest.raises(KeyboardInterrupt):
        supervise(plan, when_done(50, "ledger", Supervisor.abort))
    assert not list(plan.output.glob("*.txt"))


def test_a_private_server_that_dies_ends_the_run_with_a_word(tmp_path: Path) -> None:
    plan = make_test_plan(tmp_path, CHAIN, source={"frames": 10_000, "frames_per_second": 200})

    def kill_server(supervisor: Supervisor) -> None:
        assert supervisor._private is not None
        os.kill(supervisor._private.pid, signal.SIGKILL)

    with pytest.raises(TransportError, match="private Redis server ended"):
        supervise(plan, when_done(20, "ledger", kill_server))
    assert not list(plan.output.glob("*.txt"))


def test_a_slow_reader_of_a_camera_drops_the_oldest_and_counts(tmp_path: Path) -> None:
    stages = {"ledger": {"use": "Ledger", "reads": "decoder", "options": {"seconds_per_frame": 0.1}}}
    plan = make_test_plan(
        tmp_path,
        stages,
        sources={"a": {"input": "live"}},
        source={"frames": 150, "frames_per_second": 100},
        limits={"max_latency_ms": 100},
    )
    summary = supervise(plan)
    *frames, end = ledger(plan)
    seen = [int(frame) for frame in frames]
    stage = summary["sources"]["a"]["stages"]["ledger"]
    assert end == "end"
    assert seen == sorted(set(seen))
    assert seen[-1] >= 148  # the newest is kept
    assert stage["dropped"].get("late", 0) + stage["dropped"].get("recycled", 0) + len(seen) == 150
    assert stage["dropped"]["late"] > 50


def test_two_workers_share_the_sources_of_a_stage(tmp_path: Path) -> None:
    sources = {name: {"input": "counter", "options": {"frames_per_second": 100}} for name in ("a", "b", "c")}
    plan = make_test_plan(tmp_path, {"ledger": {"use": "Ledger", "reads": "decoder", "workers": 2}}, sources=sources)
    supervise(plan)
    for name in sources:
        assert ledger(plan, name) == [*ALL, "end"]


@pytest.mark.parametrize("die_at", [-1, 30])
def test_a_stage_may_begin_the_messages_of_several_sources_together(tmp_path: Path, die_at: int) -> None:
    sources = {
        name: {"input": "counter", "options": {"frames": frames, "frames_per_second": 200}}
        for name, frames in {"a": 100, "b": 100, "c": 60}.items()
    }
    options = {"seconds_per_frame": 0.002, "die_at": die_at, "died": str(tmp_path / "died")}
    plan = make_test_plan(
        tmp_path, {"chorus": {"use": "Chorus", "reads": "decoder", "workers": 1, "options": options}}, sources=sources
    )
    summary = supervise(plan)
    company = []
    for name, options in sources.items():
        *lines, end = ledger(plan, name, "chorus")
        assert end == "end"
        assert [line.partition("/")[0] for line in lines] == ALL[: options["options"]["frames"]]
        company += [int(line.partition("/")[2]) for line in lines]
    assert max(company) > 1 and set(company) <= {1, 2, 3}
    restarts = max(summary["sources"][name]["stages"]["chorus"]["restarts"] for name in sources)
    assert restarts == (0 if die_at < 0 else 1)
    assert not summary["dead_letters"]


def test_signals_drain(tmp_path: Path) -> None:
    plan = make_test_plan(tmp_path, CHAIN, source={"frames": 10_000, "frames_per_second": 200})
    on_status = when_done(20, "ledger", lambda _: os.kill(os.getpid(), signal.SIGTERM))
    assert supervise(plan, on_status)["state"] == "stopped"
    assert ledger(plan)[-1] == "stopped"


def test_a_run_may_be_supervised_from_any_thread(tmp_path: Path) -> None:
    results: list[Status] = []
    thread = threading.Thread(target=lambda: results.append(supervise(make_test_plan(tmp_path, CHAIN))))
    thread.start()
    thread.join(60)
    assert results[0]["state"] == "finished"


def test_plugin_errors_are_user_errors() -> None:
    assert issubclass(PluginError, UserError)


def test_draining_before_anything_was_read_ends_the_run(tmp_path: Path) -> None:
    plan = make_test_plan(tmp_path, CHAIN, source={"frames": 10_000, "frames_per_second": 100})
    supervisor = Supervisor(plan)
    supervisor.drain()
    assert supervisor.run()["state"] == "stopped"
    *frames, end = ledger(plan)
    assert (end, len(frames) < 100) == ("stopped", True)


def test_a_source_that_dies_while_draining_still_ends(tmp_path: Path) -> None:
    plan = make_test_plan(tmp_path, CHAIN, source={"frames": 10_000, "frames_per_second": 100})

    def drain_and_kill(supervisor: Supervisor) -> None:
        os.kill(supervisor.worker_pids["decoder"][0], signal.SIGKILL)
        supervisor.drain()

    assert supervise(plan, when_done(20, "ledger", drain_and_kill))["state"] == "stopped"
    *frames, end = ledger(plan)
    assert end == "stopped"
    assert frames == [str(index) for index in range(len(frames))]

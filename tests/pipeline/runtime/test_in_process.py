"""A plan run in this process: the same messages, every error at the caller, and nothing left."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pytest

from pipeline.messages import EndOfStream, Flow, Frame
from pipeline.runtime.cores import THREAD_VARIABLES
from pipeline.runtime.in_process import InProcessRun
from pipeline.stage import Demand
from tests.pipeline.plugins import pools
from tests.pipeline.running import ledger, make_test_plan, nothing_left_behind

SHIFTER = {"shifter": {"use": "Shifter", "reads": "decoder"}}
LEDGER = {"ledger": {"use": "Ledger", "reads": "decoder"}}


def stage_threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith(("stage ", "source ", "reader "))]


def test_a_tapped_stage_gives_every_message_in_order_and_the_end(tmp_path: Path) -> None:
    plan = make_test_plan(tmp_path, SHIFTER, source={"frames": 300})
    with nothing_left_behind(tmp_path), InProcessRun(plan, {"shifter": frozenset()}) as run:
        messages = [message for _, message in run.messages()]
    assert [type(message) for message in messages] == [*[Flow] * 300, EndOfStream]
    frames = [message.frame for message in messages if isinstance(message, Flow)]
    assert [frame.index for frame in frames] == list(range(300))
    assert all((np.asarray(frame.planes[0]) == frame.index % 256).all() for frame in frames)
    assert stage_threads() == []


def test_several_taps_are_read_side_by_side(tmp_path: Path) -> None:
    plan = make_test_plan(tmp_path, SHIFTER, source={"frames": 200})
    with InProcessRun(plan, {"shifter": frozenset(), "decoder": frozenset()}) as run:
        messages = list(run.messages())
    for stage, kind in (("shifter", Flow), ("decoder", Frame)):
        assert sum(isinstance(message, kind) for name, message in messages if name == stage) == 200


def test_a_plan_without_taps_writes_its_outputs(tmp_path: Path) -> None:
    plan = make_test_plan(tmp_path, LEDGER, source={"frames": 50})
    with nothing_left_behind(tmp_path), InProcessRun(plan) as run:
        summary = run.wait()["a"]
    assert ledger(plan) == [*map(str, range(50)), "end"]
    assert summary["state"] == "finished" and summary["stages"]["ledger"]["frames"] == 50


def test_the_stages_wait_for_a_caller_who_takes_his_time(tmp_path: Path) -> None:
    plan = make_test_plan(tmp_path, SHIFTER, source={"frames": 2000, "side_px": 64}, limits={"entries": 8})
    with InProcessRun(plan, {"shifter": frozenset()}) as run:
        messages = run.messages()
        next(messages)
        threading.Event().wait(0.5)
        ahead = run.summary()["a"]["frames_decoded"]
        assert sum(1 for _ in messages) == 2000
    assert ahead < 100


@pytest.mark.parametrize("threads", [1, 2])
def test_the_libraries_compute_with_the_largest_share_until_the_run_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, threads: int
) -> None:
    for name in THREAD_VARIABLES:
        monkeypatch.delenv(name, raising=False)
    before = pools()
    plan = make_test_plan(
        tmp_path, {"pools": {"use": "Pools", "reads": "decoder", "threads": threads}}, source={"frames": 1}, cores=2
    )
    with InProcessRun(plan) as run:
        status = run.wait()["a"]["stages"]["pools"]["status"]
    assert status == {"opencv": str(threads), "blas": str(threads)}
    assert pools() == before


def test_leaving_early_ends_every_thread_and_removes_what_was_begun(tmp_path: Path) -> None:
    plan = make_test_plan(tmp_path, {**SHIFTER, **LEDGER}, source={"frames": 10**6})
    with nothing_left_behind(tmp_path), InProcessRun(plan, {"shifter": frozenset()}) as run:
        for count, _ in enumerate(run.messages()):
            if count == 20:
                break
    assert stage_threads() == [] and not list(plan.output.glob("*"))


def test_unfinished_files_of_others_beside_an_output_stay(tmp_path: Path) -> None:
    (tmp_path / "downloads").mkdir()
    foreign = tmp_path / "downloads/film.mp4.part"
    foreign.touch()
    ledger = {"use": "Ledger", "reads": "decoder", "options": {"path": str(tmp_path / "downloads/[1].txt")}}
    plan = make_test_plan(tmp_path, {**SHIFTER, "ledger": ledger}, source={"frames": 10**6})
    with InProcessRun(plan, {"shifter": frozenset()}) as run:
        next(run.messages())
        (tmp_path / "downloads/[1].txt.part").touch()
    assert list((tmp_path / "downloads").iterdir()) == [foreign]


@pytest.mark.parametrize(("at", "do"), [(0, "raise"), (30, "raise"), (-1, "fail to open")])
def test_what_a_stage_raises_comes_out_at_the_caller(tmp_path: Path, at: int, do: str) -> None:
    relay = {"relay": {"use": "Relay", "reads": "decoder", "options": {"at": at, "do": do}}}
    plan = make_test_plan(tmp_path, relay, source={"frames": 10**6})
    words = "no such thing" if do == "fail to open" else "not to my taste"
    with nothing_left_behind(tmp_path), pytest.raises(Exception, match=words):
        with InProcessRun(plan, {"relay": frozenset()}) as run:
            for _ in run.messages():
                pass
    assert stage_threads() == []


def test_a_source_that_fails_says_so_in_its_end_and_its_outputs_are_discarded(tmp_path: Path) -> None:
    plan = make_test_plan(tmp_path, LEDGER, source={"frames": 100, "fail_at": 10})
    with nothing_left_behind(tmp_path), InProcessRun(plan, {"decoder": frozenset()}) as run:
        *frames, (_, end) = run.messages()
    assert len(frames) == 10
    assert isinstance(end, EndOfStream) and end.reason == "failed" and "broken at frame 10" in str(end.error)
    assert not list(plan.output.glob("*.txt"))


def test_needs_of_the_caller_reach_the_stage(tmp_path: Path) -> None:
    plan = make_test_plan(tmp_path, SHIFTER)
    run = InProcessRun(plan, {"shifter": frozenset({"flow"})})
    assert run.plan.stages["shifter"].needs == {"flow"} and plan.stages["shifter"].needs == frozenset()
    assert run.plan.stages["shifter"].demand == Demand("full", ("python.shifter",))


def test_a_live_source_gives_its_newest_frames_to_a_slow_caller(tmp_path: Path) -> None:
    live = {"a": {"input": "live"}}
    plan = make_test_plan(tmp_path, SHIFTER, source={"frames": 400, "frames_per_second": 400}, sources=live)
    with InProcessRun(plan, {"shifter": frozenset()}) as run:
        indices = []
        for _, message in run.messages():
            if isinstance(message, Flow):
                indices.append(message.frame.index)
                threading.Event().wait(0.05)
    assert indices == sorted(set(indices)) and len(indices) < 200
    assert indices[-1] > 350


def test_an_input_that_cannot_be_read_is_said_in_the_summary(tmp_path: Path) -> None:
    plan = make_test_plan(tmp_path, LEDGER, source={"frames": 5, "fail_at": 0})
    with InProcessRun(plan) as run:
        summary = run.wait()["a"]
    assert summary["state"] == "failed" and "broken at frame 0" in summary["error"]


def test_a_run_right_after_another_is_a_later_epoch(tmp_path: Path) -> None:
    epochs = []
    for _ in range(2):
        with InProcessRun(make_test_plan(tmp_path, {}, source={"frames": 1}), {"decoder": frozenset()}) as run:
            epochs.append([message.header.epoch for _, message in run.messages()])
    (first, *_), (second, *_) = epochs
    assert first < second

"""Workers that take turns in one thread: each stage calls the next, in the same order in every run."""

from __future__ import annotations

import os
import signal
import threading
import traceback
from collections.abc import Iterable
from pathlib import Path
from typing import ClassVar

import pytest

from pipeline.errors import PluginError
from pipeline.messages import Flow, Frame, Message
from pipeline.runtime.foreground import run_in_foreground
from pipeline.runtime.in_process import InProcessRun
from tests.pipeline.plugins import Relay
from tests.pipeline.running import ledger, make_test_plan, nothing_left_behind

TREE = {
    "relay": {"use": "Relay", "reads": "decoder"},
    "holder": {"use": "Holder", "reads": "relay", "options": {"hold": 50}},
    "ledger": {"use": "Ledger", "reads": "holder"},
    "shifter": {"use": "Shifter", "reads": "relay"},
}


def test_every_stage_gets_what_it_would_and_nothing_runs_beside_the_caller(tmp_path: Path) -> None:
    sources = {"a": {"input": "counter"}, "camera": {"input": "live"}}
    plan = make_test_plan(tmp_path, TREE, source={"frames": 120}, sources=sources, limits={"entries": 4})
    threads: set[str] = set()
    of_others = set(threading.enumerate())  # what an earlier test left may still be ending
    with nothing_left_behind(tmp_path), InProcessRun(plan, {"shifter": frozenset()}, in_turns=True) as run:
        messages = []
        for _, message in run.messages():
            messages.append(message)
            threads |= {thread.name for thread in threading.enumerate() if thread not in of_others}
        summary = run.summary()
    assert sum(isinstance(message, Flow) for message in messages) == 240
    for source in sources:
        assert ledger(plan, source) == [*map(str, range(120)), "end"]
        assert {stage["frames"] for stage in summary[source]["stages"].values()} == {120}
    assert not {name for name in threads if name.startswith(("stage ", "source ", "reader ", "leases"))}
    assert run.plan.stages["holder"].threads == run.plan.cores


def test_a_traceback_leads_from_the_source_to_the_line_that_failed(tmp_path: Path) -> None:
    relay = {"relay": {"use": "Relay", "reads": "decoder", "options": {"at": 3, "do": "raise"}}}
    plan = make_test_plan(tmp_path, {**relay, "ledger": {"use": "Ledger", "reads": "relay"}}, source={"frames": 10})
    with nothing_left_behind(tmp_path), pytest.raises(PluginError, match=r"'relay' .* failed: ValueError") as caught:
        with InProcessRun(plan, in_turns=True) as run:
            run.wait()
    cause = caught.value.__cause__
    assert isinstance(cause, ValueError)
    assert traceback.extract_tb(cause.__traceback__)[-1].filename.endswith("plugins.py")
    assert "turns.py" in str(traceback.extract_tb(caught.value.__traceback__))


class Interrupted(Relay):
    """Presses Ctrl-C at one frame."""

    threads: ClassVar[set[threading.Thread]] = set()

    def process(self, message: Frame) -> Iterable[Message]:
        self.threads.add(threading.current_thread())
        if message.index == 20:
            os.kill(os.getpid(), signal.SIGINT)
        return super().process(message)


def test_ctrl_c_in_the_foreground_ends_the_source_and_leaves_whole_outputs(tmp_path: Path) -> None:
    stages = {"relay": {"use": f"{__name__}:Interrupted", "reads": "decoder"}}
    plan = make_test_plan(tmp_path, {**stages, "ledger": {"use": "Ledger", "reads": "relay"}}, source={"frames": 10**6})
    with nothing_left_behind(tmp_path):
        summary = run_in_foreground(plan)
    assert ledger(plan) == [*map(str, range(21)), "stopped"]
    assert (summary["state"], summary["sources"]["a"]["frames_decoded"]) == ("stopped", 21)
    assert (plan.output / "summary.json").exists()
    assert Interrupted.threads == {threading.main_thread()}


class Noted(Relay):
    """Notes which stage got which frame, in order."""

    seen: ClassVar[list[str]] = []

    def close(self) -> None:
        self.seen.append(f"{self.context.stage} closed")

    def process(self, message: Frame) -> Iterable[Message]:
        self.seen.append(f"{message.header.source}{message.index} {self.context.stage}")
        return super().process(message)


def test_frames_are_asked_for_one_at_a_time_and_go_all_the_way_before_the_next(tmp_path: Path) -> None:
    noted = {"use": f"{__name__}:Noted"}
    stages = {"first": {**noted, "reads": "decoder"}, "last": {**noted, "reads": "first"}}
    sources = {name: {"input": "counter"} for name in ("a", "b")}
    Noted.seen.clear()
    with InProcessRun(make_test_plan(tmp_path, stages, source={"frames": 2}, sources=sources), in_turns=True) as run:
        run.wait()
    ways = [f"{source}{index} {stage}" for index in (0, 1) for source in ("a", "b") for stage in ("first", "last")]
    assert [each for each in Noted.seen if "closed" not in each] == ways


def test_a_run_that_is_left_early_closes_its_stages(tmp_path: Path) -> None:
    plan = make_test_plan(tmp_path, {"noted": {"use": f"{__name__}:Noted", "reads": "decoder"}}, source={"frames": 9})
    Noted.seen.clear()
    with InProcessRun(plan, in_turns=True) as run:
        run._advance(0.0)
    assert Noted.seen == ["a0 noted", "noted closed"]


def test_a_source_that_fails_ends_its_stream_and_no_other(tmp_path: Path) -> None:
    options = {"a": {"frames": 5, "fail_at": 2}, "b": {"frames": 4}}
    sources = {name: {"input": "counter", "options": each} for name, each in options.items()}
    plan = make_test_plan(tmp_path, {"ledger": {"use": "Ledger", "reads": "decoder"}}, sources=sources)
    with nothing_left_behind(tmp_path), InProcessRun(plan, in_turns=True) as run:
        summary = run.wait()
    assert (summary["a"]["state"], summary["b"]["state"]) == ("failed", "finished")
    assert "broken at frame 2" in summary["a"]["error"]
    assert ledger(plan, "b") == ["0", "1", "2", "3", "end"]
    assert not (plan.output / "a.ledger.txt").exists()


def test_an_error_of_ours_keeps_its_words(tmp_path: Path) -> None:
    relay = {"relay": {"use": "Relay", "reads": "decoder", "options": {"at": 1, "do": "repeat"}}}
    plan = make_test_plan(tmp_path, relay, source={"frames": 3})
    with pytest.raises(PluginError, match="sequences must increase"), InProcessRun(plan, in_turns=True) as run:
        run.wait()

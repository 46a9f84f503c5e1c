"""A stabilizer that is killed, fails or is stopped."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from pipeline.errors import ConfigError, OutputError
from pipeline.messages import EndOfStream, Flow, Header, Message
from pipeline.testing import TestContext, run_stage
from stages.stabilization import Stabilization
from tests.stages.shaken_clip import (
    FRAMES,
    context_of,
    corrections,
    header,
    shaken_flows,
    stage_of,
)


@pytest.fixture(scope="module")
def flows() -> list[Flow]:
    return shaken_flows()


def worker_runs(
    flows: Sequence[Flow], options: dict, directory: Path, killed_after: set[int]
) -> Iterator[tuple[list[Message], Stabilization]]:
    """Delivers as a worker does; at the given positions it is killed after processing and before acknowledging."""
    waiting: list[Flow] = []
    snapshot = None
    stage = stage_of(options, context_of(flows, directory))
    stage.open()
    for at, message in enumerate(flows):
        if at in killed_after:
            list(stage.process(message))  # lost with its worker
            stage.close()
            stage = stage_of(options, context_of(flows, directory))
            stage.open()
            if snapshot is not None:
                stage.restore(json.loads(json.dumps(snapshot)))
            for retained in waiting:
                assert list(stage.process(retained)) == []
        waiting.append(message)
        done = list(stage.process(message))
        waiting = waiting[len(waiting) - stage.unacked_window() :]
        snapshot = stage.snapshot()
        yield done, stage


@pytest.mark.parametrize("options", [{}, {"smoothing": "look_ahead"}])
def test_a_killed_worker_changes_nothing(flows: list[Flow], tmp_path: Path, options: dict) -> None:
    end = EndOfStream(header(FRAMES))
    results = []
    for name, kills in (("whole", set()), ("killed", {0, 1, 30, 31, 77})):
        directory = tmp_path / name
        done: list[Message] = []
        runs = list(worker_runs(flows, options, directory, kills))
        for published, _ in runs:
            done += published
        last = runs[-1][1]
        done += last.flush(end)
        last.close()
        results.append((corrections(done), (directory / "source.path.jsonl").read_bytes()))
    assert len(results[0][0]) == FRAMES
    np.testing.assert_array_equal(results[0][0], results[1][0])
    assert results[0][1] == results[1][1]


def test_a_worker_killed_in_the_second_reading_reads_again(flows: list[Flow], tmp_path: Path) -> None:
    *_, (_, stage) = worker_runs(flows, {}, tmp_path, set())
    snapshot = json.loads(json.dumps(stage.snapshot()))
    flushing = iter(stage.flush(EndOfStream(header(FRAMES))))
    for _ in range(10):
        next(flushing)
    stage.close()
    again = stage_of({}, context_of(flows, tmp_path))
    again.open()
    again.restore(snapshot)
    assert len(list(again.flush(EndOfStream(header(FRAMES))))) == FRAMES
    again.close()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["source.path.jsonl", "source.path.png"]


def test_a_short_clip_is_read_once(flows: list[Flow], tmp_path: Path) -> None:
    context = context_of(flows, tmp_path)
    context.frames = ()
    stage = stage_of({}, context)
    stage.open()
    for message in flows[:20]:
        list(stage.process(message))
    assert len(list(stage.flush(EndOfStream(header(20))))) == 20
    stage.close()


def test_a_worker_without_the_measurements_says_where_they_lie(flows: list[Flow], tmp_path: Path) -> None:
    *_, (_, stage) = worker_runs(flows[:5], {}, tmp_path / "here", set())
    other = stage_of({}, context_of(flows[:5], tmp_path / "there"))
    other.open()
    with pytest.raises(OutputError, match="same output directory"):
        other.restore(stage.snapshot())
    stage.close()


def test_snapshots_stay_under_96_kb_at_60_hz_and_the_longest_look_ahead(flows: list[Flow], tmp_path: Path) -> None:
    stage = stage_of({"smoothing": "look_ahead", "look_ahead_seconds": 2.0}, context_of([], tmp_path))
    stage.open()
    for at in range(200):
        head = Header("source", at, Fraction(1, 60), 10**18 + at, epoch=7, sequence=at + 1)
        list(stage.process(replace(flows[at % 60 + 1], header=head)))
    assert stage.unacked_window() == 120
    assert len(json.dumps(stage.snapshot())) < 96_000
    stage.close()


def test_a_failed_source_leaves_no_file(flows: list[Flow], tmp_path: Path) -> None:
    end = EndOfStream(header(9), "failed", "broken")
    assert run_stage(Stabilization, flows[:9], None, context_of(flows, tmp_path), end) == []
    assert list(tmp_path.iterdir()) == []


def test_a_stopped_file_is_whole_and_shorter(flows: list[Flow], tmp_path: Path) -> None:
    done = run_stage(Stabilization, flows[:30], None, context_of(flows, tmp_path), EndOfStream(header(30), "stopped"))
    assert len(done) == 30


def test_a_camera_looks_ahead_and_is_never_read_twice(flows: list[Flow], tmp_path: Path) -> None:
    context = TestContext(directory=tmp_path, live=True)
    assert len(run_stage(Stabilization, flows[:30], None, context)) == 30
    assert context.said["smoothing"] == "look_ahead"
    with pytest.raises(ConfigError, match="look_ahead"):
        run_stage(Stabilization, flows[:3], {"smoothing": "whole_clip"}, context)


def test_killed_after_the_end_and_before_that_counts_the_path_is_complete(flows: list[Flow], tmp_path: Path) -> None:
    paths = []
    for name, kills in (("whole", []), ("killed", [30])):
        context = context_of(flows, tmp_path / name)
        run_stage(Stabilization, flows[:30], {"smoothing": "look_ahead"}, context, killed_after=kills)
        paths.append((tmp_path / name / "source.path.jsonl").read_bytes())
    assert paths[0] == paths[1] and paths[0].count(b"\n") == 30

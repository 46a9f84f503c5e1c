"""What becomes of an entry before a stage sees it: taken, or dropped, counted and said in the log."""

from __future__ import annotations

import logging
import time
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.messages import Gap, Mask, MotionEvent
from pipeline.runtime.publisher import Acknowledgement, Publisher
from pipeline.runtime.stage_task import StageTask
from pipeline.testing import TestContext, make_frame
from pipeline.transport.base import START
from pipeline.transport.memory import MemoryTransport
from tests.pipeline.running import make_test_plan

SIDE_PX = 64
BEGUN = MotionEvent(1, 0.1, None, 0.1, 0.05)


@pytest.fixture(params=["shm", "inline"])
def payload(request: pytest.FixtureRequest) -> str:
    return request.param


class Bench:
    """A stage behind a writer of masks, with everything that a camera's rules allow to go wrong between them."""

    def __init__(self, folder: Path, **top: Any) -> None:
        stages = {"masks": {"use": "Masker", "reads": "decoder"}, "notes": {"use": "Notes", "reads": "masks"}}
        limits = {"slots": 8, "max_latency_ms": 60_000}
        self.plan = make_test_plan(folder, stages, policy="live", limits=limits, **top)
        self.transport, self.folder = MemoryTransport(), folder
        tokens = {}
        for stage in self.plan.stages:
            lease = self.transport.acquire("a", stage, "worker", 3600)
            assert lease is not None
            tokens[stage] = lease.token
        self.task = StageTask(self.plan, self.transport, "a", "notes", tokens["notes"], folder)
        self.writer = Publisher(self.plan, self.transport, "a", "masks", tokens["masks"], folder)

    def write(self, frames: int, begun_at: int, gap_at: int = -1) -> None:
        header = TestContext(source="a").header(0, Fraction(1, 30))
        for index in range(frames):
            at = replace(header, pts=index, epoch=1, sequence=index + 1, arrival_ns=time.time_ns())
            frame = make_frame(np.zeros((SIDE_PX, SIDE_PX), np.uint8), index, header=at)
            mask = Mask(at, frame, np.zeros((SIDE_PX, SIDE_PX), np.uint8), events=(BEGUN,) if index == begun_at else ())
            self.writer.publish(Gap(at, "reconnect") if index == gap_at else mask, Acknowledgement())

    def work_off(self, pending: bool = False) -> list[tuple[str, int, int | None]]:
        """What the stage has noted when all that is there has been worked off."""
        if pending:
            self.task.resume(set())
        self.task.receive([entry for _, entry in self.transport.read("notes", [("a", "masks")], 100, 0)])
        while self.task.waiting:
            if (taken := self.task.take()) is not None:
                self.task.work(taken)
        self.task.commit()
        return self.task.stage.noted  # pyright: ignore[reportAttributeAccessIssue]

    def close(self) -> None:
        self.task.close()
        self.writer.close()


def test_what_tells_of_an_event_reaches_the_stage_though_its_pixels_are_gone(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    bench = Bench(tmp_path)
    bench.write(60, begun_at=2)
    with caplog.at_level(logging.DEBUG):
        noted = bench.work_off()
    bench.close()
    assert noted[0] == ("recycled", 2, BEGUN.id)
    assert len(noted) > 1 and all(kind == "process" for kind, *_ in noted[1:])
    counted, dropped = bench.transport.counters("a", "notes"), 60 - (len(noted) - 1)
    assert counted["dropped:recycled"] == dropped
    assert counted["frames"] == 60 - dropped
    said = [record.getMessage() for record in caplog.records if record.levelno == logging.DEBUG]
    assert said == [f"dropped: recycled of a at 1-{sequence}" for sequence in range(1, dropped + 1)]


@pytest.mark.parametrize("read_before", [False, True])
def test_what_tells_of_an_event_reaches_the_stage_though_it_was_trimmed(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, payload: str, read_before: bool
) -> None:
    bench = Bench(tmp_path, payload=payload)
    bench.write(3, begun_at=-1)
    if read_before:  # by a worker that died on its way
        bench.transport.read("notes", [("a", "masks")], 100, 0)
    bench.writer._last = START
    bench.write(200, begun_at=20, gap_at=30)
    with caplog.at_level(logging.DEBUG):
        noted = bench.work_off(pending=read_before)
    bench.close()
    assert noted[:2] == [("recycled", 20, BEGUN.id), ("gap", 30, None)]
    processed = [index for kind, index, _ in noted[2:] if kind == "process"]
    assert processed == [*range(200 - len(processed), 200)]
    counted = bench.transport.counters("a", "notes")
    trimmed = 200 - bench.transport.length("a", "masks") - 2
    assert counted["dropped:unread"] == trimmed
    assert trimmed + counted["dropped:recycled"] + len(processed) + 1 == 200
    said = [record.getMessage() for record in caplog.records if "trimmed" in record.getMessage()]
    assert said[0] == "trimmed: 20 unread of a after 0-0 and before 1-21"
    assert said[1] == "trimmed: 9 unread of a after 1-21 and before 1-31"

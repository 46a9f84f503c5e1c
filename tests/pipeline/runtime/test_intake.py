"""What becomes of an entry before a stage sees it: taken, or dropped, counted and said in the log."""

from __future__ import annotations

import logging
import time
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from pipeline.messages import Mask, MotionEvent
from pipeline.runtime.publisher import Acknowledgement, Publisher
from pipeline.runtime.stage_task import StageTask
from pipeline.testing import TestContext, make_frame
from pipeline.transport.memory import MemoryTransport
from tests.pipeline.running import make_test_plan

FRAMES, SIDE_PX = 40, 512
"""More than a ring of frames of this size holds."""
BEGUN = MotionEvent(1, 0.1, None, 0.1, 0.05)


def test_what_tells_of_an_event_reaches_the_stage_though_its_pixels_are_gone(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    stages = {"masks": {"use": "Masker", "reads": "decoder"}, "notes": {"use": "Notes", "reads": "masks"}}
    plan = make_test_plan(tmp_path, stages, policy="live", limits={"slots": 8})
    transport = MemoryTransport()
    tokens = {}
    for stage in plan.stages:
        lease = transport.acquire("a", stage, "worker", 3600)
        assert lease is not None
        tokens[stage] = lease.token
    task = StageTask(plan, transport, "a", "notes", tokens["notes"], tmp_path)
    writer = Publisher(plan, transport, "a", "masks", tokens["masks"], tmp_path)
    header = TestContext(source="a").header(0, Fraction(1, 30))
    for index in range(FRAMES):
        at = replace(header, pts=index, epoch=1, sequence=index + 1, arrival_ns=time.time_ns())
        frame = make_frame(np.zeros((SIDE_PX, SIDE_PX), np.uint8), index, header=at)
        mask = np.zeros((SIDE_PX, SIDE_PX), np.uint8)
        writer.publish(Mask(at, frame, mask, events=(BEGUN,) if index == 2 else ()), Acknowledgement())
    with caplog.at_level(logging.DEBUG):
        task.receive([entry for _, entry in transport.read("notes", [("a", "masks")], 100, 0)])
        while task.waiting:
            if (taken := task.take()) is not None:
                task.work(taken)
        task.commit()
    task.close()
    writer.close()
    noted = task.stage.noted  # pyright: ignore[reportAttributeAccessIssue]
    assert noted[0] == ("recycled", 2, BEGUN.id)
    assert len(noted) > 1 and all(kind == "process" for kind, *_ in noted[1:])
    counted = transport.counters("a", "notes")
    dropped = FRAMES - (len(noted) - 1)
    assert counted["dropped:recycled"] == dropped
    assert counted["frames"] == FRAMES - dropped
    said = [record.getMessage() for record in caplog.records if record.levelno == logging.DEBUG]
    assert said == [f"dropped: recycled of a at 1-{sequence}" for sequence in range(1, dropped + 1)]

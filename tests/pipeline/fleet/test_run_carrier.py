"""Cameras of a host as sources of its run."""

from __future__ import annotations

import contextlib
import time

import pytest

from pipeline.fleet.run_carrier import RunCarrier
from pipeline.runtime import source_changes
from pipeline.runtime.run_status import ActiveRun


def test_a_camera_is_gone_once_its_events_were_told_however_new_the_last_status_is(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(source_changes, "add", lambda *arguments, **options: "added")
    monkeypatch.setattr(source_changes, "remove", lambda *arguments: "removed")
    told_until = [0.0]
    carrier = RunCarrier(lambda: ActiveRun("yard", "redis://unused"), lambda camera: told_until[0])
    with contextlib.closing(carrier):
        carrier.start("door", {"input": "rtsp://10.0.0.1/"})
        carrier.stop("door")
        deadline = time.monotonic() + 60
        while not carrier._cameras["door"].asked.done():
            assert time.monotonic() < deadline
            time.sleep(0.01)
        carrier.look({"sources": {}})
        assert carrier.states()["door"].state == "leaving"
        told_until[0] = time.monotonic()
        carrier.look({"sources": {}})
        assert carrier.states() == {}

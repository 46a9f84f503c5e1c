from __future__ import annotations

import contextlib
import time
from pathlib import Path

import av
import numpy as np
import pytest
from av.error import InvalidDataError
from pydantic import ValidationError

from pipeline.testing import make_frame
from stages import rtsp_out
from stages.rtsp_out import RtspOut
from tests.free_port import free_port
from tests.rtsp_server import rtsp_server
from tests.stages.alerting import until
from tests.stages.frames import end
from tests.stages.stage_bench import Machine, bench_context

BRIGHT = [40, 120, 200]


def send(machine: Machine, first: int, count: int) -> None:
    """Frames of growing brightness, at 30 frames/s of the wall clock."""
    for index in range(first, first + count):
        level = BRIGHT[(index // 10) % 3]
        machine.deliver(make_frame(np.full((48, 65), level, np.uint8), index))
        time.sleep(1 / 30)


def levels(file: Path) -> list[int]:
    """Brightness of the frames that are there; the last one may be cut off."""
    found: list[int] = []
    with contextlib.suppress(FileNotFoundError, InvalidDataError), av.open(str(file)) as container:
        found.extend(int(frame.to_ndarray(format="gray").mean()) for frame in container.decode(video=0))
    return found


def send_until(machine: Machine, first: int, file: Path, frames: int) -> int:
    """Send until so many have come; the index of the next. A slow machine leaves frames out until it has connected."""
    end = time.monotonic() + 60
    while len(levels(file)) < frames:
        assert time.monotonic() < end
        send(machine, first, 10)
        first += 10
    return first


def test_frames_arrive_at_a_server_in_order_and_size(tmp_path: Path) -> None:
    file = tmp_path / "published.ts"
    with rtsp_server(file, records=True) as server:
        machine = Machine(RtspOut, bench_context(tmp_path, live=True), url=server.url)
        machine.deliver(end(send_until(machine, 0, file, 31)))
        machine.close()
    seen = levels(file)
    assert len(seen) > 30 and all(min(abs(level - wanted) for wanted in BRIGHT) < 12 for level in seen)
    with av.open(str(file)) as container:
        assert (container.streams.video[0].width, container.streams.video[0].height) == (64, 48)


def test_a_server_that_was_away_gets_the_newest_frames_and_nothing_waits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rtsp_out, "_FIRST_PAUSE_SECONDS", 0.1)
    monkeypatch.setattr(rtsp_out, "_LONGEST_PAUSE_SECONDS", 0.2)
    file, port = tmp_path / "published.ts", free_port()
    context = bench_context(tmp_path, live=True)
    machine = Machine(RtspOut, context, url=f"rtsp://me:hush@127.0.0.1:{port}/camera")
    send(machine, 0, 30)
    until(lambda: "Connection refused" in str(context.said.get("receiver")))
    assert "hush" not in str(context.said) and machine.counts["frames_left_out"] > 10
    with rtsp_server(file, port, records=True):
        send_until(machine, 30, file, 6)
        assert context.said["receiver"] == ""
        machine.close()


def test_a_file_is_sent_at_its_own_speed(tmp_path: Path) -> None:
    machine = Machine(RtspOut, bench_context(tmp_path), url=f"rtsp://127.0.0.1:{free_port()}/camera")
    begin = time.monotonic()
    machine.deliver(*(make_frame(np.zeros((48, 64), np.uint8), index) for index in range(10)))
    assert time.monotonic() - begin >= 0.28  # nine steps of 1/30 s: it may be slower, never faster
    machine.close()


def test_what_is_no_rtsp_server_is_refused() -> None:
    with pytest.raises(ValidationError, match=r"must begin with rtsp:// or rtsps://, found 'http://me:\*\*\*@host'"):
        RtspOut.Options.model_validate({"url": "http://me:hush@host"})

"""What is piped in: read from begin to end, and left when asked to stop."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.errors import InputError
from stages.decoder.containers import Limits, open_pipe
from stages.decoder.standard_input import StandardInput
from tests.stages.clips import write_clip


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    ends = os.pipe()
    yield ends
    os.close(ends[0])


def feed(end: int, data: bytes) -> threading.Thread:
    def write() -> None:
        with open(end, "wb") as file:
            file.write(data)

    thread = threading.Thread(target=write)
    thread.start()
    return thread


@pytest.mark.parametrize("format", ["mpegts", "matroska", "yuv4mpegpipe"])
def test_a_video_is_read_from_a_pipe(tmp_path: Path, pipe: tuple[int, int], format: str) -> None:
    codec = "rawvideo" if format == "yuv4mpegpipe" else "libx264"
    writing = feed(pipe[1], write_clip(tmp_path / "clip", 12, codec=codec, format=format).read_bytes())
    with open_pipe(StandardInput(threading.Event(), pipe[0]), "-", Limits()) as container:
        assert sum(1 for _ in container.decode(video=0)) == 12
    writing.join()


def test_what_is_no_video_is_said(pipe: tuple[int, int]) -> None:
    writing = feed(pipe[1], b"no video at all " * 100)
    with pytest.raises(InputError, match=r"-: no video: .*found 1600 bytes\. Pipe in MPEG-TS, Matroska"):
        open_pipe(StandardInput(threading.Event(), pipe[0]), "-", Limits())
    writing.join()


def test_a_stop_ends_the_wait_for_a_silent_sender(pipe: tuple[int, int]) -> None:
    stopped = threading.Event()
    timer = threading.Timer(0.1, stopped.set)
    timer.start()
    assert StandardInput(stopped, pipe[0]).read(100) == b""
    timer.join()
    os.close(pipe[1])

"""Which encoder writes: the CPU's, or, where it is asked for and there, a GPU's."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import av
import pytest

from stages.video_writer import VideoWriter
from stages.video_writer.codecs import CODECS
from tests.stages.frames import end, yuv_frame
from tests.stages.stage_bench import Machine, bench_context

needs_no_nvenc = pytest.mark.skipif(CODECS["h264_nvenc"].why_not() is None, reason="this machine has NVENC")


def written(folder: Path, kill: bool = False, **options: Any) -> Machine:
    machine = Machine(VideoWriter, bench_context(folder), **options)
    machine.deliver(*(yuv_frame(index, 40 * index) for index in range(20)))
    if kill:
        machine.kill()
    machine.deliver(*(yuv_frame(index, 40 * index) for index in range(20, 24)), end(100))
    machine.close()
    with av.open(str(folder / "clip.stabilized.mp4")) as container:
        assert sum(1 for _ in container.decode(video=0)) == 24
    return machine


@needs_no_nvenc
@pytest.mark.parametrize("asked", ["auto", "nvenc"])
def test_without_a_gpu_the_cpu_encodes_and_that_is_said(
    asked: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    said = written(tmp_path, encoder=asked).context.said
    assert said["encoder"] == "libx264" and "h264_nvenc" in str(said["encoder_fallback"])
    assert f"encoder {asked}: the CPU encodes instead (" in caplog.text


def test_by_default_nothing_is_asked_for_and_nothing_said(tmp_path: Path) -> None:
    said = written(tmp_path).context.said
    assert said["encoder"] == "libx264" and "encoder_fallback" not in said


@pytest.mark.parametrize(
    ("options", "why"), [({"codec": "av1"}, "not av1"), ({"preset": "slow"}, "the preset slow is one of x264")]
)
def test_what_a_gpu_is_not_asked_to_write_is_said(options: dict[str, Any], why: str, tmp_path: Path) -> None:
    assert why in str(written(tmp_path, encoder="nvenc", **options).context.said["encoder_fallback"])


@pytest.mark.parametrize("kill", [False, True])
def test_an_encoder_that_is_there_is_used_also_by_the_worker_that_takes_over(
    kill: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """x264 stands in for the GPU's encoder, which this machine need not have."""
    stand_in = replace(CODECS["h264"], name="h264_nvenc")
    monkeypatch.setitem(CODECS, "h264_nvenc", stand_in)
    used: list[str] = []
    monkeypatch.setattr(type(stand_in), "why_not", lambda codec: used.append(codec.name))
    written(tmp_path, kill=kill, encoder="nvenc")
    assert used == ["h264_nvenc"]  # once: who takes over goes on with what was begun

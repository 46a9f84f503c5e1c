"""Decoding by hardware: where there is none, the CPU decodes the same frames, and says so."""

from __future__ import annotations

import logging
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import av
import numpy as np
import pytest
from av.codec.hwaccel import HWAccel

from pipeline.messages import Frame
from stages.decoder.hardware import VideoHardware
from stages.shared import hardware_video
from stages.shared.hardware_video import KNOWN, Hardware, choose_hardware, why_not
from tests.stages.decoding import decode, decoder, fingerprint


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("hardware") / "clip.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for level in (40, 90, 140):
            frame = av.VideoFrame.from_ndarray(np.full((48, 64, 3), level, np.uint8), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


@pytest.fixture
def no_device(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hardware_video, "why_not", lambda name: f"no {name} in this test")


def said(clip: Path, caplog: pytest.LogCaptureFixture, hwaccel: str) -> tuple[list[Any], Any, str]:
    with caplog.at_level(logging.WARNING), decoder(clip, hwaccel=hwaccel) as (source, context):
        frames = [message for message in source.read(0) if isinstance(message, Frame)]
    return [fingerprint(frame) for frame in frames], context.said.get("hwaccel"), caplog.text


@pytest.mark.parametrize("asked", ["cuda", "auto"])
@pytest.mark.usefixtures("no_device")
def test_without_a_device_the_cpu_decodes_the_same_and_says_so(
    asked: str, clip: Path, caplog: pytest.LogCaptureFixture
) -> None:
    frames, status, log = said(clip, caplog, asked)
    assert frames == [fingerprint(frame) for frame in decode(clip)[0]] and len(frames) == 3
    assert status.startswith("off: cuda: no cuda in this test")
    assert f"hwaccel {asked}: the CPU decodes instead" in log
    assert ("vaapi" in status) is (asked == "auto")


def test_off_says_nothing(clip: Path, caplog: pytest.LogCaptureFixture) -> None:
    frames, status, log = said(clip, caplog, "off")
    assert len(frames) == 3 and status is None and not log


def test_a_device_that_does_not_decode_the_codec_is_named(
    clip: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    if why_not("qsv") is None:
        pytest.skip("there is a qsv device")
    monkeypatch.setattr(hardware_video, "why_not", lambda name: None)
    frames, status, log = said(clip, caplog, "qsv")
    assert len(frames) == 3
    assert status == "off: qsv does not decode h264 here"
    assert "the CPU decodes instead" in log


def test_where_a_device_decodes_it_is_named_and_the_cpu_needs_one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stages.decoder.hardware.choose_hardware", lambda _: Hardware(HWAccel("cuda"), "cuda"))
    statuses: dict[str, str] = {}
    context: Any = SimpleNamespace(status=statuses.update)
    hardware = VideoHardware("auto", context)
    stream = SimpleNamespace(codec_context=SimpleNamespace(is_hwaccel=True, name="h264"))
    context.status = lambda **values: statuses.update(values)
    assert hardware.threads(stream, 8) == 1
    assert statuses == {"hwaccel": "cuda"}


def test_a_device_is_opened_to_know_whether_it_is_there() -> None:
    for name in KNOWN:
        reason = why_not(name)
        chosen = choose_hardware(name)
        assert (chosen.accel is None) is (reason is not None)
        assert chosen.lacking == ("" if reason is None else f"{name}: {reason}")

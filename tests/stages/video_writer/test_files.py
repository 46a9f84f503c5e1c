"""From decoder to mp4: time stamps, count, size and color tags of real and odd files."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import av
import pytest

from pipeline.messages import Frame, Gap
from pipeline.testing import TestContext
from stages.decoder import Decoder
from stages.video_writer import VideoWriter
from tests.data import data_path
from tests.stages.frames import end
from tests.stages.stage_bench import Machine, bench_context


def decoded(source: Path) -> Iterator[Frame | Gap]:
    decoder = Decoder(Decoder.Options.model_validate({}), TestContext(source="clip", input=str(source)))
    try:
        for sequence, message in enumerate(decoder.read(0)):
            yield replace(message, header=replace(message.header, sequence=sequence))
    finally:
        decoder.close()


@pytest.mark.parametrize(
    "name",
    [
        "odd/test_non_zero_start.mp4",
        "odd/testsrc2_odd_height_and_width_444.mp4",
        "odd/h265_10bits.mp4",
        "odd/bt709_full_range.mp4",
        "odd/video_90.mov",
        "odd/video_270.mov",
        "odd/test.webm",
        "odd/test.ts",
        "odd/nasa_13013.mp4",
        "shaky/meshflow-3.m4v",
    ],
)
def test_what_was_decoded_is_in_the_mp4_frame_by_frame(tmp_path, name):
    source = data_path("video", name)
    machine = Machine(VideoWriter, bench_context(tmp_path, str(source)), preset="ultrafast")
    frames: list[Frame] = []
    for message in decoded(source):
        machine.deliver(message)
        frames += [message] if isinstance(message, Frame) else []
    machine.deliver(end(10**6))
    machine.close()
    with av.open(str(tmp_path / "clip.stabilized.mp4")) as container:
        stream = container.streams.video[0]
        written = [(frame.pts or 0) * (stream.time_base or 1) for frame in container.decode(stream)]
        tags = stream.codec_context
        assert (stream.width - stream.width % 2, stream.height % 2) == (stream.width, 0)
        assert 0 <= stream.width - frames[0].width <= 1 and 0 <= stream.height - frames[0].height <= 1
        assert tags.colorspace == {"bt601": 6, "bt709": 1, "bt2020": 9}[frames[0].color_space]
        assert tags.color_range == {"tv": 1, "pc": 2}[frames[0].color_range]
    assert len(written) == len(frames)
    assert written == [(frame.header.pts or 0) * frame.header.time_base for frame in frames]

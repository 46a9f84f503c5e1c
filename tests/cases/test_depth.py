"""Video of 10 bits stays at 10 bits, with the colors and the mastering data of HDR."""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from pydantic import ValidationError

from pipeline.messages import Frame, Message, Stabilized
from pipeline.stage import Stage
from pipeline.testing import run_stage
from stages.shared.color import gray, rgb
from stages.video_writer import VideoWriter
from stages.video_writer.hdr import Mastering
from tests.cases.copies import copied
from tests.cases.films import Picture, film

PQ = (9, 9, 16, 1)
"""BT.2020 with the PQ curve, limited range: HDR10."""
P3 = "master-display=G(13250,34500)B(7500,3000)R(34000,16000)WP(15635,16450)L(10000000,50):max-cll=1000,400"
CODECS = {"h264": "h264", "hevc": "hevc", "av1": "av1", "ffv1": "ffv1", "auto": "hevc"}


@pytest.fixture(scope="module")
def hdr(tmp_path_factory: pytest.TempPathFactory) -> Path:
    options = {"x265-params": f"log-level=error:{P3}", "crf": "4", "preset": "ultrafast"}
    picture = Picture("libx265", "yuv420p10le", (128, 96), colors=PQ, options=options)
    return film(tmp_path_factory.mktemp("hdr") / "hdr.mkv", frames=6, pictures=[picture])


def luma(frame: Any) -> np.ndarray:
    """int (H, W), of 10 bits."""
    if isinstance(frame, Frame):
        return np.asarray(frame.planes[0]).astype(int)
    plane = frame.reformat(format="yuv420p10le").planes[0]
    return np.frombuffer(plane, np.uint16).reshape(plane.height, -1)[:, : plane.width].astype(int)


def test_the_decoder_keeps_ten_bits_and_rounds_where_asked_to(hdr, tmp_path):
    copy = copied(hdr, tmp_path)
    deep = copy.frames[0]
    flat = copied(hdr, tmp_path / "8", decoder={"bit_depth": 8}).frames[0]
    assert (deep.format, flat.format) == ("yuv420p10", "yuv420p")
    assert len(np.unique(luma(deep)[:20])) > 1.5 * len(np.unique(luma(flat)[:20]))
    assert np.abs(luma(deep) / 4 - luma(flat)).max() <= 1
    assert (
        np.abs(rgb(deep).astype(int) - rgb(flat)).max() <= 4 and np.abs(gray(deep).astype(int) - gray(flat)).max() <= 2
    )


@pytest.mark.parametrize("codec", CODECS)
def test_ten_bits_colors_and_mastering_data_survive(hdr, tmp_path, codec):
    copy = copied(hdr, tmp_path, codec=codec, crf=10)
    assert copy.path.suffix == (".mkv" if codec == "ffv1" else ".mp4") and copy.said["bits"] == 10
    with av.open(str(copy.path)) as container:
        stream = container.streams.video[0]
        context = stream.codec_context
        assert context.codec.canonical_name == CODECS[codec] and context.pix_fmt == "yuv420p10le"
        assert (context.colorspace, context.color_primaries, context.color_trc, context.color_range) == PQ
        frames = list(container.decode(stream))
        mastering = Mastering.of(frames[0])
    assert len(frames) == 6
    # 8 bits would lose up to 2 of 1023 by rounding alone; coding at crf 10 adds its noise.
    assert np.abs(luma(frames[3]) - luma(copy.frames[3])).mean() < (0.01 if codec == "ffv1" else 2)
    if codec == "ffv1":
        assert "mastering data left out" in copy.said["hdr"]
    else:
        assert mastering is not None and mastering.light_levels == (1000, 400)
        assert float(mastering.luminance[1]) == pytest.approx(1000) and float(mastering.red[0]) == pytest.approx(
            0.68, abs=1e-3
        )


class Onlooker(Stage):
    """Keeps what it is shown."""

    reads = (Frame, Stabilized)
    shown: list[Frame] = []

    def process(self, message: Frame | Stabilized) -> Iterable[Message]:
        self.shown.append(message if isinstance(message, Frame) else message.frame)
        return ()


class DeepOnlooker(Onlooker):
    takes_10_bits = True
    shown: list[Frame] = []


def test_a_stage_that_does_not_take_ten_bits_gets_eight(hdr, tmp_path):
    deep = copied(hdr, tmp_path).frames[0]
    for cls in (Onlooker, DeepOnlooker):
        run_stage(cls, [deep, Stabilized(deep.header, deep, (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0))])
    for rounded, whole in zip(Onlooker.shown, DeepOnlooker.shown, strict=True):
        assert (rounded.format, rounded.planes[0].dtype, whole.format) == ("yuv420p", np.uint8, "yuv420p10")
        assert np.abs(luma(whole) / 4 - luma(rounded)).max() <= 0.5


def test_more_than_ten_bits_become_ten(tmp_path):
    picture = Picture("ffv1", "yuv444p12le")
    copy = copied(film(tmp_path / "deep.mkv", frames=3, pictures=[picture]), tmp_path / "out")
    assert copy.frames[0].format == "yuv420p10" and copy.said["encoder"] == "libx265"


@pytest.mark.parametrize("codec", ["h264", "hevc", "av1", "ffv1"])
def test_eight_bits_stay_eight(tmp_path, codec):
    copy = copied(film(tmp_path / "plain.mp4", frames=5), tmp_path / "out", codec=codec)
    with av.open(str(copy.path)) as container:
        context = container.streams.video[0].codec_context
        assert (context.codec.canonical_name, context.pix_fmt) == (codec, "yuv420p")
        times = [Fraction(frame.pts or 0) * (frame.time_base or 1) for frame in container.decode(video=0)]
    assert times == [Fraction(index, 25) for index in range(5)]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"codec": "ffv1", "container": "mp4"}, "container mp4 does not hold codec ffv1; allowed are mkv"),
        ({"codec": "av1", "preset": "fast"}, "preset is of codecs h264 and hevc"),
        ({"crf": 60}, "crf 60 is too high: at most 51, for codec av1 63"),
        ({"path": "{source}.avi"}, "must end in .mp4 or .mov or .mkv"),
    ],
)
def test_what_does_not_go_together_is_refused(options, words):
    with pytest.raises(ValidationError, match=words):
        VideoWriter.Options.model_validate(options)

"""The output describes the stream that was decoded, not the one that FFmpeg thinks best."""

from __future__ import annotations

from fractions import Fraction

import av
import pytest

from tests.cases.copies import copied
from tests.cases.films import Picture, film

HLG, BT601 = (9, 9, 18, 1), (6, 6, 6, 1)
"""Matrix, primaries, transfer and range."""


@pytest.mark.parametrize(("stream", "size", "aspect", "tags"), [(0, 96, 1, HLG), (1, 64, Fraction(4, 3), BT601)])
def test_tags_and_pixel_shape_are_those_of_the_stream_that_was_decoded(tmp_path, stream, size, aspect, tags):
    pictures = [Picture(size=(96, 80), colors=HLG), Picture(size=(64, 48), colors=BT601, aspect=Fraction(4, 3))]
    source = film(tmp_path / "two.mkv", frames=3, pictures=pictures)
    copy = copied(source, tmp_path / "out", decoder={"video_stream": stream})
    with av.open(str(copy.path)) as container:
        video = container.streams.video[0]
        context = video.codec_context
        assert video.width == size and video.sample_aspect_ratio == aspect
        assert (context.colorspace, context.color_primaries, context.color_trc, context.color_range) == tags
    assert copy.said["left_out"] == "other video track: the output has one picture"

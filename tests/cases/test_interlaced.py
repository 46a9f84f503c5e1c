"""Interlaced video is made progressive, whether its stream says that it is or not; other video is left alone."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import av.filter
import numpy as np
import pytest

from stages.decoder.interlacing import Combing
from tests.cases.copies import Copy, copied
from tests.cases.films import RATE

WIDTH, HEIGHT = 160, 120
Moment = Callable[[float], np.ndarray]
"""Luma uint8 (H, W) at a time, in frames."""


def bar(time: float) -> np.ndarray:
    """A bright bar that moves by 6 px a frame, over texture that stands."""
    image = np.random.default_rng(1).integers(40, 90, (HEIGHT, WIDTH)).astype(np.uint8)
    left = round(10 + 6 * time)
    image[20:100, left : left + 24] = 220
    return image


def texture(time: float) -> np.ndarray:
    """Noise of single pixels that moves by 4 px a frame."""
    image = np.random.default_rng(2).integers(20, 240, (HEIGHT, WIDTH + 400)).astype(np.uint8)
    return image[:, round(4 * time) :][:, :WIDTH]


def lines(time: float) -> np.ndarray:
    """Thin bright lines, as of small letters, that rise by 2 px a frame."""
    rows = (np.arange(HEIGHT) + round(2 * time)) % 7 == 0
    return np.repeat(np.where(rows, 220, 30).astype(np.uint8)[:, None], WIDTH, 1)


def still(_: float) -> np.ndarray:
    return texture(0)


def noisy(time: float) -> np.ndarray:
    """A bar and the noise of a dark camera."""
    noise = np.random.default_rng(round(1000 * time)).normal(0, 12, (HEIGHT, WIDTH))
    return np.clip(bar(time) + noise, 0, 255).astype(np.uint8)


def woven(moment: Moment, index: int, top_first: bool) -> np.ndarray:
    """Frame `index` of two fields, half a frame apart."""
    first, second = moment(index), moment(index + 0.5)
    image = first.copy()
    image[1 if top_first else 0 :: 2] = second[1 if top_first else 0 :: 2]
    return image


def video(path: Path, images: list[np.ndarray], flagged: str | None = None) -> Path:
    """Write the images; `flagged` as interlaced, ``tff`` or ``bff``."""
    with av.open(str(path), "w") as output:
        stream: Any = output.add_stream("libx264", rate=RATE)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        stream.options = {"crf": "10", "preset": "ultrafast"}
        if flagged:
            stream.options["x264-params"] = f"{flagged}=1"
        for index, image in enumerate(images):
            chroma = np.full((HEIGHT // 2, WIDTH), 128, np.uint8)
            frame = av.VideoFrame.from_ndarray(np.concatenate([image, chroma]), "yuv420p")
            frame.pts, frame.time_base = index, Fraction(1, RATE)
            output.mux(stream.encode(with_field_order(frame, flagged) if flagged else frame))
        output.mux(stream.encode(None))
    return path


def with_field_order(frame: Any, order: str) -> Any:
    """The frame, flagged as interlaced."""
    graph = av.filter.Graph()
    source = graph.add_buffer(width=WIDTH, height=HEIGHT, format=frame.format, time_base=frame.time_base)
    graph.link_nodes(source, graph.add("setfield", order), graph.add("buffersink")).configure()
    graph.vpush(frame)
    return graph.vpull()


def combed_share(copy: Copy) -> float:
    """Share of the pixels of the bar's edges in the last frame that differ from those above and below alike."""
    luma = np.asarray(copy.frames[-2].planes[0]).astype(int)
    up, down = luma[1:-1] - luma[:-2], luma[1:-1] - luma[2:]
    return float(((np.minimum(up, down) > 60) | (np.maximum(up, down) < -60)).mean())


@pytest.mark.parametrize("top_first", [True, False])
@pytest.mark.parametrize("flagged", [True, False])
def test_combing_goes_and_number_and_times_stay(tmp_path, top_first, flagged):
    order = "tff" if top_first else "bff"
    images = [woven(bar, index, top_first) for index in range(14)]
    source = video(tmp_path / "fields.mkv", images, order if flagged else None)
    copy = copied(source, tmp_path / "out")
    said = (
        "the stream is interlaced"
        if flagged
        else f"the frames are interlaced ({order}), though the stream does not say"
    )
    assert said in str(copy.decoder.said["deinterlace"])
    assert [frame.header.pts_seconds for frame in copy.frames] == [index / RATE for index in range(14)]
    assert (
        combed_share(copy) < 0.001 < 0.01 < combed_share(copied(source, tmp_path / "o", decoder={"deinterlace": "off"}))
    )
    # What moves is where the first field shows it.
    edges = [np.abs(np.asarray(copy.frames[12].planes[0]).astype(int) - bar(time)).mean() for time in (12, 12.5)]
    assert edges[0] < 0.5 * edges[1]
    with av.open(str(copy.path)) as container:
        assert not any(frame.interlaced_frame for frame in container.decode(video=0))


@pytest.mark.parametrize("moment", [bar, texture, lines, still, noisy])
def test_progressive_video_is_left_alone(tmp_path, moment):
    copy = copied(video(tmp_path / "whole.mkv", [moment(index) for index in range(14)]), tmp_path / "out")
    assert "deinterlace" not in copy.decoder.said and len(copy.frames) == 14


@pytest.mark.parametrize("moment", [bar, noisy])
@pytest.mark.parametrize("top_first", [True, False])
def test_frames_tell_which_field_comes_first(moment, top_first):
    combing = Combing()
    for index in range(8):
        combing.look_at(av.VideoFrame.from_ndarray(woven(moment, index, top_first), "gray"))
    assert combing.is_interlaced and combing.top_field_first is top_first


def test_a_file_that_stands_at_first_is_deinterlaced_from_where_it_moves(tmp_path):
    images = [bar(0)] * 20 + [woven(bar, index, True) for index in range(14)]
    copy = copied(video(tmp_path / "late.mkv", images), tmp_path / "out")
    assert len(copy.frames) == 34 and combed_share(copy) < 0.001


def test_a_restart_goes_on_with_the_same_frames(tmp_path):
    from tests.stages.decoding import decode, fingerprint

    source = video(tmp_path / "fields.mkv", [woven(bar, index, True) for index in range(14)])
    whole, rest = decode(source)[0], decode(source, 6)[0]
    assert [fingerprint(frame) for frame in rest] == [fingerprint(frame) for frame in whole[6:]]


@pytest.mark.parametrize("stood_frames", [60, 61, 62, 63])
@pytest.mark.parametrize("top_first", [True, False])
def test_fields_are_seen_soon_after_a_long_rest(stood_frames: int, top_first: bool) -> None:
    combing = Combing()
    for image in [bar(0)] * stood_frames + [woven(bar, index, top_first) for index in range(8)]:
        combing.look_at(av.VideoFrame.from_ndarray(image, "gray"))
    assert combing.is_interlaced and combing.top_field_first is top_first

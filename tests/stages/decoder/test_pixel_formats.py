"""Frames come upright, in one of three formats, with their own colors; from folders of images too."""

from __future__ import annotations

import gc
import shutil
import subprocess
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from pipeline.messages import Frame
from stages.decoder.pixel_formats import PixelReader
from tests.data import data_path
from tests.stages.clips import brightness, shade, write_clip
from tests.stages.decoding import decode, decoder, fingerprint


@pytest.mark.parametrize("name", ["video_90.mov", "video_270.mov"])
def test_rotation_is_as_ffmpeg_shows_it(name, tmp_path):
    ffmpeg = shutil.which("ffmpeg")
    if ffmpeg is None:
        pytest.skip("no ffmpeg on the PATH to compare with")
    path = data_path("video", "odd", name)
    command = [ffmpeg, "-v", "error", "-i", str(path), "-pix_fmt", "yuv420p", "-f", "rawvideo", "-"]
    raw = np.frombuffer(subprocess.run(command, capture_output=True, check=True).stdout, np.uint8)
    frames, _, _ = decode(path)
    ours = np.concatenate([np.asarray(plane).ravel() for frame in frames for plane in frame.planes])
    assert np.array_equal(ours, raw)


@pytest.mark.skipif(not hasattr(av.VideoStream, "set_display_rotation"), reason="this PyAV cannot write a rotation")
@pytest.mark.parametrize(
    "degrees, mirrored, bright",
    [
        (0, (False, False), "right"),
        (90, (False, False), "top"),
        (180, (False, False), "left"),
        (270, (False, False), "bottom"),
        (0, (True, False), "left"),
        (0, (False, True), "right"),
        (90, (False, True), "bottom"),
        (90, (True, False), "top"),
    ],
)
def test_what_was_turned_or_mirrored_stands_upright(tmp_path, degrees, mirrored, bright):
    clip = write_clip(tmp_path / "turned.mp4", 2, (64, 48), rotation=degrees, mirrored=mirrored)
    frames, _, _ = decode(clip)
    for frame in frames:  # the later ones are no key frames
        assert np.asarray(frame.planes[0]).shape == np.asarray(frames[0].planes[0]).shape
    luma = np.asarray(frames[-1].planes[0]).astype(int)
    assert luma.shape == ((64, 48) if degrees % 180 else (48, 64))
    height, width = luma.shape
    halves = {
        "top": luma[: height // 2 - 2], "bottom": luma[height // 2 + 2 :],
        "left": luma[:, : width // 2 - 2], "right": luma[:, width // 2 + 2 :],
    }  # fmt: skip
    assert max(halves, key=lambda side: halves[side].mean()) == bright


def frames_alive() -> int:
    return sum(type(each) is av.VideoFrame for each in gc.get_objects())


def test_frames_that_were_read_are_let_go_at_once(tmp_path):
    """Their buffers are the decoder's again without the garbage collector."""
    reader = PixelReader()
    gc.collect()
    before = frames_alive()  # of other tests
    gc.disable()
    try:
        clip = str(write_clip(tmp_path / "clip.mp4", 12))
        for _ in range(4):  # key frames, whose display matrix is read
            with av.open(clip) as container:
                for frame in container.decode(video=0):
                    reader.read(frame)
        del frame
        alive = frames_alive() - before
    finally:
        gc.enable()
    assert alive <= 1  # the last one


@pytest.mark.parametrize(
    "tags, expected",
    [((1, 1), ("bt709", "tv")), ((1, 2), ("bt709", "pc")), ((5, 1), ("bt601", "tv")), ((9, 2), ("bt2020", "pc"))],
)
def test_matrix_and_range_are_the_streams_own(tmp_path, tags, expected):
    frames, _, _ = decode(write_clip(tmp_path / "tagged.mp4", 2, tags=tags))
    assert (frames[0].color_space, frames[0].color_range) == expected


def test_a_matrix_that_is_not_known_is_taken_for_another_and_said_aloud(tmp_path):
    path = write_clip(tmp_path / "ycgco.mp4", 2, tags=(8, 1))
    with decoder(path) as (source, context):
        frames = list(source.read(0))
    assert {frame.color_space for frame in frames if isinstance(frame, Frame)} == {"bt601"}
    assert context.said["colors"] == "matrix 8 of ITU-T H.273 is not known; shown as bt601"


@pytest.mark.parametrize("size, space", [((640, 480), "bt601"), ((1280, 272), "bt709"), ((64, 720), "bt709")])
def test_a_matrix_that_is_not_told_is_guessed_from_the_size(tmp_path, size, space):
    frames, _, _ = decode(write_clip(tmp_path / "plain.mkv", 1, size, codec="ffv1"))
    assert (frames[0].color_space, frames[0].color_range) == (space, "tv")


@pytest.mark.parametrize(
    "pix_fmt, format",
    [
        ("yuv420p", "yuv420p"), ("yuv422p", "yuv420p"), ("yuv444p", "yuv420p"), ("yuv420p10le", "yuv420p10"),
        ("yuv422p10le", "yuv420p10"), ("yuv444p12le", "yuv420p10"), ("yuva420p", "yuv420p"),
        ("yuva444p10le", "yuv420p10"),
        ("bgr0", "rgb24"), ("bgra", "rgb24"), ("gbrp10le", "rgb24"), ("gray", "gray8"), ("gray16le", "gray8"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("size", [(64, 48), (33, 17)])
def test_every_pixel_format_becomes_one_of_four_with_the_same_brightness(tmp_path, pix_fmt, format, size):
    frames, _, _ = decode(write_clip(tmp_path / "clip.mkv", 3, size, codec="ffv1", pix_fmt=pix_fmt))
    assert [frame.format for frame in frames] == [format] * 3
    assert (frames[0].width, frames[0].height) == size
    # 1: deeper formats are rounded, with dither.
    assert [brightness(frame) for frame in frames] == pytest.approx([shade(0), shade(1), shade(2)], abs=1)


def test_a_clip_of_one_pixel_works(tmp_path):
    frames, _, _ = decode(write_clip(tmp_path / "one.mkv", 4, (1, 1), codec="ffv1"))
    assert [frame.planes[0].shape for frame in frames] == [(1, 1)] * 4
    assert [brightness(frame) for frame in frames] == [shade(index) for index in range(4)]


def test_a_folder_of_images_is_read_in_natural_order(tmp_path):
    for number in (10, 2, 1, 9):
        _write_image(tmp_path / f"shot{number}.png", number)
    (tmp_path / "notes.txt").write_text("no image")
    frames, gaps, counts = decode(tmp_path, fps=12.5)
    assert [int(np.asarray(frame.planes[0])[0, 0, 0]) for frame in frames] == [1, 2, 9, 10]
    assert [frame.header.pts_seconds for frame in frames] == pytest.approx([0, 0.08, 0.16, 0.24])
    assert [frame.index for frame in frames] == [0, 1, 2, 3]
    assert (gaps, counts) == ([], {})


def test_a_damaged_image_is_skipped_and_the_others_keep_their_times(tmp_path):
    for number in range(4):
        _write_image(tmp_path / f"{number}.png", number)
    (tmp_path / "1.png").write_bytes(b"\x89PNG\r\n\x1a\nnothing")
    frames, _, counts = decode(tmp_path, fps=10)
    assert [frame.header.pts_seconds for frame in frames] == pytest.approx([0, 0.2, 0.3])
    assert [frame.index for frame in frames] == [0, 1, 2]
    assert counts == {"corrupt_packets": 1}


def test_a_folder_goes_on_where_it_was(tmp_path):
    for number in range(5):
        _write_image(tmp_path / f"{number}.png", number)
    whole, rest = decode(tmp_path)[0], decode(tmp_path, 3)[0]
    assert [fingerprint(frame) for frame in rest] == [fingerprint(frame) for frame in whole[3:]]


def test_one_image_is_a_video_of_one_frame(tmp_path):
    _write_image(tmp_path / "still.png", 7)
    assert len(decode(tmp_path / "still.png")[0]) == 1


def test_a_folder_of_jpegs_keeps_its_yuv():
    frames, _, _ = decode(data_path("masks", "highway", "input"))
    assert len(frames) == 531
    assert {(frame.format, frame.color_range) for frame in frames} == {("yuv420p", "pc")}


def _write_image(path: Path, value: int) -> None:
    frame = av.VideoFrame.from_ndarray(np.full((8, 12, 3), value, np.uint8), "rgb24")
    codec = av.CodecContext.create("png", "w")
    codec.width, codec.height, codec.pix_fmt, codec.time_base = 12, 8, "rgb24", Fraction(1, 25)
    frame.pts, frame.time_base = 0, Fraction(1, 25)
    path.write_bytes(b"".join(bytes(packet) for packet in [*codec.encode(frame), *codec.encode(None)]))

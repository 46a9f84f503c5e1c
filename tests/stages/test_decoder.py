"""Files and folders: every frame once, in order, with its own time and colours."""

from __future__ import annotations

import shutil
import subprocess
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from pipeline.messages import Frame
from stages.media.colour import plane_shapes
from tests.data import data_path
from tests.stages.decoding import decode, decoder, fingerprint
from tests.stages.media.clips import brightness, join, shade, write_clip

# Frames as `ffprobe -count_frames` (FFmpeg 5.1) counts them in the stream that FFmpeg prefers, and their upright size.
REAL_FILES = {
    "odd/bikes.mp4": (250, 640, 272),
    "odd/bt709_full_range.mp4": (30, 1280, 720),
    "odd/corrupted.mp4": (49, 1280, 720),
    "odd/emptyvideoaudio.mkv": (300, 1920, 1080),
    "odd/h265_10bits.mp4": (30, 200, 200),
    "odd/nasa_13013.mp4": (390, 480, 270),
    "odd/scene_cuts.mp4": (250, 1280, 272),
    "odd/test.ts": (187, 160, 100),
    "odd/test.webm": (94, 640, 480),
    "odd/test_non_zero_start.mp4": (12, 200, 112),
    "odd/testsrc2_odd_height_and_width_444.mp4": (25, 321, 241),
    "odd/video_270.mov": (3, 320, 568),
    "odd/video_90.mov": (3, 320, 568),
    "shaky/cockatoo.mp4": (280, 1280, 720),
    "shaky/meshflow-2.m4v": (495, 640, 360),
    "shaky/meshflow-3.m4v": (246, 640, 360),
    "shaky/meshflow-8.m4v": (447, 640, 360),
    "shaky/meshflow-9.m4v": (572, 640, 360),
    "static/car-detection.mp4": (377, 768, 432),
    "static/example_video.mp4": (431, 426, 240),
    "static/traffic_camera.mp4": (576, 1280, 720),
}


@pytest.mark.parametrize("name", REAL_FILES)
def test_every_frame_of_a_real_file_comes_once_in_order_with_growing_time(name):
    count, width, height = REAL_FILES[name]
    path = data_path("video", name)
    before = None
    index = -1
    with decoder(path) as (source, _):
        for index, frame in enumerate(source.read(0)):
            assert isinstance(frame, Frame)
            assert (frame.index, frame.width, frame.height) == (index, width, height)
            assert tuple(plane.shape for plane in frame.planes) == plane_shapes(frame.format, height, width)
            pts = frame.header.pts
            assert pts is not None
            assert before is None or pts > before
            before = pts
    assert index + 1 == count


def test_the_test_data_holds_no_file_that_is_not_in_the_table():
    folder = data_path("video")
    found = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.suffix not in {"", ".txt", ".md"}}
    assert found == set(REAL_FILES)


@pytest.mark.parametrize("name", ["odd/test.ts", "odd/test.webm", "odd/test_non_zero_start.mp4", "odd/nasa_13013.mp4"])
def test_times_are_the_containers_own(name):
    path = data_path("video", name)
    with av.open(str(path)) as container:
        stream = container.streams.best("video")
        expected = [frame.pts for frame in container.decode(stream)]
        time_base = stream.time_base
    frames, _, counts = decode(path)
    assert [frame.header.pts for frame in frames] == expected
    assert {frame.header.time_base for frame in frames} == {time_base}
    assert "repaired_pts" not in counts


def test_a_time_that_runs_backwards_is_repaired_alone_and_counted():
    frames, _, counts = decode(data_path("video", "shaky", "meshflow-2.m4v"))
    # The container says 0, 9310, 12414, 9310, 21724, ...: the fourth runs backwards.
    times = [frame.header.pts or 0 for frame in frames[:6]]
    assert times[:3] + times[4:] == [0, 9310, 12414, 21724, 22500]
    assert times == sorted(set(times))
    assert counts == {"repaired_pts": 1}


def test_a_stream_without_times_gets_the_usual_step(tmp_path):
    frames, _, counts = decode(write_clip(tmp_path / "raw.h264", format="h264"))
    seconds = [frame.header.pts_seconds for frame in frames]
    assert seconds == pytest.approx([index / 25 for index in range(10)])
    assert counts == {"repaired_pts": 10}


def test_variable_frame_rate_keeps_its_times(tmp_path):
    pts = [0, 40, 41, 1000, 1007, 60_000]
    path = write_clip(tmp_path / "vfr.mkv", 6, codec="ffv1", pts=pts, time_base=Fraction(1, 1000))
    frames, _, counts = decode(path)
    assert [frame.header.pts for frame in frames] == pts
    assert counts == {}


@pytest.mark.parametrize("name", ["odd/corrupted.mp4", "odd/h265_10bits.mp4", "odd/video_90.mov", "odd/bikes.mp4"])
@pytest.mark.parametrize("share", [0.35, 0.97])
def test_after_a_restart_the_same_frames_come_as_in_one_go(name, share):
    path = data_path("video", name)
    whole, _, _ = decode(path)
    start = int(len(whole) * share)
    rest, _, counts = decode(path, start)
    assert [fingerprint(frame) for frame in rest] == [fingerprint(frame) for frame in whole[start:]]
    assert counts == ({"corrupt_packets": 1} if name.endswith("corrupted.mp4") and share < 0.5 else {})


def test_a_restart_behind_the_last_frame_yields_nothing(tmp_path):
    assert decode(write_clip(tmp_path / "a.mp4", 5), 5) == ([], [], {})


def test_a_corrupt_packet_is_left_out_and_counted():
    frames, gaps, counts = decode(data_path("video", "odd", "corrupted.mp4"))
    assert (len(frames), gaps, counts) == (49, [], {"corrupt_packets": 1})


@pytest.mark.parametrize("threads", [1, 4])
def test_a_file_that_breaks_off_in_a_packet_ends_normally_and_says_so(tmp_path, threads):
    whole = write_clip(tmp_path / "whole.mp4", 60, container_options={"movflags": "faststart"})
    data = whole.read_bytes()
    with av.open(str(whole)) as container:
        packets = [packet for packet in container.demux(video=0) if packet.size]
    cut = packets[40]
    assert cut.pos is not None
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(data[: cut.pos + cut.size // 2])
    frames, _, counts = decode(broken, threads=threads)
    assert counts["incomplete_packets"] == 1
    # All before the cut packet must be there; of the broken one itself the decoder may make something.
    assert {frame.header.pts for frame in frames} >= {packet.pts for packet in packets[:39]}
    assert [frame.index for frame in frames] == list(range(len(frames)))


def test_frames_behind_damage_at_the_end_are_not_lost_to_frame_threads(tmp_path):
    path = write_clip(tmp_path / "end.mp4", 60, size=(320, 240), container_options={"movflags": "faststart"})
    with av.open(str(path)) as container:
        packets = [packet for packet in container.demux(video=0) if packet.size]
    data = bytearray(path.read_bytes())
    hurt = packets[-3]
    assert hurt.pos is not None
    data[hurt.pos : hurt.pos + hurt.size] = b"\xff" * hurt.size
    path.write_bytes(data)
    one, _, one_counts = decode(path, threads=1)
    several, _, counts = decode(path, threads=6)
    assert [frame.header.pts for frame in several] == [frame.header.pts for frame in one]
    assert counts == one_counts == {"corrupt_packets": 1}


def test_a_change_of_size_midway_is_a_gap(tmp_path):
    parts = [
        write_clip(tmp_path / "a.ts", 8, (64, 48)),
        write_clip(tmp_path / "b.ts", 8, (96, 80), pts=list(range(20, 28)), first=8),
    ]
    with decoder(join(tmp_path / "both.ts", parts)) as (source, _):
        messages = list(source.read(0))
    kinds = [type(message).__name__ for message in messages]
    assert kinds == ["Frame"] * 8 + ["Gap"] + ["Frame"] * 8
    gap = messages[8]
    assert (gap.reason, gap.detail) == ("size_change", "64x48 became 96x80")  # type: ignore[union-attr]
    assert [message.index for message in messages if isinstance(message, Frame)] == list(range(16))


def test_a_restart_right_at_a_change_of_size_tells_of_it_again(tmp_path):
    parts = [write_clip(tmp_path / "a.ts", 8, (64, 48)), write_clip(tmp_path / "b.ts", 8, (96, 80), pts=range(20, 28))]
    both = join(tmp_path / "both.ts", parts)
    assert [gap.reason for gap in decode(both, 8)[1]] == ["size_change"]
    assert decode(both, 9)[1] == []


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
@pytest.mark.parametrize("degrees, bright", [(0, "right"), (90, "top"), (180, "left"), (270, "bottom")])
def test_what_was_turned_stands_upright(tmp_path, degrees, bright):
    frames, _, _ = decode(write_clip(tmp_path / "turned.mp4", 2, (64, 48), rotation=degrees))
    luma = np.asarray(frames[0].planes[0]).astype(int)
    assert luma.shape == ((64, 48) if degrees % 180 else (48, 64))
    height, width = luma.shape
    halves = {
        "top": luma[: height // 2 - 2], "bottom": luma[height // 2 + 2 :],
        "left": luma[:, : width // 2 - 2], "right": luma[:, width // 2 + 2 :],
    }  # fmt: skip
    assert max(halves, key=lambda side: halves[side].mean()) == bright


@pytest.mark.parametrize(
    "tags, expected",
    [((1, 1), ("bt709", "tv")), ((1, 2), ("bt709", "pc")), ((5, 1), ("bt601", "tv")), ((9, 2), ("bt2020", "pc"))],
)
def test_matrix_and_range_are_the_streams_own(tmp_path, tags, expected):
    frames, _, _ = decode(write_clip(tmp_path / "tagged.mp4", 2, tags=tags))
    assert (frames[0].color_space, frames[0].color_range) == expected


@pytest.mark.parametrize("size, space", [((640, 480), "bt601"), ((1280, 272), "bt709"), ((64, 720), "bt709")])
def test_a_matrix_that_is_not_told_is_guessed_from_the_size(tmp_path, size, space):
    frames, _, _ = decode(write_clip(tmp_path / "plain.mkv", 1, size, codec="ffv1"))
    assert (frames[0].color_space, frames[0].color_range) == (space, "tv")


@pytest.mark.parametrize(
    "pix_fmt, format",
    [
        ("yuv420p", "yuv420p"), ("yuv422p", "yuv420p"), ("yuv444p", "yuv420p"), ("yuv420p10le", "yuv420p"),
        ("yuv422p10le", "yuv420p"), ("yuv444p12le", "yuv420p"), ("yuva420p", "yuv420p"), ("yuva444p10le", "yuv420p"),
        ("bgr0", "rgb24"), ("bgra", "rgb24"), ("gbrp10le", "rgb24"), ("gray", "gray8"), ("gray16le", "gray8"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("size", [(64, 48), (33, 17)])
def test_every_pixel_format_becomes_one_of_three_with_the_same_brightness(tmp_path, pix_fmt, format, size):
    frames, _, _ = decode(write_clip(tmp_path / "clip.mkv", 3, size, codec="ffv1", pix_fmt=pix_fmt))
    assert [frame.format for frame in frames] == [format] * 3
    assert (frames[0].width, frames[0].height) == size
    # 1: deeper formats are rounded, with dither.
    assert [brightness(frame) for frame in frames] == pytest.approx([shade(0), shade(1), shade(2)], abs=1)


def test_a_clip_of_one_pixel_works(tmp_path):
    frames, _, _ = decode(write_clip(tmp_path / "one.mkv", 4, (1, 1), codec="ffv1"))
    assert [frame.planes[0].shape for frame in frames] == [(1, 1)] * 4
    assert [brightness(frame) for frame in frames] == [shade(index) for index in range(4)]


def test_planes_cannot_be_written_to(tmp_path):
    frames, _, _ = decode(write_clip(tmp_path / "a.mp4", 1))
    with pytest.raises(ValueError, match="read-only"):
        np.asarray(frames[0].planes[0])[0, 0] = 1


def test_pixels_stay_while_the_decoder_goes_on_and_closes(tmp_path):
    frames, _, _ = decode(write_clip(tmp_path / "a.mp4", 20))
    assert [brightness(frame) for frame in frames] == pytest.approx([shade(index) for index in range(20)], abs=1)


def test_stop_ends_the_reading_soon():
    with decoder(data_path("video", "odd", "bikes.mp4")) as (source, _):
        reading = source.read(0)
        next(reading)
        source.stop()
        assert len(list(reading)) <= 2


def test_the_number_of_frames_is_known_where_the_container_says_it(tmp_path):
    with decoder(write_clip(tmp_path / "a.mp4", 7)) as (source, _):
        next(source.read(0))
        assert source.frame_count() == 7


def test_a_video_stream_can_be_chosen():
    path = data_path("video", "odd", "nasa_13013.mp4")
    with decoder(path, video_stream=0) as (source, _):
        first = next(source.read(0))
    assert isinstance(first, Frame)
    assert (first.width, first.height) == (320, 180)


def test_a_file_may_be_given_as_a_url_or_with_a_colon_in_its_name(tmp_path):
    path = write_clip(tmp_path / "a:b.mp4", 3)
    assert len(decode(path)[0]) == 3
    assert len(decode(f"file://{path}")[0]) == 3


def test_a_folder_of_pictures_is_read_as_people_count(tmp_path):
    for number in (10, 2, 1, 9):
        _write_picture(tmp_path / f"shot{number}.png", number)
    (tmp_path / "notes.txt").write_text("no picture")
    frames, gaps, counts = decode(tmp_path, fps=12.5)
    assert [int(np.asarray(frame.planes[0])[0, 0, 0]) for frame in frames] == [1, 2, 9, 10]
    assert [frame.header.pts_seconds for frame in frames] == pytest.approx([0, 0.08, 0.16, 0.24])
    assert [frame.index for frame in frames] == [0, 1, 2, 3]
    assert (gaps, counts) == ([], {})


def test_a_damaged_picture_is_left_out_and_the_others_keep_their_times(tmp_path):
    for number in range(4):
        _write_picture(tmp_path / f"{number}.png", number)
    (tmp_path / "1.png").write_bytes(b"\x89PNG\r\n\x1a\nnothing")
    frames, _, counts = decode(tmp_path, fps=10)
    assert [frame.header.pts_seconds for frame in frames] == pytest.approx([0, 0.2, 0.3])
    assert [frame.index for frame in frames] == [0, 1, 2]
    assert counts == {"corrupt_packets": 1}


def test_a_folder_goes_on_where_it_was(tmp_path):
    for number in range(5):
        _write_picture(tmp_path / f"{number}.png", number)
    whole, rest = decode(tmp_path)[0], decode(tmp_path, 3)[0]
    assert [fingerprint(frame) for frame in rest] == [fingerprint(frame) for frame in whole[3:]]


def test_one_picture_is_a_video_of_one_frame(tmp_path):
    _write_picture(tmp_path / "still.png", 7)
    assert len(decode(tmp_path / "still.png")[0]) == 1


def test_a_folder_of_jpegs_keeps_its_yuv():
    frames, _, _ = decode(data_path("masks", "highway", "input"))
    assert len(frames) == 531
    assert {(frame.format, frame.color_range) for frame in frames} == {("yuv420p", "pc")}


def _write_picture(path: Path, value: int) -> None:
    frame = av.VideoFrame.from_ndarray(np.full((8, 12, 3), value, np.uint8), "rgb24")
    codec = av.CodecContext.create("png", "w")
    codec.width, codec.height, codec.pix_fmt, codec.time_base = 12, 8, "rgb24", Fraction(1, 25)
    frame.pts, frame.time_base = 0, Fraction(1, 25)
    path.write_bytes(b"".join(bytes(packet) for packet in [*codec.encode(frame), *codec.encode(None)]))

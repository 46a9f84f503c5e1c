"""Files and folders: every frame once, in order, with its own time and colors."""

from __future__ import annotations

from fractions import Fraction

import av
import numpy as np
import pytest

from pipeline.messages import Frame
from stages.shared.color import plane_shapes
from tests.data import data_path
from tests.stages.clips import brightness, join, shade, write_clip
from tests.stages.decoding import decode, decoder, fingerprint

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

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from pipeline.messages import ColorRange, ColorSpace, EndReason, Frame
from pipeline.testing import TestContext
from stages.video_writer import VideoWriter
from tests.stages.frames import end, gap, header, read_number, yuv_frame
from tests.stages.stage_bench import Machine, bench_context

JITTERED_MS = [0, 33, 67, 100, 150, 151, 400, 433, 467, 500, 533, 567, 600, 633, 667, 700, 733, 767, 800, 833]


def write(
    folder: Path, frames: list[Frame], context: TestContext | None = None, reason: EndReason = "end", **options
) -> Machine:
    machine = Machine(VideoWriter, context or bench_context(folder), **options)
    machine.deliver(*frames, end(len(frames) + 100, reason))
    machine.close()
    return machine


def read(path: Path) -> list[tuple[Fraction, int]]:
    """Time in seconds, exactly, and the number drawn in the frame."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        return [
            (frame.pts * stream.time_base, read_number(frame.to_ndarray(format="gray8")))
            for frame in container.decode(stream)
        ]


def the_file(folder: Path) -> Path:
    """The one file that is left."""
    assert [path.name for path in folder.iterdir()] == ["clip.stabilized.mp4"]
    return folder / "clip.stabilized.mp4"


@pytest.mark.parametrize("first_ms", [0, 7, 3_600_000])
def test_every_frame_keeps_its_presentation_time_exactly_at_a_variable_rate(tmp_path, first_ms):
    write(tmp_path, [yuv_frame(i, first_ms + ms) for i, ms in enumerate(JITTERED_MS)])
    expected = [(Fraction(first_ms + ms, 1000), i) for i, ms in enumerate(JITTERED_MS)]
    assert read(the_file(tmp_path)) == expected


def test_frames_before_zero_move_to_zero_since_an_mp4_shows_none_there(tmp_path):
    write(tmp_path, [yuv_frame(i, ms - 40) for i, ms in enumerate(JITTERED_MS)])
    assert read(the_file(tmp_path)) == [(Fraction(ms, 1000), i) for i, ms in enumerate(JITTERED_MS)]


@pytest.mark.parametrize("time_base", [Fraction(1001, 30000), Fraction(1, 90000), Fraction(1, 10**9), Fraction(1, 25)])
def test_any_time_base_is_kept_exactly(tmp_path, time_base):
    pts = [5, 6, 7, 9]
    write(tmp_path, [yuv_frame(i, p, time_base=time_base) for i, p in enumerate(pts)])
    assert read(the_file(tmp_path)) == [(p * time_base, i) for i, p in enumerate(pts)]


@pytest.mark.parametrize("pts", [[0, 103, 137, 90, 120, 150, 150, 180], [0, 0, 0]])
def test_time_stamps_that_jump_back_are_kept_and_no_frame_is_lost(tmp_path, pts):
    write(tmp_path, [yuv_frame(i, p) for i, p in enumerate(pts)])
    assert read(the_file(tmp_path)) == [(Fraction(p, 1000), i) for i, p in enumerate(pts)]


def test_a_frame_from_before_the_first_is_shown_at_the_first_since_an_mp4_shows_none_earlier(tmp_path):
    write(tmp_path, [yuv_frame(i, p) for i, p in enumerate([100, 50, 150])])
    assert read(the_file(tmp_path)) == [(Fraction(p, 1000), i) for i, p in enumerate([100, 100, 150])]


def test_a_frame_without_time_comes_one_step_after_the_one_before_and_is_counted(tmp_path):
    machine = write(tmp_path, [yuv_frame(i, p) for i, p in enumerate([0, 40, None, 120])])
    assert [time for time, _ in read(the_file(tmp_path))] == [Fraction(p, 1000) for p in (0, 40, 80, 120)]
    assert machine.counts == {"frames_without_time_stamp": 1}


def test_the_last_frame_lasts_as_long_as_the_container_said(tmp_path):
    write(tmp_path, [yuv_frame(0, 0), yuv_frame(1, 40, duration=500)])
    with av.open(str(the_file(tmp_path))) as container:
        assert container.streams.video[0].duration * container.streams.video[0].time_base == Fraction(540, 1000)


def test_start_zero_moves_the_first_frame_to_zero(tmp_path):
    write(tmp_path, [yuv_frame(i, 5000 + 40 * i) for i in range(3)], start="zero")
    assert [time for time, _ in read(the_file(tmp_path))] == [Fraction(40 * i, 1000) for i in range(3)]


@pytest.mark.parametrize(
    ("space", "range_", "codes"),
    [("bt601", "tv", (6, 6, 6, 1)), ("bt709", "pc", (1, 1, 1, 2)), ("bt2020", "tv", (9, 14, 9, 1))],
)
def test_matrix_range_primaries_and_transfer_are_tagged(tmp_path, space, range_, codes):
    write(tmp_path, [yuv_frame(0, 0, color_space=space, color_range=range_)])
    with av.open(str(the_file(tmp_path))) as container:
        tags = container.streams.video[0].codec_context
        assert (tags.color_primaries, tags.color_trc, tags.colorspace, tags.color_range) == codes


def test_luma_is_not_changed_by_more_than_coding_noise_in_full_range(tmp_path):
    frame = yuv_frame(0b10110010, 0, color_range="pc")
    write(tmp_path, [frame], crf=1)
    with av.open(str(the_file(tmp_path))) as container:
        decoded = next(container.decode(video=0))
        luma = np.frombuffer(memoryview(decoded.planes[0]), np.uint8).reshape(48, -1)[:, :64]
    # crf 1 quantises by less than 2 levels; a wrong range would move these levels by 10 and more.
    assert np.abs(luma.astype(int) - np.asarray(frame.planes[0]).astype(int)).max() <= 2


@pytest.mark.parametrize(("width", "height"), [(1, 1), (63, 47), (64, 47), (63, 48)])
def test_odd_sizes_grow_by_one_repeated_line(tmp_path, width, height):
    write(tmp_path, [yuv_frame(255, 0, width, height)])
    with av.open(str(the_file(tmp_path))) as container:
        image = next(container.decode(video=0)).to_ndarray(format="yuv420p")
    even = (width + width % 2, height + height % 2)
    assert image.shape == (even[1] * 3 // 2, even[0])
    assert np.abs(image[: even[1]].astype(int) - 200).max() <= 3, "the added line is not the last one repeated"


def test_frames_of_another_size_are_scaled_into_the_first_and_counted(tmp_path):
    frames = [yuv_frame(0, 0), yuv_frame(255, 40, 64, 96), yuv_frame(255, 80, 128, 48)]
    machine = write(tmp_path, [replace(f, header=header(i, f.header.pts)) for i, f in enumerate(frames)])
    with av.open(str(the_file(tmp_path))) as container:
        tall, wide = [f.to_ndarray(format="yuv420p")[:48] for f in container.decode(video=0)][1:]
    # 64x96 into 64x48 is 32x48 in the middle; 128x48 is 64x24. Black is 16, the content 200; 12 allows for ringing.
    assert abs(int(tall[24, 32]) - 200) < 12 and abs(int(tall[24, 4]) - 16) < 12 and abs(int(tall[24, 60]) - 16) < 12
    assert abs(int(wide[24, 32]) - 200) < 12 and abs(int(wide[3, 32]) - 16) < 12 and abs(int(wide[45, 32]) - 16) < 12
    assert machine.counts == {"frames_scaled_to_first_size": 2}


def test_rgb_and_grey_frames_are_taken(tmp_path):
    rgb = np.zeros((48, 64, 3), np.uint8)
    rgb[..., 0] = 255
    frames = [
        Frame(header(0, 0), 0, 64, 48, "rgb24", (rgb,), "rgb", "pc"),
        Frame(header(1, 40), 1, 64, 48, "gray8", (np.full((48, 64), 235, np.uint8),), "bt709", "tv"),
    ]
    write(tmp_path, frames)
    with av.open(str(the_file(tmp_path))) as container:
        red, white = [f.to_ndarray(format="yuv420p") for f in container.decode(video=0)]
    # BT.709 limited range (ITU-R BT.709-6, 8 bit): red is Y 63, Cb 102, Cr 240; one level for rounding, two for coding.
    assert abs(int(red[24, 32]) - 63) <= 3 and abs(int(red[52, 10]) - 102) <= 3 and abs(int(red[66, 10]) - 240) <= 3
    assert abs(int(white[24, 32]) - 235) <= 3 and abs(int(white[52, 10]) - 128) <= 3


def test_a_later_frame_of_another_matrix_or_range_is_converted_to_the_first_ones(tmp_path):
    def red(index: int, space: ColorSpace, range_: ColorRange, values: tuple[int, int, int]) -> Frame:
        planes = [
            np.full(size, value, np.uint8) for size, value in zip([(48, 64), (24, 32), (24, 32)], values, strict=True)
        ]
        return Frame(header(index, 40 * index), index, 64, 48, "yuv420p", tuple(planes), space, range_)

    # Red by ITU-R BT.709, BT.601 and BT.2020, 8 bit.
    frames = [
        red(0, "bt709", "tv", (63, 102, 240)),
        red(1, "bt601", "tv", (81, 90, 240)),
        red(2, "bt2020", "tv", (74, 97, 240)),
    ]
    write(tmp_path, [*frames, red(3, "bt709", "pc", (54, 99, 255))])
    with av.open(str(the_file(tmp_path))) as container:
        for frame in container.decode(video=0):
            y, u, v = (int(np.frombuffer(memoryview(plane), np.uint8)[5]) for plane in frame.planes)
            # Three levels for the way through RGB at 8 bits, two for coding.
            assert abs(y - 63) <= 5 and abs(u - 102) <= 5 and abs(v - 240) <= 5


def test_no_frames_give_no_file_and_a_note(tmp_path, caplog):
    machine = write(tmp_path, [])
    assert list(tmp_path.iterdir()) == []
    assert machine.context.said["note"] == "no frames: no file written"
    assert "no frame arrived" in caplog.text


def test_a_failed_source_leaves_nothing(tmp_path):
    write(tmp_path, [yuv_frame(i, 40 * i) for i in range(30)], reason="failed")
    assert list(tmp_path.iterdir()) == []


def test_an_output_appears_only_when_it_is_complete_and_replaces_the_one_before(tmp_path):
    final = tmp_path / "clip.stabilized.mp4"
    final.write_bytes(b"older")
    machine = Machine(VideoWriter, bench_context(tmp_path))
    machine.deliver(*[yuv_frame(i, 40 * i) for i in range(30)])
    assert final.read_bytes() == b"older"
    machine.deliver(end(30))
    machine.close()
    assert len(read(the_file(tmp_path))) == 30


def test_a_path_that_is_no_mp4_is_refused():
    with pytest.raises(ValueError, match=r"must end in \.mp4"):
        VideoWriter.Options.model_validate({"path": "{source}.avi"})


@pytest.mark.parametrize(
    ("options", "preset"),
    [
        ({}, "veryfast"),
        ({"quality": "fast"}, "superfast mbtree=1:subme=2"),
        ({"quality": "best"}, "faster"),
        ({"quality": "best", "preset": "ultrafast"}, "ultrafast"),
    ],
)
def test_quality_chooses_the_preset_and_the_status_says_it(tmp_path, options, preset):
    context = bench_context(tmp_path)
    write(tmp_path, [yuv_frame(i, 40 * i) for i in range(5)], context, threads=2, **options)
    assert [number for _, number in read(the_file(tmp_path))] == [0, 1, 2, 3, 4]
    assert context.said["encoder"] == "libx264"
    assert (context.said["preset"], context.said["encoder_threads"]) == (preset, 2)


def test_few_frames_are_retained_at_a_time(tmp_path):
    machine = write(tmp_path, [yuv_frame(i, 40 * i) for i in range(60)])
    # 8 frames of lookahead, the one being coded, and up to 4 threads: well inside 32 slots.
    assert machine.most_retained <= 13


def test_the_index_comes_first_so_that_the_file_plays_while_it_loads(tmp_path):
    write(tmp_path, [yuv_frame(i, 40 * i) for i in range(3)])
    content = the_file(tmp_path).read_bytes()
    assert content.index(b"moov") < content.index(b"mdat")


def test_a_gap_does_not_disturb_the_file(tmp_path):
    messages = [yuv_frame(0, 0), gap(1), yuv_frame(2, 80), gap(3), gap(4), yuv_frame(5, 200), gap(6)]
    write(tmp_path, messages)
    assert read(the_file(tmp_path)) == [(Fraction(40 * i, 1000), i) for i in (0, 2, 5)]


def test_a_camera_whose_clock_starts_over_goes_on_where_it_was(tmp_path):
    context = bench_context(tmp_path, "rtsp://host/x", live=True)
    pts = [9000, 9040, 9080, 0, 40]
    write(tmp_path, [yuv_frame(i, p) for i, p in enumerate(pts)], context)
    assert read(the_file(tmp_path)) == [(Fraction(40 * i, 1000), i) for i in range(5)]

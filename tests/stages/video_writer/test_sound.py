"""The input's sound and metadata, taken over from real files."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from pipeline.messages import EndReason, Frame, Header
from pipeline.testing import TestContext
from stages.video_writer import VideoWriter
from tests.data import data_path
from tests.stages.decoder.senders import certificate, files, web_server
from tests.stages.frames import end, yuv_frame
from tests.stages.stage_bench import Machine, bench_context


def context_of(folder: Path, source: Path) -> TestContext:
    return bench_context(folder, str(source))


def frames_at_the_times_of(source: Path, limit: int | None = None) -> Iterator[Frame]:
    """Small frames at exactly the times of the source's first video stream."""
    with av.open(str(source)) as container:
        stream = container.streams.video[0]
        time_base = stream.time_base
        assert time_base is not None
        times = [(frame.pts, frame.duration) for frame in container.decode(stream)][:limit]
    for i, (pts, duration) in enumerate(times):
        yield yuv_frame(i, pts, time_base=time_base, duration=duration or None)


def written(
    folder: Path, source: Path, limit: int | None = None, reason: EndReason = "end", **options
) -> tuple[Path, Machine]:
    machine = Machine(VideoWriter, context_of(folder, source), **options)
    machine.deliver(*frames_at_the_times_of(source, limit), end(10**6, reason))
    machine.close()
    return folder / "clip.stabilized.mp4", machine


def sound(path: Path, stream: int = 0) -> list[tuple[Fraction, bytes]]:
    with av.open(str(path)) as container:
        packets = list(container.demux(container.streams.audio[stream]))
    return [(packet.pts * packet.time_base, bytes(packet)) for packet in packets if packet.size]


def apart(a: list[tuple[Fraction, bytes]], b: list[tuple[Fraction, bytes]]) -> Fraction:
    """The longest time between packets that belong together, in seconds."""
    return max(abs(a[i][0] - b[i][0]) for i in range(max(len(a), len(b))))


def times(path: Path) -> list[Fraction]:
    with av.open(str(path)) as container:
        return [frame.pts * frame.time_base for frame in container.decode(video=0)]


def span(path: Path) -> tuple[float, float]:
    packets = sound(path)
    return float(packets[0][0]), float(packets[-1][0])


@pytest.mark.parametrize("name", ["static/car-detection.mp4", "shaky/cockatoo.mp4", "odd/nasa_13013.mp4"])
def test_the_sound_of_an_mp4_is_copied_packet_by_packet(tmp_path, name):
    source = data_path("video", name)
    path, machine = written(tmp_path, source)
    assert sound(path) == sound(source)
    assert times(path) == times(source)
    assert "copied" in str(machine.context.said["audio"])


def test_the_sound_of_a_file_over_https_is_copied_too_from_the_server_that_is_trusted(tmp_path):
    source = data_path("video/odd/nasa_13013.mp4")
    ours, other = certificate(tmp_path / "ours.pem"), certificate(tmp_path / "other.pem")
    with web_server(files(source.parent), tls=ours) as address:
        for trusted in (ours, other):
            machine = Machine(VideoWriter, bench_context(tmp_path, f"{address}/{source.name}"), tls_ca=str(trusted))
            machine.deliver(*frames_at_the_times_of(source, 3), end(3, "stopped"))
            machine.close()
            with av.open(str(tmp_path / "clip.stabilized.mp4")) as container:
                assert len(container.streams.audio) == (2 if trusted == ours else 0)
    assert "none: the input cannot be read again" in str(machine.context.said["audio"])


def test_every_audio_stream_is_taken_over(tmp_path):
    source = data_path("video/odd/nasa_13013.mp4")
    path, _ = written(tmp_path, source)
    assert sound(path, 1) == sound(source, 1)


def test_sound_and_video_of_a_transport_stream_keep_their_start_of_an_hour(tmp_path):
    source = data_path("video/odd/test.ts")
    path, machine = written(tmp_path, source)
    assert times(path) == times(source)
    assert machine.context.said["start"] == "at 3600.0 s, as in the input; `start: zero` begins at 0"
    before, after = sound(source), sound(path)
    assert [data for _, data in after] == [data for _, data in before]
    assert apart(after, before) <= Fraction(1, 44100)  # a tick of the output's clock is what rounding can cost


def test_start_zero_moves_sound_and_video_together(tmp_path):
    source = data_path("video/odd/test.ts")
    path, machine = written(tmp_path, source, start="zero")
    assert "start" not in machine.context.said
    moved = times(source)[0] - times(path)[0]
    assert times(path)[0] == 0 and moved == 3600
    assert abs((sound(source)[0][0] - sound(path)[0][0]) - moved) <= Fraction(1, 44100)


def test_matroska_sound_that_begins_before_the_video_stays_in_step(tmp_path):
    source = data_path("video/odd/emptyvideoaudio.mkv")
    path, _ = written(tmp_path, source)
    assert times(path) == times(source)
    assert [data for _, data in sound(path)] == [data for _, data in sound(source)]
    assert apart(sound(path), sound(source)) <= Fraction(1, 1000)


def test_a_stopped_run_cuts_the_sound_where_the_video_ends(tmp_path):
    path, _ = written(tmp_path, data_path("video/static/car-detection.mp4"), limit=50, reason="stopped")
    # 50 frames at 12.5 fps are 4 s; an AAC packet lasts 0.021 s.
    assert span(path) == pytest.approx((0, 4), abs=0.03)


def test_sound_is_cut_too_where_only_the_beginning_of_the_input_was_read(tmp_path):
    path, _ = written(tmp_path, data_path("video/static/car-detection.mp4"), limit=50)
    assert span(path)[1] == pytest.approx(4, abs=0.03)


def test_without_audio_there_is_none(tmp_path):
    path, _ = written(tmp_path, data_path("video/static/car-detection.mp4"), limit=5, audio=False)
    with av.open(str(path)) as container:
        assert not container.streams.audio


def _film(path: Path, codec: str, layout: str = "stereo", rate: int = 44100, **metadata: str) -> Path:
    """A second of black with a 440 Hz tone that starts at 0.5 s."""
    with av.open(str(path), "w") as output:
        output.metadata.update(metadata)
        video = output.add_stream("libx264", rate=25, width=64, height=48, pix_fmt="yuv420p")
        audio = output.add_stream(codec, rate=rate, layout=layout)
        for i in range(25):
            frame = av.VideoFrame.from_ndarray(np.zeros((72, 64), np.uint8), format="yuv420p")
            frame.pts, frame.time_base = i, Fraction(1, 25)
            output.mux(video.encode(frame))
        tone = np.sin(np.arange(rate) * 2 * np.pi * 440 / rate) * (np.arange(rate) >= rate // 2)
        resampler = av.AudioResampler(audio.codec_context.format, layout, rate, audio.codec_context.frame_size or 1024)
        channels = audio.codec_context.layout.nb_channels
        whole = av.AudioFrame.from_ndarray(np.repeat(tone[None].astype(np.float32), channels, 0), "fltp", layout)
        whole.sample_rate, whole.pts, whole.time_base = rate, 0, Fraction(1, rate)
        for frame in [*resampler.resample(whole), *resampler.resample(None)]:
            output.mux(audio.encode(frame))
        output.mux(video.encode(None))
        output.mux(audio.encode(None))
    return path


def loud_from(path: Path) -> float:
    """The time of the first sample above a tenth of full scale."""
    with av.open(str(path)) as container:
        for frame in container.decode(audio=0):
            values = np.abs(frame.to_ndarray().astype(np.float64)).max(axis=0)
            values /= 32768 if frame.format.name.startswith("s16") else 1
            if values.max() > 0.1:
                return float(frame.pts * frame.time_base) + int(np.argmax(values > 0.1)) / frame.sample_rate
    return -1


@pytest.mark.parametrize(
    ("layout", "rate"), [("stereo", 44100), ("mono", 11000), ("5.1", 48000)]
)  # fmt: skip
def test_sound_that_an_mp4_does_not_hold_becomes_aac_in_step_and_the_status_says_so(tmp_path, layout, rate):
    source = _film(tmp_path / "source.mkv", "pcm_s16le", layout, rate)
    path, machine = written(tmp_path / "out", source)
    assert "pcm_s16le transcoded to aac, because mp4 cannot hold it" in str(machine.context.said["audio"])
    # 5 ms: AAC smears an onset over part of its 1024-sample window.
    assert loud_from(path) == pytest.approx(0.5, abs=0.005)


def test_metadata_survives_the_keys_that_only_quicktime_has_included(tmp_path):
    source = _film(tmp_path / "s.mkv", "aac", title="A walk", artist="Someone", comment="in the rain")
    path, _ = written(tmp_path / "out", source)
    with av.open(str(path)) as container:
        found = dict(container.metadata)
    assert {"title": "A walk", "artist": "Someone", "comment": "in the rain"}.items() <= found.items()
    other = _film(tmp_path / "t.mkv", "aac", title="A walk", MOOD="wet")
    path, _ = written(tmp_path / "other", other)
    with av.open(str(path)) as container:
        assert {"title": "A walk", "MOOD": "wet"}.items() <= dict(container.metadata).items()


def test_the_time_of_recording_survives(tmp_path):
    path, _ = written(tmp_path, data_path("video/static/car-detection.mp4"), limit=5)
    with av.open(str(path)) as container:
        assert container.metadata["creation_time"] == "2018-04-19T22:46:00.000000Z"


def test_primaries_transfer_and_pixel_shape_come_from_the_input(tmp_path):
    source = tmp_path / "wide.mkv"
    with av.open(str(source), "w") as output:
        stream = output.add_stream("libx264", rate=25, width=48, height=64, pix_fmt="yuv420p")
        tags = stream.codec_context
        tags.color_primaries, tags.color_trc, tags.colorspace, tags.color_range = 5, 4, 5, 1
        tags.sample_aspect_ratio = Fraction(16, 11)
        frame = av.VideoFrame.from_ndarray(np.zeros((96, 48), np.uint8), format="yuv420p")
        output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    # 64x48 frames of a 48x64 file: the decoder turned them upright, so the pixels lie on their side.
    machine = Machine(VideoWriter, context_of(tmp_path / "out", source))
    machine.deliver(yuv_frame(0, 0, color_space="bt601"), end(1))
    machine.close()
    with av.open(str(tmp_path / "out/clip.stabilized.mp4")) as container:
        tags = container.streams.video[0].codec_context
        assert (tags.color_primaries, tags.color_trc, tags.colorspace) == (5, 4, 6)
        assert container.streams.video[0].sample_aspect_ratio == Fraction(11, 16)


def test_a_source_that_is_no_file_gives_a_silent_video(tmp_path):
    machine = Machine(VideoWriter, context_of(tmp_path, tmp_path / "not there"))
    machine.deliver(yuv_frame(0, 0), end(1))
    machine.close()
    assert machine.context.said["audio"] == "none: the input is not a video file"


def test_sound_that_breaks_off_in_the_middle_is_kept_up_to_there(tmp_path):
    whole = data_path("video/odd/test.ts").read_bytes()
    source = tmp_path / "cut.ts"
    source.write_bytes(whole[: len(whole) // 2 + 77])
    path, _ = written(tmp_path / "out", source)
    assert 0 < len(sound(path)) < len(sound(data_path("video/odd/test.ts")))


def test_frames_of_a_longer_time_base_header_are_rescaled(tmp_path):
    frames = [yuv_frame(0, 0), yuv_frame(1, 40)]
    ninety = Header("clip", 7200, Fraction(1, 90000), 0, sequence=2)
    machine = Machine(VideoWriter, bench_context(tmp_path))
    machine.deliver(*frames, replace(yuv_frame(2, 0), header=ninety), end(3))
    machine.close()
    assert times(tmp_path / "clip.stabilized.mp4") == [0, Fraction(40, 1000), Fraction(80, 1000)]

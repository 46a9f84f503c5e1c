"""Cameras: a real RTSP server that goes away and comes back, and those that never answer."""

from __future__ import annotations

import logging
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from itertools import islice, pairwise

import av.error
import pytest
from av.container import InputContainer

from pipeline.errors import InputError
from pipeline.messages import Frame, Gap
from pipeline.testing import TestContext
from stages.decoder.cameras import webcam_options
from stages.decoder.connection_probe import wait_for_answer
from stages.decoder.containers import Limits, SourceSilent, open_rtsp
from tests.data import data_path
from tests.rtsp_server import rtsp_server
from tests.stages.decoder.senders import wait_until
from tests.stages.decoding import decoder


def _take(reading: Iterator[Frame | Gap], frames: int) -> list[Frame | Gap]:
    """Messages up to and including so many frames."""
    messages: list[Frame | Gap] = []
    for message in reading:
        messages.append(message)
        frames -= isinstance(message, Frame)
        if frames == 0:
            break
    return messages


@contextmanager
def _once_in_trouble(context: TestContext, action: Callable[[], object]) -> Iterator[None]:
    """Do something beside what follows, once the decoder has said that it has lost its camera."""

    def act() -> None:
        wait_until(lambda: context.said.get("trouble"))
        action()

    acting = threading.Thread(target=act)
    acting.start()
    yield
    acting.join()


def _frames(messages: list[Frame | Gap]) -> list[Frame]:
    return [message for message in messages if isinstance(message, Frame)]


def _gaps(messages: list[Frame | Gap]) -> list[Gap]:
    return [message for message in messages if isinstance(message, Gap)]


def _steps_seconds(frames: list[Frame]) -> list[float]:
    times = [frame.header.pts_seconds or 0.0 for frame in frames]
    return [after - before for before, after in pairwise(times)]


@pytest.fixture(scope="module")
def clip():
    return data_path("video", "odd", "bikes.mp4")


def test_a_camera_gives_frames_with_the_times_of_its_stream(clip):
    with rtsp_server(clip) as server, decoder(server.url) as (source, _):
        messages = _take(source.read(0), 60)
    frames = _frames(messages)
    assert len(frames) == len(messages) == 60
    assert [frame.index for frame in frames] == list(range(60))
    assert {(frame.width, frame.height, frame.format) for frame in frames} == {(640, 272, "yuv420p")}
    steps = _steps_seconds(frames)
    assert min(steps) > 0
    assert sum(steps) / len(steps) == pytest.approx(1 / 25, rel=0.05)


@pytest.mark.skipif(not hasattr(InputContainer, "start_time_realtime"), reason="PyAV before 18 does not tell it")
def test_the_senders_clock_comes_along_if_it_is_sent(clip):
    with rtsp_server(clip) as server, decoder(server.url) as (source, _):
        told = (frame.header.ntp_ns for frame in islice(source.read(0), 500))
        ntp_ns = next((ntp_ns for ntp_ns in told if ntp_ns is not None), None)
    assert ntp_ns is not None
    # The server runs on this machine, so its clock is ours; a minute allows for a busy one.
    assert abs(ntp_ns - time.time_ns()) < 60e9


def test_a_camera_that_goes_and_comes_back_is_a_gap_and_goes_on(clip):
    with rtsp_server(clip) as server, decoder(server.url, reconnect_max_seconds=1) as (source, context):
        reading = source.read(0)
        messages = _take(reading, 30)
        server.stop()
        back = threading.Timer(1.5, server.start)
        back.start()
        messages += _take(reading, 60)
        back.join()
    frames, gaps = _frames(messages), _gaps(messages)
    assert [gap.reason for gap in gaps] == ["reconnect"]
    assert gaps[0].gap_seconds is not None
    assert 1 < gaps[0].gap_seconds < 60
    assert [frame.index for frame in frames] == list(range(90))
    steps = _steps_seconds(frames)
    assert min(steps) > 0
    # The stream's time goes on by as long as nothing was seen.
    assert max(steps) == pytest.approx(gaps[0].gap_seconds, abs=0.05)
    assert context.counts["reconnects"] == 1
    assert context.said["camera"] == "connected"


def test_a_camera_that_falls_silent_is_reconnected(clip):
    with rtsp_server(clip) as server, decoder(server.url, read_timeout_seconds=3) as (source, context):
        reading = source.read(0)
        _take(reading, 10)
        server.pause()
        with _once_in_trouble(context, server.resume):
            messages = _take(reading, 10)
    gaps = _gaps(messages)
    assert [gap.reason for gap in gaps] == ["reconnect"]
    assert gaps[0].detail == "nothing arrived for 3 s"


def test_a_short_silence_does_not_break_the_connection(clip):
    with rtsp_server(clip) as server, decoder(server.url, read_timeout_seconds=20) as (source, context):
        reading = source.read(0)
        _take(reading, 10)
        server.pause()
        back = threading.Timer(1.2, server.resume)
        back.start()
        messages = _take(reading, 60)
        back.join()
    assert "reconnects" not in context.counts
    assert [gap.reason for gap in _gaps(messages)] in ([], ["lost_frames"])


def test_after_a_restart_a_camera_starts_with_a_gap_and_counts_on(clip):
    with rtsp_server(clip) as server, decoder(server.url) as (source, _):
        messages = _take(source.read(500), 3)
    assert isinstance(messages[0], Gap)
    assert messages[0].reason == "restart"
    assert [frame.index for frame in _frames(messages)] == [500, 501, 502]


def test_a_password_lets_in_and_a_wrong_one_is_refused_at_once_and_never_shown(caplog):
    with rtsp_server("ball", user="viewer", password="s3cr3t") as server:
        with decoder(server.url) as (source, _):
            assert len(_take(source.read(0), 3)) == 3
        wrong = server.url.replace("s3cr3t", "wr0ngpw")
        with caplog.at_level(logging.DEBUG), decoder(wrong) as (source, context):
            with pytest.raises(
                InputError, match=r"the camera refused the connection .*401.*check the path, the user and"
            ) as raised:
                next(source.read(0))
        assert "wr0ngpw" not in str(raised.value) + caplog.text + str(context.said)
        assert "viewer:***@127.0.0.1" in str(raised.value)


def test_a_path_that_the_server_does_not_have_is_refused_at_once():
    with rtsp_server("ball") as server, decoder(server.url.replace("/camera", "/other")) as (source, _):
        with pytest.raises(InputError, match="404"):
            next(source.read(0))


def test_a_slow_camera_keeps_its_times_and_loses_nothing():
    with rtsp_server("ball", fps=2) as server, decoder(server.url) as (source, context):
        messages = _take(source.read(0), 6)
    assert len(_frames(messages)) == len(messages)
    assert _steps_seconds(_frames(messages)) == pytest.approx([0.5] * 5, abs=0.01)
    assert context.counts.get("repaired_pts", 0) <= 1  # FFmpeg gives the first frame no time


def test_a_camera_that_refuses_tcp_is_read_by_udp_from_then_on(clip):
    with rtsp_server(clip, udp_alone=True) as server, decoder(server.url) as (source, context):
        assert len(_frames(_take(source.read(0), 10))) == 10
    assert context.said["transport"] == "udp: the camera refuses tcp"


def test_a_camera_that_was_never_seen_is_tried_until_it_comes(clip, caplog):
    with rtsp_server(clip) as server, decoder(server.url, once=False, reconnect_max_seconds=0.5) as (source, context):
        server.stop()
        with _once_in_trouble(context, server.start):
            messages = _take(source.read(0), 5)
    assert len(_frames(messages)) == len(messages) == 5
    assert "connection refused; trying again in" in caplog.text
    assert (context.said["camera"], context.said["trouble"], context.said["next_try"]) == ("connected", "", "")


def test_a_refused_password_is_tried_seldom_and_its_state_is_told():
    with rtsp_server("ball", user="viewer", password="s3cr3t") as server:
        wrong = server.url.replace("s3cr3t", "wr0ngpw")
        with decoder(wrong, once=False) as (source, context):
            reading = threading.Thread(target=lambda: list(source.read(0)))
            reading.start()
            while "next_try" not in context.said:
                time.sleep(0.05)
            pause = datetime.fromisoformat(str(context.said["next_try"])) - datetime.now().astimezone()
            source.stop()
            reading.join()
    assert context.said["camera"] == "not seen yet"
    assert "401" in str(context.said["trouble"])
    assert pause.total_seconds() > 5


def test_a_camera_that_is_off_is_reported_after_the_given_time():
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"rtsp://user:hidden@127.0.0.1:{unused.getsockname()[1]}/camera"
        with decoder(url, first_connection_seconds=0.5) as (source, _):
            with pytest.raises(InputError, match=r"no frame within 0\.5 s \(connection refused\)") as raised:
                next(source.read(0))
    assert "hidden" not in str(raised.value)


@contextmanager
def _silent_server() -> Iterator[int]:
    """A port that accepts and says nothing."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen(8)
        yield server.getsockname()[1]


def test_a_camera_that_accepts_and_says_nothing_does_not_hang():
    with _silent_server() as port:
        with decoder(f"rtsp://127.0.0.1:{port}/x", connect_timeout_seconds=0.5, first_connection_seconds=0.6) as (
            source,
            _,
        ):
            with pytest.raises(InputError, match="no answer in time"):
                next(source.read(0))


def test_opening_ffmpegs_connection_to_a_silent_server_ends_by_itself():
    with _silent_server() as port, pytest.raises((SourceSilent, av.error.FFmpegError)):
        open_rtsp(f"rtsp://127.0.0.1:{port}/x", "tcp", 0.5, Limits())


def test_stop_ends_the_wait_for_a_silent_camera():
    with _silent_server() as port, decoder(f"rtsp://127.0.0.1:{port}/x") as (source, _):
        timer = threading.Timer(0.3, source.stop)
        timer.start()
        assert list(source.read(0)) == []
        timer.join()


def test_stop_ends_the_pause_between_two_attempts():
    url = "rtsp://127.0.0.1:9/x"
    with decoder(url, reconnect_max_seconds=300, first_connection_seconds=300) as (source, _):
        timer = threading.Timer(0.3, source.stop)
        timer.start()
        assert list(source.read(0)) == []
        timer.join()


def test_stop_ends_a_running_camera(clip):
    with rtsp_server(clip) as server, decoder(server.url) as (source, _):
        reading = source.read(0)
        _take(reading, 5)
        source.stop()
        assert len(list(reading)) <= 2


def test_the_probe_leaves_urls_that_it_cannot_read_to_ffmpeg():
    wait_for_answer("rtsp://user:pa#ss:word/x@host:port/a", 0.1, threading.Event())


def test_a_webcam_that_is_not_there_is_reported_with_those_that_are():
    with decoder("/dev/video97") as (source, _):
        with pytest.raises(InputError, match=r"/dev/video97: no such camera; found .*Plug it in"):
            next(source.read(0))


def test_webcam_options_are_put_in_ffmpegs_words():
    assert dict(webcam_options((1280, 720), 29.97, "mjpeg")) == {
        "video_size": "1280x720",
        "framerate": "29.97",
        "input_format": "mjpeg",
    }
    assert webcam_options(None, None, None) == ()

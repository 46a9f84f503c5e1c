"""Live inputs other than RTSP, each from a real sender; and files that are read over HTTP."""

from __future__ import annotations

import itertools
import socket
import threading
from contextlib import ExitStack
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.errors import InputError
from pipeline.messages import Frame, Gap
from stages.decoder import Decoder
from stages.decoder.inputs import HLS, HTTP_FILE, HTTP_STREAM, PIPE, RTMP, RTSP, SRT, UDP, WEBCAM, InputKind, kind_of
from tests.free_port import free_port
from tests.stages.clips import write_clip
from tests.stages.decoder.senders import certificate, ffmpeg, files, mjpeg, wait_until, web_server
from tests.stages.decoding import decode, decoder, fingerprint


def take(input: str, count: int, **options: Any) -> tuple[list[Frame], list[Gap], dict[str, int], dict[str, Any]]:
    """The first frames, gaps, counts and status."""
    with decoder(input, **options) as (source, context):
        frames, gaps = [], []
        for message in source.read(0):
            (frames if isinstance(message, Frame) else gaps).append(message)
            if len(frames) == count:
                break
    return frames, gaps, context.counts, context.said  # type: ignore[return-value]


def seconds_of(frames: list[Frame]) -> list[float]:
    return [frame.header.pts_seconds or 0.0 for frame in frames]


@pytest.mark.parametrize(
    ("input", "kind"),
    [
        ("rtsps://host/x", RTSP),
        ("/dev/video0", WEBCAM),
        ("http://user:pass@cam/?action=stream", HTTP_STREAM),
        ("https://host/video.cgi?resolution=640", HTTP_STREAM),
        ("https://host/a/clip.mp4?signature=x", HTTP_FILE),
        ("HTTP://host/live/index.M3U8", HLS),
        ("rtmp://host/live/cam", RTMP),
        ("srt://host:9000?mode=caller", SRT),
        ("udp://@239.0.0.1:5000", UDP),
        ("-", PIPE),
        ("clip.mp4", None),
        ("ftp://host/clip.mp4", None),
    ],
)
def test_the_address_alone_tells_the_kind(input: str, kind: InputKind | None) -> None:
    assert kind_of(input) is kind
    assert Decoder.is_live(input) == (kind is not None and kind.live)


def test_mjpeg_over_http_is_read_frame_by_frame() -> None:
    with web_server(mjpeg(0.02)) as address:
        frames, gaps, counts, _ = take(f"{address}/?action=stream", 6)
    assert not gaps and counts.get("repaired_pts", 0) == 0
    assert [int(np.asarray(frame.planes[0]).mean() / 10 + 0.5) for frame in frames] == list(range(6))
    assert min(np.diff(seconds_of(frames))) > 0
    assert frames[0].header.time_base == Fraction(1, 90_000)  # of its arrival; FFmpeg would count 25 frames a second


def test_mjpeg_with_a_password_and_a_break_goes_on_after_a_gap() -> None:
    with web_server(mjpeg(0.01, "me:s3cr3t", frames=5)) as address:
        frames, gaps, counts, said = take(address.replace("//", "//me:s3cr3t@"), 8)
    assert [gap.reason for gap in gaps] == ["reconnect"] and counts["reconnects"] == 1
    assert [frame.index for frame in frames] == list(range(8)) and "s3cr3t" not in str(said)


def test_a_wrong_password_is_told_without_it() -> None:
    with web_server(mjpeg(0.01, "me:right")) as address, pytest.raises(InputError, match="401") as raised:
        take(address.replace("//", "//me:wr0ng@"), 1)
    assert "wr0ng" not in str(raised.value) and "//me:***@" in str(raised.value)


def test_a_server_that_accepts_and_says_nothing_does_not_hang() -> None:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen(8)
        for url in ("http://127.0.0.1:{}/x", "rtmp://127.0.0.1:{}/live/x", "http://127.0.0.1:{}/x.m3u8"):
            with decoder(
                url.format(server.getsockname()[1]), connect_timeout_seconds=0.3, first_connection_seconds=0.2
            ) as (source, _):
                with pytest.raises(InputError, match="nothing arrived within"):
                    next(source.read(0))


def test_an_answer_that_is_a_playlist_is_not_followed(tmp_path: Path) -> None:
    secret = write_clip(tmp_path / "secret.mp4")
    (tmp_path / "stream").write_text(f"#EXTM3U\n#EXTINF:1,\nfile://{secret}\n")
    (tmp_path / "list.m3u8").write_text(
        f"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nfile://{secret}\n#EXTINF:1,\n{secret}\n"
    )
    with web_server(files(tmp_path)) as address:
        for name in ("stream", "list.m3u8"):
            with decoder(f"{address}/{name}", connect_timeout_seconds=1, first_connection_seconds=0) as (source, _):
                with pytest.raises(InputError):
                    next(source.read(0))


def test_a_live_playlist_is_read_and_a_recording_is_refused(tmp_path: Path) -> None:
    listed = ["-f", "hls", "-hls_time", "1", "-hls_list_size", "20", "-hls_flags", "delete_segments"]
    playlist = tmp_path / "live.m3u8"
    with web_server(files(tmp_path)) as address:
        with ffmpeg(*listed, str(playlist)):
            wait_until(lambda: playlist.exists() and playlist.read_text().count(".ts") >= 3)
            frames, gaps, counts, _ = take(f"{address}/live.m3u8", 60)
        playlist.write_text(playlist.read_text() + "#EXT-X-ENDLIST\n")
        with pytest.raises(InputError, match=r"this playlist is a recording of \d+ s.*download it first"):
            take(f"{address}/live.m3u8", 1)
    assert not gaps and counts.get("repaired_pts", 0) == 0
    assert np.diff(seconds_of(frames)) == pytest.approx([0.04] * 59, abs=0.001)


def test_rtmp_is_read_from_who_serves_it() -> None:
    url = f"rtmp://127.0.0.1:{free_port()}/live/cam"
    with ffmpeg("-f", "flv", "-listen", "1", url):
        frames, gaps, _, _ = take(url, 20, once=False, reconnect_max_seconds=0.5)
    assert not gaps and np.diff(seconds_of(frames)) == pytest.approx([0.04] * 19, abs=0.002)


def test_mpeg_ts_over_udp_goes_on_when_its_sender_comes_back() -> None:
    url = f"udp://127.0.0.1:{free_port()}"
    send = ("-f", "mpegts", f"{url}?pkt_size=1316")
    with decoder(url, once=False, read_timeout_seconds=2, reconnect_max_seconds=0.5) as (source, context):
        reading = source.read(0)
        with ffmpeg(*send):
            first = [message for message, _ in zip(reading, range(10), strict=False)]
        with ExitStack() as again:

            def come_back() -> None:
                wait_until(lambda: context.said.get("trouble"))
                again.enter_context(ffmpeg(*send))

            back = threading.Thread(target=come_back)
            back.start()
            gap = next(message for message in reading if isinstance(message, Gap) and message.reason == "reconnect")
            assert len(list(itertools.islice(reading, 5))) == 5
            back.join()
    assert all(isinstance(message, Frame) for message in first)
    assert gap.detail == "nothing arrived for 2 s"


def test_srt_says_what_to_do_where_ffmpeg_lacks_it() -> None:
    from stages.decoder.containers import can_open

    if can_open("srt"):
        pytest.skip("this FFmpeg has SRT")
    with pytest.raises(InputError, match=r"srt://host:9000\?passphrase=\*\*\*: .* without SRT; .*udp://127.0.0.1:5000"):
        Decoder.check_input("srt://host:9000?passphrase=x", "srt://host:9000?passphrase=***")


def test_a_file_over_http_is_read_in_place_also_where_the_connection_breaks(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "clip.mp4", 30, (320, 240))  # its index is at the end
    want = [fingerprint(frame) for frame in decode(clip)[0]]
    for cut in (None, clip.stat().st_size // 3):
        with web_server(files(tmp_path, cut)) as address:
            frames, gaps, _ = decode(f"{address}/clip.mp4?token=x")
        assert [fingerprint(frame) for frame in frames] == want and not gaps


def test_a_file_that_is_not_there_or_never_comes_is_an_error(tmp_path: Path) -> None:
    with web_server(files(tmp_path)) as address, pytest.raises(InputError, match=r"no video: .*404.*check the address"):
        decode(f"{address}/gone.mp4")


def test_a_certificate_is_checked_against_those_that_are_given(tmp_path: Path) -> None:
    write_clip(tmp_path / "clip.mp4", 3)
    ours, other = certificate(tmp_path / "ours.pem"), certificate(tmp_path / "other.pem")
    with web_server(files(tmp_path), tls=ours) as address:
        assert len(decode(f"{address}/clip.mp4", tls_ca=str(ours))[0]) == 3
        with pytest.raises(InputError, match="no video"):
            decode(f"{address}/clip.mp4", tls_ca=str(other))

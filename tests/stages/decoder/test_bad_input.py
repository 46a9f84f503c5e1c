"""What cannot be decoded: one clear message that says what was found and what is allowed."""

from __future__ import annotations

import os
import socket
from typing import Any

import av
import numpy as np
import pytest

from pipeline.errors import InputError
from stages.decoder import Decoder
from tests.stages.clips import join, plain_frame, write_clip, write_sound
from tests.stages.decoding import decode, decoder


def test_a_missing_file_is_named_with_where_it_was_looked_for(tmp_path):
    with pytest.raises(InputError, match=r"gone\.mp4: no such file or folder; check the path \(looked for /"):
        decode(tmp_path / "gone.mp4")


def test_an_empty_file_is_reported_as_such(tmp_path):
    (tmp_path / "empty.mp4").touch()
    with pytest.raises(InputError, match=r"the file is empty \(0 bytes\)"):
        decode(tmp_path / "empty.mp4")


def test_a_text_file_is_not_a_video(tmp_path):
    (tmp_path / "notes.mp4").write_text("These are notes, and no video at all. " * 40)
    with pytest.raises(InputError, match=r"no video: invalid data .*; found a text file, 1520 bytes. Allowed are"):
        decode(tmp_path / "notes.mp4")


def test_random_bytes_are_not_a_video(tmp_path):
    (tmp_path / "noise.mkv").write_bytes(np.random.default_rng(1).bytes(20_000))
    with pytest.raises(InputError, match="found data of no video format that FFmpeg knows, 20000 bytes"):
        decode(tmp_path / "noise.mkv")


def test_a_file_with_sound_alone_has_no_video(tmp_path):
    with pytest.raises(InputError, match=r"contains no video \(found: audio\)"):
        decode(write_sound(tmp_path / "sound.m4a"))


def test_a_folder_without_images_is_reported_as_such(tmp_path):
    (tmp_path / "readme.txt").write_text("nothing")
    with pytest.raises(InputError, match=r"no images in this folder; allowed are files ending in \.bmp, \.jpeg"):
        decode(tmp_path)


def test_a_folder_of_damaged_images_is_reported_as_such(tmp_path):
    (tmp_path / "1.png").write_bytes(b"nothing")
    with pytest.raises(InputError, match="none of its 1 images could be decoded"):
        decode(tmp_path)


def test_a_video_without_a_single_frame_is_reported_as_such(tmp_path):
    whole = write_clip(tmp_path / "whole.mp4", 4, container_options={"movflags": "faststart"})
    with av.open(str(whole)) as container:
        packets = [packet for packet in container.demux(video=0) if packet.size]
    data = bytearray(whole.read_bytes())
    for packet in packets:
        assert packet.pos is not None
        data[packet.pos : packet.pos + packet.size] = b"\xff" * packet.size
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(data)
    with pytest.raises(InputError, match="none of its frames could be decoded; they may be damaged, or"):
        decode(broken)


def test_a_pipe_is_neither_a_file_nor_a_folder(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(InputError, match="neither a file nor a folder"):
        decode(tmp_path / "pipe")


@pytest.mark.parametrize("url", ["ftp://user:hidden@host/a.mp4", "gopher://host/live", "concat://a|b", "data://x"])
def test_other_kinds_of_url_are_refused_without_their_password(url):
    with pytest.raises(InputError, match="is not a supported input; allowed are video files") as raised:
        decode(url)
    assert "hidden" not in str(raised.value)


def test_playlists_do_not_reach_the_network_or_other_files(tmp_path):
    write_clip(tmp_path / "other.ts", 5)
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        server.settimeout(0.2)
        address = f"http://127.0.0.1:{server.getsockname()[1]}/segment.ts"
        playlists = {
            "list.m3u8": "#EXTM3U\n#EXT-X-TARGETDURATION:5\n#EXTINF:5,\n{}\n#EXT-X-ENDLIST\n",
            "list.mp4": "#EXTM3U\n#EXT-X-TARGETDURATION:5\n#EXTINF:5,\n{}\n#EXT-X-ENDLIST\n",
            "list.txt": "ffconcat version 1.0\nfile {}\n",
            "list.mpd": '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011"><BaseURL>{}</BaseURL></MPD>',
        }
        for name, text in playlists.items():
            for target in (address, "other.ts", str(tmp_path / "other.ts")):
                (tmp_path / name).write_text(text.format(target))
                with pytest.raises(InputError, match="a playlist, which could lead to other files"):
                    decode(tmp_path / name)
        with pytest.raises(TimeoutError):
            server.accept()


def test_a_frame_larger_than_the_limit_is_refused_before_it_is_decoded(tmp_path):
    path = write_clip(tmp_path / "large.mp4", 2, (320, 96))
    with pytest.raises(InputError, match=r"frames are 320x96 px, the limit is 200x200 px; raise .* max_size"):
        decode(path, max_size=(200, 200))
    assert len(decode(path, max_size=(320, 96))[0]) == 2


@pytest.mark.parametrize("threads", [1, 4])
def test_a_stream_that_grows_beyond_the_limit_midway_ends_there_with_the_reason(tmp_path, threads):
    parts = [
        write_clip(tmp_path / "a.ts", 12, (64, 48)),
        write_clip(tmp_path / "b.ts", 12, (640, 480), pts=range(20, 32)),
    ]
    path = join(tmp_path / "both.ts", parts)
    with decoder(path, max_size=(320, 240), threads=threads) as (source, _):
        reading = source.read(0)
        next(reading)
        with pytest.raises(InputError, match=r"frames are 640x480 px, the limit is 320x240"):
            list(reading)


def test_an_image_larger_than_the_limit_is_not_decoded(tmp_path):
    codec: Any = av.CodecContext.create("png", "w")
    codec.width, codec.height, codec.pix_fmt, codec.framerate = 64, 48, "rgb24", 25
    frame = plain_frame((64, 48), 90, "rgb24")
    (tmp_path / "1.png").write_bytes(b"".join(bytes(packet) for packet in codec.encode(frame)))
    with pytest.raises(InputError, match=r"none of its 1 images .* larger than 32x32 px \(option max_size\)"):
        decode(tmp_path, max_size=(32, 32))
    assert len(decode(tmp_path, max_size=(64, 48))[0]) == 1


def test_a_stream_that_is_not_there_cannot_be_chosen(tmp_path):
    with pytest.raises(InputError, match="no video stream 3; it has 1, numbered from 0"):
        decode(write_clip(tmp_path / "a.mp4", 2), video_stream=3)


@pytest.mark.parametrize(
    "input, live",
    [
        ("rtsp://host/a", True), ("RTSPS://host/a", True), ("/dev/video0", True), ("/dev/video12", True),
        ("a.mp4", False), ("folder", False), ("/dev/video", False), ("rtsp.mp4", False),
    ],
)  # fmt: skip
def test_cameras_are_live_and_files_are_not(input, live):
    assert Decoder.is_live(input) is live


@pytest.mark.parametrize(
    ("input", "words"),
    [
        ("rtsp://", "the host is missing; write rtsp://HOST/PATH"),
        ("rtsp:///stream", "the host is missing"),
        ("rtsp://joe:pa/ss@camera/stream", "the port is no number. In a password, write / as %2F"),
        ("http://user@/x.mp4", "the host is missing; write http://HOST/PATH"),
    ],
)
def test_an_address_that_cannot_be_right_is_refused_before_anything_starts(input, words):
    with pytest.raises(InputError) as error:
        Decoder.check_input(input, "shown")
    assert str(error.value).startswith(f"shown: {words}")


@pytest.mark.parametrize("input", ["rtsp://[::1]:554/x", "rtsp://u:p%2F@camera/x@y", "udp://:5000", "rtsp://h:554/x:y"])
def test_an_address_that_may_be_right_passes(input):
    Decoder.check_input(input, input)


def test_what_is_not_there_is_refused_before_anything_starts(tmp_path):
    (tmp_path / "empty.mp4").touch()
    (tmp_path / "notes.mp4").write_text("no video, but one has to open it to know")
    for input, said in (
        (str(tmp_path / "gone.mp4"), "no such file or folder"),
        (str(tmp_path / "empty.mp4"), "the file is empty"),
        ("ftp://host/clip.mp4", "ftp:// is not a supported input"),
    ):
        with pytest.raises(InputError, match=said):
            Decoder.check_input(input, input)
    for input in (str(tmp_path / "notes.mp4"), str(tmp_path), "rtsp://nobody.invalid/x", "/dev/video99"):
        Decoder.check_input(input, input)

"""Which files of a folder the decoder takes for videos."""

from __future__ import annotations

import wave
from pathlib import Path

import av
import numpy as np
import pytest

from stages.decoder import Decoder


def write_clip(path: Path, codec: str, container: str, rate: int = 25) -> Path:
    with av.open(str(path), "w", format=container) as file:
        stream = file.add_stream(codec, rate=rate)
        stream.width, stream.height = (720, 576) if codec == "dvvideo" else (64, 48)
        stream.pix_fmt = {"gif": "rgb8"}.get(codec, "yuv420p")
        frame = av.VideoFrame.from_ndarray(np.zeros((stream.height, stream.width, 3), np.uint8), format="rgb24")
        for packet in (*stream.encode(frame), *stream.encode()):
            file.mux(packet)
    return path


@pytest.mark.parametrize(
    ("name", "codec", "container"),
    [
        ("a.gif", "gif", "gif"),
        ("a.vob", "mpeg2video", "vob"),
        ("10:30.VOB", "mpeg2video", "vob"),
        ("a.dv", "dvvideo", "dv"),
        ("a.asf", "mpeg4", "asf"),
        ("a.h264", "libx264", "h264"),
        ("a.ogg", "libtheora", "ogg"),
        ("a.mod", "mpeg2video", "vob"),
    ],
)
def test_whatever_ffmpeg_can_show_is_a_video(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, codec: str, container: str
) -> None:
    if codec not in av.codecs_available:
        codec = "libvpx"
    write_clip(tmp_path / "clip", codec, container).rename(tmp_path / name)
    monkeypatch.chdir(tmp_path)
    assert Decoder.left_out(name) is None


@pytest.mark.parametrize("name", ["a.mp4", "b.TS", "c.mkv", "d.wmv"])
def test_by_its_name_alone_a_usual_video_is_taken(name: str) -> None:
    assert Decoder.left_out(name) is None


def test_sound_text_and_pictures_are_left_out(tmp_path: Path) -> None:
    with wave.open(str(tmp_path / "a.wav"), "wb") as sound:
        sound.setparams((1, 2, 8000, 0, "NONE", ""))
        sound.writeframes(bytes(16000))
    for name in ("a.txt", "a.nfo", "a.srt", "a.sub", "a.m3u8", "a.dat", "a.yuv"):
        (tmp_path / name).write_text("#EXTM3U\nhttp://localhost/a.mp4\n" * 40)
    for name in ("a.png", "a.jpg", "a.webp", "a.heic", "no suffix"):
        (tmp_path / name).write_bytes(b"\x89PNG\r\n")
    assert {path.name: Decoder.left_out(str(path)) for path in tmp_path.iterdir()} == {
        path.name: "no video" for path in tmp_path.iterdir()
    }


def test_a_song_with_a_cover_is_no_video(tmp_path: Path) -> None:
    path = tmp_path / "song.mp3"
    with av.open(str(path), "w", format="mp3") as file:
        sound = file.add_stream("mp3" if "libmp3lame" not in av.codecs_available else "libmp3lame", rate=44100)
        cover = file.add_stream("png", rate=1)
        cover.width, cover.height, cover.pix_fmt = 16, 16, "rgb24"
        image = av.VideoFrame.from_ndarray(np.zeros((16, 16, 3), np.uint8), format="rgb24")
        for packet in (*cover.encode(image), *cover.encode()):
            file.mux(packet)
        silence = av.AudioFrame.from_ndarray(np.zeros((1, 1152), np.int16), format="s16p", layout="mono")
        silence.sample_rate = 44100
        for packet in (*sound.encode(silence), *sound.encode()):
            file.mux(packet)
    assert Decoder.left_out(str(path)) == "no video"

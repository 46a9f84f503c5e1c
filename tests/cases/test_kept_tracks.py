"""All tracks of the input that the container can hold are kept as they are; what goes is said and counted."""

from __future__ import annotations

from pathlib import Path

import av
import pytest
from av.stream import Disposition

from tests.cases.copies import Copy, copied, tracks
from tests.cases.films import Sound, film

SOUNDS = [Sound(title="Main", language="eng"), Sound(title="Director", language="deu", default=True, hertz=880)]
CHAPTERS = [(0.0, 0.2, "First"), (0.2, 0.48, "Second")]


@pytest.fixture(scope="module")
def rich(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two sound tracks, the second the default and PCM, subtitles, chapters, a time code."""
    sounds = [SOUNDS[0], Sound("pcm_s16le", "Director", "deu", True, 880)]
    metadata = {"title": "A walk", "timecode": "01:02:03:04"}
    path = tmp_path_factory.mktemp("rich") / "rich.mkv"
    return film(path, sounds=sounds, subtitles=["Hello"], chapters=CHAPTERS, metadata=metadata)


@pytest.fixture(scope="module", params=["mp4", "mkv", "mov"])
def copy(request: pytest.FixtureRequest, rich: Path, tmp_path_factory: pytest.TempPathFactory) -> Copy:
    return copied(rich, tmp_path_factory.mktemp(request.param), container=request.param)


def test_the_suffix_is_the_containers(copy):
    assert copy.path.name == f"clip.stabilized.{copy.writer.options['container']}"


def test_sound_tracks_keep_order_title_language_and_default(copy):
    assert [(t.title, t.language, t.default) for t in tracks(copy.path, "audio")] == [
        ("Main", "eng", False),
        ("Director", "ger" if copy.path.suffix == ".mov" else "deu", True),  # QuickTime has codes of its own
    ]


def test_pcm_stays_pcm_where_the_container_can(copy):
    codecs = [track.codec for track in tracks(copy.path, "audio")]
    if copy.path.suffix == ".mp4":
        assert codecs == ["aac", "aac"]
        assert copy.said["audio"] == "aac copied, pcm_s16le transcoded to aac, because mp4 cannot hold it"
    else:
        assert codecs == ["aac", "pcm_s16le"] and copy.said["audio"] == "aac copied, pcm_s16le copied"


def test_subtitles_keep_text_time_and_language(copy):
    (track,) = tracks(copy.path, "subtitle")
    assert track.language == "fra" and track.codec == ("subrip" if copy.path.suffix == ".mkv" else "mov_text")
    with av.open(str(copy.path)) as container:
        stream = container.streams.subtitles[0]
        texts = [packet for packet in container.demux(stream) if packet.size > 2]
    (text,) = texts
    assert b"Hello" in bytes(text)
    assert float(text.pts * text.time_base) == pytest.approx(0.1) and float(text.duration * text.time_base) == 0.2


def test_chapters_keep_their_times_and_titles(copy):
    with av.open(str(copy.path)) as container:
        found = [
            (float(c["start"] * c["time_base"]), float(c["end"] * c["time_base"]), c["metadata"]["title"])
            for c in container.chapters()
        ]
    assert [(pytest.approx(begin), pytest.approx(end), title) for begin, end, title in CHAPTERS] == found
    assert copy.said["chapters"] == 2


def test_the_time_code_is_kept(copy):
    metadata = tracks(copy.path, "video")[0].metadata
    assert {key.lower(): value for key, value in metadata.items()}["timecode"] == "01:02:03:04"


def test_nothing_is_left_out(copy):
    assert "left_out" not in copy.said and "tracks_left_out" not in copy.writer.counts


def test_a_copy_of_the_mp4_is_like_it(rich, tmp_path):
    """What mp4 makes of chapters and time code, tracks of their own, is not taken for data of the user's."""
    first = copied(rich, tmp_path / "first")
    second = copied(first.path, tmp_path / "second")
    for kind in ("audio", "subtitle", "data"):
        assert [(t.codec, t.title, t.default) for t in tracks(second.path, kind)] == [
            (t.codec, t.title, t.default) for t in tracks(first.path, kind)
        ]
    assert "left_out" not in second.said and second.said["subtitles"] == "mov_text copied"


def test_what_a_container_cannot_hold_is_said_and_counted(tmp_path, caplog):
    source = tmp_path / "fonts.mkv"
    film(tmp_path / "plain.mkv")
    with av.open(str(tmp_path / "plain.mkv")) as plain, av.open(str(source), "w") as output:
        target = output.add_stream_from_template(plain.streams.video[0])
        output.add_attachment("a.ttf", "font/ttf", b"a font")
        for packet in plain.demux(video=0):
            if packet.size:
                packet.stream = target
                output.mux(packet)
    mp4 = copied(source, tmp_path / "mp4")
    assert mp4.said["left_out"] == "attachment track (a.ttf): mp4 cannot hold it; container: mkv can"
    assert mp4.writer.counts["tracks_left_out"] == 1 and "left out: attachment" in caplog.text
    mkv = copied(source, tmp_path / "mkv", container="mkv")
    assert len(tracks(mkv.path, "attachment")) == 1 and "left_out" not in mkv.said


def test_a_shortened_video_has_no_chapter_after_its_end(tmp_path):
    source = film(tmp_path / "long.mkv", frames=50, chapters=[(0.0, 0.2, "a"), (0.2, 1.6, "b"), (1.6, 2.0, "c")])
    copy = copied(source, tmp_path / "out", limit=12, reason="stopped")
    with av.open(str(copy.path)) as container:
        assert [chapter["metadata"]["title"] for chapter in container.chapters()] == ["a", "b"]


def test_the_projection_of_spherical_video_is_missed_aloud(tmp_path, monkeypatch):
    monkeypatch.setattr("stages.video_writer.input.lost_with", lambda frame: ["the projection of spherical video"])
    copy = copied(film(tmp_path / "round.mp4", frames=2), tmp_path / "out")
    assert copy.said["left_out"] == "the projection of spherical video: encoding loses it"


def test_cover_art_is_kept_in_mp4_and_said_where_it_is_not(tmp_path):
    film(tmp_path / "plain.mp4", sounds=[Sound()])
    source = tmp_path / "covered.mp4"
    with av.open(str(tmp_path / "plain.mp4")) as plain, av.open(str(source), "w") as output:
        video = output.add_stream_from_template(plain.streams.video[0])
        cover = output.add_stream("png", width=16, height=16, pix_fmt="rgb24")
        cover.disposition = Disposition.attached_pic.value
        output.mux(cover.encode(av.VideoFrame(16, 16, "rgb24")))
        for packet in plain.demux(video=0):
            if packet.size:
                packet.stream = video
                output.mux(packet)
    mp4 = copied(source, tmp_path / "mp4")
    assert [track.codec for track in tracks(mp4.path, "video")] == ["h264", "png"] and "left_out" not in mp4.said
    with av.open(str(mp4.path)) as container:
        assert container.streams.video[1].disposition & Disposition.attached_pic
    mkv = copied(source, tmp_path / "mkv", container="mkv")
    assert mkv.said["left_out"] == "cover art: it is not written into mkv; container: mp4 takes it"


def test_the_telemetry_of_an_action_camera_is_kept_in_mp4_and_mov(tmp_path):
    content = film(tmp_path / "text.mp4", chapters=CHAPTERS).read_bytes()
    # A track of chapter titles with another name: to FFmpeg telemetry is some data called gpmd.
    at = content.index(b"text", content.index(b"stsd", content.index(b"text")))
    named = content[:at] + b"gpmd" + content[at + 4 :]
    source = tmp_path / "action.mp4"
    source.write_bytes(named.replace(b"chap", b"none").replace(b"chpl", b"none"))
    for container, kept in (("mp4", True), ("mov", True), ("mkv", False)):
        copy = copied(source, tmp_path / container, container=container)
        assert (b"gpmd" in copy.path.read_bytes()) is kept
        assert ("data track (bin_data)" in str(copy.said.get("left_out"))) is not kept

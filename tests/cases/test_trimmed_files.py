"""What an edit list leaves out, or a cut took away, is no damage: such files were decoded twice."""

from __future__ import annotations

from pathlib import Path

import av
import pytest

from tests.cases.copies import copied
from tests.cases.films import RATE, Picture, film

GOP = {"g": "12", "bf": "2"}


def trimmed(source: Path, path: Path, seconds: float) -> Path:
    """As ``ffmpeg -ss SECONDS -i SOURCE -c copy PATH``: from the key frame before it on, with times below 0."""
    with av.open(str(source)) as before, av.open(str(path), "w") as after:
        stream = before.streams.video[0]
        target = after.add_stream_from_template(stream)
        assert stream.time_base is not None
        shift = round(seconds / stream.time_base)
        before.seek(shift, stream=stream)
        for packet in before.demux(stream):
            if packet.dts is not None and packet.pts is not None:
                packet.dts, packet.pts, packet.stream = packet.dts - shift, packet.pts - shift, target
                after.mux(packet)
    return path


@pytest.mark.parametrize("suffix", ["mp4", "mov", "mkv"])
def test_a_trimmed_file_is_decoded_once_and_in_whole(tmp_path, caplog, suffix):
    whole = film(tmp_path / f"whole.{suffix}", frames=36, pictures=[Picture(options=GOP)])
    source = trimmed(whole, tmp_path / f"cut.{suffix}", 20 / RATE)
    copy = copied(source, tmp_path / "out", decoder={"threads": 4})
    assert "damaged" not in caplog.text and copy.decoder.counts == {}
    with av.open(str(source)) as container:  # on one thread
        shown = [frame.time for frame in container.decode(video=0)]
    assert [frame.header.pts_seconds for frame in copy.frames] == pytest.approx(shown)
    if suffix != "mkv":  # which shows all from the key frame on
        assert len(shown) == 16 and shown[0] == 0

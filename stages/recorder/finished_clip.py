"""From a clip that grew to one that every player takes: whole, with an index, and beginning where it should."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import av


def finish_clip(growing: Path, part: Path, begin_seconds: Fraction) -> float:
    """Copy the packets into a plain MP4. Nothing is encoded.

    Packets before the begin stay, since the first picture is decoded from them; an edit list says not to show them.

    Args:
        growing: a fragmented MP4, which may be cut off.
        part: file to write.
        begin_seconds: presentation time in `growing` of the first picture to show.

    Returns:
        Its length, in s.

    Raises:
        av.error.FFmpegError, OSError, IndexError: it holds no packet, or cannot be read or written.
    """
    with av.open(str(growing), options={"ignore_editlist": "1"}) as source:
        track = source.streams.video[0]
        assert track.time_base is not None
        begin = round(begin_seconds / track.time_base)
        with av.open(str(part), "w", format="mp4") as target:
            copy: Any = target.add_stream_from_template(track)
            copy.time_base = track.time_base
            copy.codec_tag = track.codec_tag
            end = begin
            for packet in source.demux(track):
                if packet.size and packet.dts is not None and packet.pts is not None:
                    end = max(end, packet.pts + (packet.duration or 0))
                    packet.pts, packet.dts, packet.stream = packet.pts - begin, packet.dts - begin, copy
                    target.mux(packet)
    return float((end - begin) * track.time_base)

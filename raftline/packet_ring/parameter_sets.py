"""The parameter sets of H.264 and H.265, which say how to decode, where they travel among the packets.

Sources: ITU-T H.264 (annex B, table 7-1) and H.265 (annex B, table 7-1).
"""

from __future__ import annotations

from collections.abc import Iterator

START_CODE = b"\0\0\1"
_SETS = {"h264": (7, 8), "hevc": (32, 33, 34)}
"""Types of units: SPS and PPS; VPS, SPS and PPS."""
_PICTURES = {"h264": range(1, 6), "hevc": range(32)}


def is_annex_b(extradata: bytes) -> bool:
    """Whether units begin with a start code, as cameras send them, and not with their length, as in MP4."""
    return not extradata.startswith(b"\1")


def units(data: bytes) -> Iterator[memoryview]:
    """The units of a packet with start codes (annex B), without them."""
    view = memoryview(data)
    begin = data.find(START_CODE)
    while begin >= 0:
        begin += len(START_CODE)
        next_begin = data.find(START_CODE, begin)
        end = len(data) if next_begin < 0 else next_begin
        while end > begin and data[end - 1] == 0:
            end -= 1
        yield view[begin:end]
        begin = next_begin


def unit_type(codec: str, unit: memoryview) -> int:
    """The type of a unit; -1 for an empty one."""
    if not unit:
        return -1
    return unit[0] & 31 if codec == "h264" else (unit[0] >> 1) & 63


def parameter_sets(codec: str, data: bytes) -> bytes:
    """The parameter sets before the first picture of a packet, with start codes; empty if there are none."""
    kinds = _SETS.get(codec, ())
    found = []
    for unit in units(data) if kinds else ():
        kind = unit_type(codec, unit)
        if kind in _PICTURES[codec]:
            break
        if kind in kinds:
            found.append(b"\0" + START_CODE + unit.tobytes())
    return b"".join(found)

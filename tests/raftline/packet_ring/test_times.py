"""Times that a container takes, from a camera whose clock does as it likes."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise

import pytest

from raftline.packet_ring import ContainerTimes, Packet, Stream

STREAM = Stream("h264", b"", 64, 48, Fraction(1, 1000))
FIRST_NS = 1_700_000_000_000_000_000


def placed(times: list[tuple[int | None, int | None]], step_ms: int = 100) -> list[tuple[int, int]]:
    """(pts, dts) of packets that arrive every `step_ms` with these (pts, dts) of the camera, in ms."""
    given = ContainerTimes(STREAM.time_base)
    packets = [
        Packet(STREAM, pts, dts, FIRST_NS + at * step_ms * 1_000_000, False, b"") for at, (pts, dts) in enumerate(times)
    ]
    return [given.place(packet) for packet in packets]


def test_times_that_grow_are_kept_from_0() -> None:
    assert placed([(5300, 5000), (5100, 5100), (5200, 5207)]) == [(300, 0), (100, 100), (207, 207)]


@pytest.mark.parametrize(
    "times",
    [
        [7000, 7100, 7200, None, None, 7500, 7600],
        [7000, 7100, 7200, 90_000_000, 90_000_100, 90_000_200, 90_000_300],
        [7_000_000, 7_000_100, 7_000_200, 5, 105, 205, 305],
        [7000] * 7,
        [None] * 7,
        [0, 400, 200, 100, 300, 800, 600],
    ],
    ids=["missing", "leaps ahead", "set back", "stands still", "none at all", "another order"],
)
def test_decoding_times_grow_about_as_the_packets_arrive(times: list[int | None]) -> None:
    found = placed([(time, None) for time in times])
    decoding = [dts for _, dts in found]
    assert all(before < after for before, after in pairwise(decoding))
    assert decoding[-1] == pytest.approx(600, abs=310)
    assert all(pts >= dts for pts, dts in found)

"""Times of packets for a container: growing, and continuous where the camera's clock leaps, stands or goes back."""

from __future__ import annotations

from fractions import Fraction

from raftline.packet_ring.records import Packet

_LEAP_SECONDS = 5.0
"""A camera's time that leaps ahead of the packets' arrival by more is a clock that was set, not time that passed."""
_BACK_SECONDS = 1.0
"""Steps back that are shorter come from frames in another order, not from a clock. Both chosen by hand."""


class ContainerTimes:
    """The times of one connection's packets in a container."""

    def __init__(self, time_base: Fraction, first: int = 0) -> None:
        """
        Args:
            time_base: seconds per unit.
            first: decoding time of the first packet, in units.
        """
        self._time_base = time_base
        self._offset: int | None = None
        self._first = first
        self._last: tuple[int, int] | None = None
        """Decoding time and arrival of the packet before."""

    def place(self, packet: Packet) -> tuple[int, int]:
        """Presentation and decoding time of the next packet, in units. Decoding times grow strictly."""
        raw = packet.pts if packet.dts is None else packet.dts
        if self._last is None:
            placed = self._first
            self._offset = None if raw is None else placed - raw
        else:
            placed = self._next(raw, packet.arrival_ns, *self._last)
        self._last = placed, packet.arrival_ns
        if packet.pts is None or self._offset is None:
            return placed, placed
        return max(placed, packet.pts + self._offset), placed

    def _next(self, raw: int | None, arrival_ns: int, last: int, last_arrival_ns: int) -> int:
        passed = max(1, round((arrival_ns - last_arrival_ns) / 1e9 / self._time_base))
        if raw is None:
            return last + passed
        step = passed if self._offset is None else raw + self._offset - last
        leapt = float((step - passed) * self._time_base) > _LEAP_SECONDS
        if leapt or self._offset is None or float(step * self._time_base) < -_BACK_SECONDS:
            self._offset, step = last + passed - raw, passed
        return last + (step if step > 0 else passed)

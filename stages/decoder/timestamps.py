"""Presentation times that always grow.

The stages after the decoder need times that grow strictly: a step of 0 s has no speed, and containers refuse it.
Times that grow are kept exactly. The others are repaired and counted:

- missing: one usual step after the previous frame;
- not later than the previous frame: half a usual step after it, because a tiny step would give a huge speed;
- back by more than `_RESET_SECONDS` and `_RESET_STEPS`: the clock was reset. The frame comes one usual step after the
  previous one, and later frames keep their distance to it.
"""

from __future__ import annotations

from fractions import Fraction

_RESET_SECONDS = 1
_RESET_STEPS = 10
"""Steps back that are shorter come from frames in the wrong order, not from a clock. Both chosen by hand."""


_ASSUMED_RATE = Fraction(25)
"""Frames per second where the container gives no rate; FFmpeg assumes the same."""


class PresentationTimes:
    """Repairs the presentation times of one source, in the time base of its first container."""

    def __init__(self, time_base: Fraction, rate: Fraction | None) -> None:
        """
        Args:
            time_base: seconds per unit.
            rate: usual frames per second; None: not known.
        """
        self.time_base = time_base
        self.step = max(1, round(1 / (rate or _ASSUMED_RATE) / time_base))
        """The usual step, in units of the time base."""
        self.last: int | None = None
        self.repaired = 0
        """Number of times that were repaired."""
        self._offset = 0
        self._gap_units: int | None = None
        """From the last frame to the first of the next container; None within a container."""

    def next_pts(self, pts: int | None, time_base: Fraction | None = None) -> int:
        """The presentation time of the next frame, in units of `self.time_base`, later than all before.

        Args:
            pts: of the container, in units of `time_base`; None if it gives none.
            time_base: seconds per unit of `pts`; None: `self.time_base`.
        """
        pts = self._units(pts, time_base)
        if self.last is not None and self._gap_units is not None:
            placed = self.last + self._gap_units
            if pts is not None:
                self._offset = placed - pts
            self._gap_units = self.step if pts is None else None
        else:
            placed = self._repaired_pts(None if pts is None else pts + self._offset)
            if pts is None or placed != pts + self._offset:
                self.repaired += 1
                if pts is not None and self._is_reset(pts + self._offset):
                    self._offset = placed - pts
        self.last = placed
        return placed

    def leap(self, pts: int | None, time_base: Fraction | None = None) -> Fraction:
        """Seconds from the previous frame to one at `pts`; 0 if not known."""
        pts = self._units(pts, time_base)
        if pts is None or self.last is None or self._gap_units is not None:
            return Fraction(0)
        return (pts + self._offset - self.last) * self.time_base

    def resume(self, gap_seconds: float) -> None:
        """Another container follows (a reconnect): its first frame comes `gap_seconds` after the last one."""
        if self.last is not None:
            self._gap_units = max(self.step, round(gap_seconds / self.time_base))

    def _units(self, pts: int | None, time_base: Fraction | None) -> int | None:
        if pts is None or time_base is None or time_base == self.time_base:
            return pts
        return round(pts * time_base / self.time_base)

    def _repaired_pts(self, pts: int | None) -> int:
        if self.last is None:
            return 0 if pts is None else pts
        if pts is None or self._is_reset(pts):
            return self.last + self._step_of_unknown_time()
        return pts if pts > self.last else self.last + max(1, self.step // 2)

    def _step_of_unknown_time(self) -> int:
        return self.step

    def _is_reset(self, pts: int) -> bool:
        if self.last is None:
            return False
        back = self.last - pts
        return back * self.time_base > _RESET_SECONDS and back > _RESET_STEPS * self.step

"""Presentation times that always grow.

What comes after the decoder needs times that grow strictly: a step of nothing has no speed, and no container takes it.
Times that grow are kept to the unit. The others are repaired, and counted:

- missing: one usual step after the frame before;
- not later than the frame before: half a usual step after it, for a step of almost nothing makes nonsense of a speed;
- back by more than a second and more than ten usual steps, so the clock was set anew: one usual step on, and what
  follows keeps its distance from there.
"""

from __future__ import annotations

from fractions import Fraction

_RESET_SECONDS = 1
_RESET_STEPS = 10


class PresentationTimes:
    """Repairs the times of one source, in the time base of its first container."""

    def __init__(self, time_base: Fraction, rate: Fraction | None) -> None:
        """`rate`: usual frames per second; 25 where it is not known."""
        self.time_base = time_base
        self.step = max(1, round(1 / (rate or Fraction(25)) / time_base))
        """The usual step, in units of the time base."""
        self.last: int | None = None
        self.repaired = 0
        """How many times were not kept as they came."""
        self._offset = 0
        self._distance: int | None = None

    def place(self, pts: int | None, time_base: Fraction | None = None) -> int:
        """The time to give to the next frame, in units of `self.time_base`, later than every one before.

        Args:
            pts: what the container says, in `time_base` (default: the same).
        """
        pts = self._units(pts, time_base)
        if self.last is not None and self._distance is not None:
            placed = self.last + self._distance
            if pts is not None:
                self._offset = placed - pts
            self._distance = self.step if pts is None else None
        else:
            placed = self._grown(None if pts is None else pts + self._offset)
            if pts is None or placed != pts + self._offset:
                self.repaired += 1
                if pts is not None and self._is_reset(pts + self._offset):
                    self._offset = placed - pts
        self.last = placed
        return placed

    def leap(self, pts: int | None, time_base: Fraction | None = None) -> Fraction:
        """Seconds from the frame before to one at `pts`; 0 where that cannot be told."""
        pts = self._units(pts, time_base)
        if pts is None or self.last is None or self._distance is not None:
            return Fraction(0)
        return (pts + self._offset - self.last) * self.time_base

    def resume(self, gap_seconds: float) -> None:
        """Another container follows (a reconnect): its first frame is to come `gap_seconds` after the last one."""
        if self.last is not None:
            self._distance = max(self.step, round(gap_seconds / self.time_base))

    def _units(self, pts: int | None, time_base: Fraction | None) -> int | None:
        if pts is None or time_base is None or time_base == self.time_base:
            return pts
        return round(pts * time_base / self.time_base)

    def _grown(self, pts: int | None) -> int:
        if self.last is None:
            return 0 if pts is None else pts
        if pts is None or self._is_reset(pts):
            return self.last + self.step
        return pts if pts > self.last else self.last + max(1, self.step // 2)

    def _is_reset(self, pts: int) -> bool:
        if self.last is None:
            return False
        back = self.last - pts
        return back * self.time_base > _RESET_SECONDS and back > _RESET_STEPS * self.step

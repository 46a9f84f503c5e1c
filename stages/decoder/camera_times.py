"""Presentation times of a camera, whose clock may leap, and whose frames are seen to arrive."""

from __future__ import annotations

import time
from collections.abc import Callable
from fractions import Fraction

from stages.decoder.timestamps import PresentationTimes

_JUMP_SECONDS = 5.0
"""A camera's time that leaps ahead of the frames' arrival by more is a clock that was set, not frames that were lost.
Chosen by hand: far longer than the network holds frames back, far shorter than a clock that is an hour off."""
_NEW = 0.1
"""Weight of the newest step in the usual one. Chosen by hand: ten frames follow a camera that slows down by night."""

_ARRIVAL_HZ = 90_000
"""As in MPEG transport streams and RTP: finer than the network's own unrest."""


class CameraTimes(PresentationTimes):
    """As `PresentationTimes`, but a time that is missing, or follows a leap of the clock, is that of the arrival.

    The usual step is learnt, since what cameras tell of their rate is often wrong.
    """

    def __init__(self, time_base: Fraction, now: Callable[[], float] = time.monotonic) -> None:
        """
        Args:
            time_base: seconds per unit.
            now: a clock in seconds.
        """
        super().__init__(time_base, None)
        self._now = now
        self._arrived: float | None = None
        self._learnt = False

    def next_pts(self, pts: int | None, time_base: Fraction | None = None) -> int:
        before, repaired, continues = self.last, self.repaired, self._gap_units is None
        placed = super().next_pts(pts, time_base)
        self._arrived = self._now()
        if before is not None and continues and self.repaired == repaired:
            self._learn(placed - before)
        return placed

    def leap(self, pts: int | None, time_base: Fraction | None = None) -> Fraction:
        leap = super().leap(pts, time_base)
        return leap if float(leap) - self._elapsed_seconds() <= _JUMP_SECONDS else Fraction(self._elapsed_seconds())

    def _learn(self, step: int) -> None:
        usual = step if not self._learnt else (1 - _NEW) * self.step + _NEW * step
        self.step, self._learnt = max(1, round(usual)), True

    def _step_of_unknown_time(self) -> int:
        return max(1, round(self._elapsed_seconds() / self.time_base)) if self._arrived is not None else self.step

    def _is_reset(self, pts: int) -> bool:
        if self.last is None:
            return False
        ahead = float((pts - self.last) * self.time_base) - self._elapsed_seconds()
        return super()._is_reset(pts) or ahead > _JUMP_SECONDS

    def _elapsed_seconds(self) -> float:
        """Since the previous frame arrived."""
        return 0.0 if self._arrived is None else self._now() - self._arrived


class ArrivalTimes(CameraTimes):
    """Times of a camera that tells none, such as MJPEG over HTTP: a frame's is when it arrived."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        super().__init__(Fraction(1, _ARRIVAL_HZ), now)

    def next_pts(self, pts: int | None, time_base: Fraction | None = None) -> int:
        return super().next_pts(self._arrival())

    def leap(self, pts: int | None, time_base: Fraction | None = None) -> Fraction:
        return super().leap(self._arrival())

    def _arrival(self) -> int:
        return round(self._now() / self.time_base)

"""Sections of a file: what a stage learns of a scene is learned anew in each, so that they can be worked on separately.

A stage begins anew a few seconds before a section, the run-up, and its results count from the section's begin on. It
does so whether the file is worked on in one piece or by sections: so the results are the same.
"""

from __future__ import annotations

from fractions import Fraction
from typing import NamedTuple

from pipeline.messages import Header

_RUN_UP_SECONDS = 4.0
"""Chosen by hand: `python -m benchmarks.stabilizing.sections` shows what is lost with less."""


class Sections(NamedTuple):
    """Sections of equal length, counted from the time 0 of the file's own clock, of which few begin with."""

    seconds: Fraction
    """Length."""
    run_up_seconds: Fraction
    """At most a section's length."""

    @classmethod
    def of_minutes(cls, minutes: float) -> Sections:
        """Sections of so many minutes, to the microsecond."""
        seconds = Fraction(max(1, round(60e6 * minutes)), 10**6)
        return cls(seconds, min(Fraction(_RUN_UP_SECONDS), seconds))

    def number(self, header: Header) -> int | None:
        """The section of a message; None: it has no time."""
        return None if header.pts is None else header.pts * header.time_base // self.seconds

    def begun(self, header: Header) -> int | None:
        """The last section whose run-up has begun at a message; None: it has no time."""
        return None if header.pts is None else (header.pts * header.time_base + self.run_up_seconds) // self.seconds

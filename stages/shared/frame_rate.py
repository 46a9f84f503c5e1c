"""Frame rates as fractions."""

from __future__ import annotations

from fractions import Fraction

_HIGHEST_DENOMINATOR = 1001
"""Holds 24000/1001, 30000/1001 and 60000/1001 frames per second exactly."""


def exact_rate(fps: float) -> Fraction:
    """Frames per second as the closest fraction that video uses."""
    return Fraction(fps).limit_denominator(_HIGHEST_DENOMINATOR)

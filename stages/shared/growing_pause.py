"""Pauses between tries to reach somebody who is away: each twice the one before, up to a longest."""

from __future__ import annotations


class GrowingPause:
    """How long to wait before the next try.

    Args:
        first_seconds: After the first failure.
        longest_seconds: However often it failed.
    """

    def __init__(self, first_seconds: float, longest_seconds: float) -> None:
        self._first_seconds, self._longest_seconds = first_seconds, longest_seconds
        self.failures = 0
        """In a row."""

    def failed(self) -> float:
        """Count a failure. Returns the pause after it, s."""
        doubled = self._first_seconds * 2 ** min(self.failures, 1000)  # more would be no float
        self.failures += 1
        return min(self._longest_seconds, doubled)

    def reset(self) -> None:
        """It went well: the next failure is a first one."""
        self.failures = 0

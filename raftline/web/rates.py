"""Rates over the last seconds, of counters that only grow."""

from __future__ import annotations

from collections import deque

_WINDOW_SECONDS = 10.0
"""Rates are means over so long. Chosen by hand: steady to look at, and soon right again."""
_LEAST_SECONDS = 0.9
"""Over less a rate says little: the run tells its status twice a second."""


class Rates:
    """The rate of each counter, by name."""

    def __init__(self) -> None:
        self._seen: dict[tuple[str, ...], deque[tuple[float, float]]] = {}

    def rate(self, name: tuple[str, ...], now: float, count: float) -> float | None:
        """Take a counter's value, and return its growth per second; None until that is known.

        Args:
            name: Of the counter.
            now: Time of the value, s.
            count: The value. A smaller one than before begins anew.
        """
        seen = self._seen.setdefault(name, deque())
        if seen and (count < seen[-1][1] or now < seen[-1][0]):
            seen.clear()
        if not seen or now > seen[-1][0]:
            seen.append((now, count))
        while len(seen) > 2 and seen[1][0] <= now - _WINDOW_SECONDS:
            seen.popleft()
        passed = seen[-1][0] - seen[0][0]
        return (seen[-1][1] - seen[0][1]) / passed if passed >= _LEAST_SECONDS else None

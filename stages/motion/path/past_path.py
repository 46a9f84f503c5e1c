"""The path behind a live stabilizer, in few numbers: what was measured and what was shown."""

from __future__ import annotations

from typing import Any

import numpy as np

from stages.motion.camera.transforms import VECTOR_LENGTH

_SAMPLES = 150
_TIME_DIGITS, _PX_DIGITS = 6, 3
"""Rounded as it is made, so that the state holds it exactly."""


class PastPath:
    """At most 150 samples over a stretch of the past: frames, or means of so many as fit into one."""

    def __init__(self, stretch_seconds: float) -> None:
        self.stretch_seconds = stretch_seconds
        self._rows: list[list[float]] = []
        """Seconds that it stands for, time, 8 px of the measured path, 8 px of the shown one."""

    def add(self, time: float, seconds: float, path: np.ndarray, shown: np.ndarray) -> None:
        """A frame at `time`, `seconds` after the one before: path and shown, (8,) px motion vectors each."""
        row = np.array([seconds, time, *path, *shown])
        last = np.array(self._rows[-1]) if self._rows else row
        if self._rows and last[0] + seconds <= self.stretch_seconds / _SAMPLES * (1 + 1e-3):
            total = last[0] + seconds
            row = np.array([total, *((last[1:] * last[0] + row[1:] * seconds) / total)])
            self._rows.pop()
        seconds_and_time, px = row[:2].tolist(), row[2:].tolist()
        self._rows.append([*(round(v, _TIME_DIGITS) for v in seconds_and_time), *(round(v, _PX_DIGITS) for v in px)])
        while self._rows[0][1] < time - self.stretch_seconds:
            del self._rows[0]

    @property
    def seconds(self) -> np.ndarray:
        """(N,) for which each sample stands."""
        return self._table[:, 0]

    @property
    def times(self) -> np.ndarray:
        """(N,) s"""
        return self._table[:, 1]

    @property
    def path(self) -> np.ndarray:
        """(N, 8) px, as measured."""
        return self._table[:, 2 : 2 + VECTOR_LENGTH]

    @property
    def shown(self) -> np.ndarray:
        """(N, 8) px, as shown."""
        return self._table[:, 2 + VECTOR_LENGTH :]

    @property
    def _table(self) -> np.ndarray:
        return np.array(self._rows, np.float64).reshape(-1, 2 + 2 * VECTOR_LENGTH)

    def state(self) -> dict[str, Any]:
        """As JSON values, under 30 kB."""
        return {"stretch_seconds": self.stretch_seconds, "rows": [list(row) for row in self._rows]}

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> PastPath:
        past = cls(state["stretch_seconds"])
        past._rows = [list(row) for row in state["rows"]]
        return past

"""The path behind a live stabilizer, in few numbers: what was measured and what was shown."""

from __future__ import annotations

from typing import Any

import numpy as np

from raftline.camera.transforms import VECTOR_LENGTH

_SAMPLES = 150
_TIME_DIGITS, _PX_DIGITS = 6, 3
"""Rounded as it is made, so that the state holds it exactly."""


class PastPath:
    """At most 150 samples over a stretch of the past: frames, or means of so many as fit into one."""

    def __init__(self, stretch_seconds: float) -> None:
        self.stretch_seconds = stretch_seconds
        self._table = np.empty((0, 2 + 2 * VECTOR_LENGTH))
        """Seconds that it stands for, time, 8 px of the measured path, 8 px of the shown one."""
        self.begins = True
        """Nothing of the path is forgotten yet."""

    def add(self, time: float, seconds: float, path: np.ndarray, shown: np.ndarray) -> None:
        """A frame at `time`, `seconds` after the one before: path and shown, (8,) px motion vectors each."""
        row = np.array([seconds, time, *path, *shown])
        before = self._table
        if len(before) and before[-1, 0] + seconds <= self.stretch_seconds / _SAMPLES * (1 + 1e-3):
            last, before = before[-1], before[:-1]
            total = last[0] + seconds
            row = np.array([total, *((last[1:] * last[0] + row[1:] * seconds) / total)])
        row[:2], row[2:] = np.round(row[:2], _TIME_DIGITS), np.round(row[2:], _PX_DIGITS)
        table = np.vstack([before, row])
        self._table = table[np.argmax(table[:, 1] >= time - self.stretch_seconds) :]
        self.begins = self.begins and len(self._table) == len(table)

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

    def state(self) -> dict[str, Any]:
        """As JSON values, under 30 kB."""
        return {"stretch_seconds": self.stretch_seconds, "begins": self.begins, "rows": self._table.tolist()}

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> PastPath:
        past = cls(state["stretch_seconds"])
        past.begins = state["begins"]
        past._table = np.array(state["rows"], np.float64).reshape(-1, 2 + 2 * VECTOR_LENGTH)
        return past

"""The recent past of a live stabilizer's path, measured and displayed, in a bounded number of samples."""

from __future__ import annotations

from typing import Any

import numpy as np

from raftline.camera.transforms import VECTOR_LENGTH

_SAMPLES = 150
"""At most: 30 for each second of the 5 s that a cutoff of 0.6 Hz looks back; more only cost time and state."""
_TIME_DIGITS, _PX_DIGITS = 6, 3
"""Decimals of s and px. Samples are rounded as they are made, so that the state holds them exactly."""


class PathHistory:
    """At most 150 samples over a stretch of the past: frames, or means of as many as a sample's time holds."""

    def __init__(self, stretch_seconds: float) -> None:
        """Remember `stretch_seconds`."""
        self.stretch_seconds = stretch_seconds
        self._table = np.empty((0, 2 + 2 * VECTOR_LENGTH))
        """A row for each sample: seconds that it stands for, time, 8 px of the measured path, 8 px of the shown one."""
        self.begins = True
        """Nothing of the path is forgotten yet."""

    def add(self, time: float, seconds: float, path: np.ndarray, shown: np.ndarray) -> None:
        """Add a frame.

        Args:
            time: Of the frame, s.
            seconds: Since the frame before.
            path: (8,) px motion vector: the measured path.
            shown: (8,) px motion vector: the displayed path.
        """
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
        """(N,) s that each sample stands for."""
        return self._table[:, 0]

    @property
    def times(self) -> np.ndarray:
        """(N,) s."""
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
        """Return everything as JSON values, under 30 kB."""
        return {"stretch_seconds": self.stretch_seconds, "begins": self.begins, "rows": self._table.tolist()}

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> PathHistory:
        """Return a history that goes on where `state` was taken."""
        history = cls(state["stretch_seconds"])
        history.begins = state["begins"]
        history._table = np.array(state["rows"], np.float64).reshape(-1, 2 + 2 * VECTOR_LENGTH)
        return history

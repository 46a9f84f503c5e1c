"""Path smoothing for live video: each frame is corrected once a bounded stretch of what follows it is known."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from raftline.camera.transforms import SHIFTS, VECTOR_LENGTH, motion_matrices, motion_vectors
from raftline.stabilize.path.constrained_smoothing import constrained_path, corner_displacements, corner_margin
from raftline.stabilize.path.past_path import PastPath
from raftline.stabilize.path.slow_movement import OF_A_BEGIN, fit_slow_movement
from raftline.stabilize.path.smoothing_kernel import ORDER, TYPICAL_STEP, time_shares
from raftline.stabilize.path.tail_prediction import tail_prediction
from raftline.stabilize.warp.crop import fitting_share, zoom_matrix
from raftline.stabilize.warp.rolling_shutter import sweeps

_PAST_CYCLES = 3.0
"""How much of the past says what is slow movement, in cycles of the cutoff."""
_KEPT_SHARE = 5.0 / 6.0
"""Of the cutoff: what is slower than that much of it is taken for movement that stays."""
TRIPOD_HZ = 0.1
"""Cutoff that holds a picture as a tripod would, and lets it drift back into the zoom."""
_SAME_TIME = 1e-6
_SPLINE_FRAMES = 5
"""To either side, for the speed of the camera while a frame is read."""
_TIME_STEPS = 15
_DIGITS = 6
"""Of a px: rounded as it is made, so that the state holds it exactly and in few characters."""
_ZOOM_TO_USE = 0.998
_DETOUR_SHARE = 2.0
"""Of the cutoff, how smooth a way back into the zoom is."""


class LookAheadSmoother:
    """Corrections for a stream of camera motions, in order, each late by the look-ahead.

    Slow movement is told anew with every frame from what lies behind and ahead; what was shown is never taken back, but
    what it turns out to have been beside the slow movement fades smoothly.
    """

    def __init__(
        self,
        width: int,
        height: int,
        cutoff_hz: float = 0.6,
        look_ahead_seconds: float = 0.5,
        zoom: float = 1.1,
        enlarge: bool = True,
        readout_seconds: float = 0.0,
    ) -> None:
        """`zoom` bounds corrections to what it hides; without `enlarge` that much border shows instead."""
        self.width, self.height = width, height
        self.cutoff_hz = cutoff_hz
        self.look_ahead_seconds = look_ahead_seconds
        self.zoom = zoom
        self.enlarge = enlarge
        self.readout_seconds = readout_seconds
        self.moves: list[tuple[np.ndarray, np.ndarray | None]] = []
        """Beside each correction that `push` or `finish` returned last, (3, 3) each: how the corrected picture moved
        into that frame, without the zoom; how the camera moved while it was read (`rolling_shutter`), or None."""
        self._times: list[float] = []
        self._path: list[np.ndarray] = []
        self._duplicate: list[bool] = []
        self._pending = 0
        self._shown: list[np.ndarray] = []
        self._shown_times: list[float] = []
        self._past = PastPath(_PAST_CYCLES / cutoff_hz)
        self._correction = np.zeros(VECTOR_LENGTH)
        self._before = np.zeros(VECTOR_LENGTH)
        self._given_seconds: float | None = None

    @property
    def pending(self) -> int:
        """Frames pushed whose correction is not out yet."""
        return self._pending

    def push(self, time_seconds: float | None, motion: np.ndarray, duplicate: bool = False) -> list[np.ndarray]:
        """Take a frame's time and the camera's motion (3, 3) from the frame before; return the corrections now due.

        Corrections are (3, 3), zoom included, for the oldest frames that had none. The first frame's motion is not
        used. Raises ValueError for a matrix that is no camera motion.
        """
        step = motion_vectors(motion[None], self.width, self.height)[0]
        last = self._path[-1] if self._path else np.zeros(VECTOR_LENGTH)
        self._path.append(np.round(last + step, _DIGITS) if self._path else last)
        self._times.append(self._steady_time(time_seconds))
        self._duplicate.append(duplicate and len(self._path) > 1)
        self._pending += 1
        due, self.moves = [], []
        while self._pending and self._times[-1] - self._times[-self._pending] >= self.look_ahead_seconds - _SAME_TIME:
            due.append(self._correct_oldest())
        return due

    def finish(self) -> list[np.ndarray]:
        """Corrections for all frames still waiting, planned at once; the next frame begins a new path."""
        self.moves = []
        first = len(self._times) - self._pending
        planned = iter(self._plan(first)) if not all(self._duplicate[first:]) else iter(())
        due = [self._correct_oldest(planned) for _ in range(self._pending)]
        moves = self.moves
        self.__init__(*self._options())
        self.moves = moves
        return due

    def state(self) -> dict[str, Any]:
        """Everything that later corrections depend on, as JSON values; a few hundred bytes per frame of look-ahead."""
        return {
            "options": self._options(),
            "times": list(self._times),
            "path": [_compact(vector) for vector in self._path],
            "duplicate": [int(flag) for flag in self._duplicate],
            "pending": self._pending,
            "shown": [_compact(vector) for vector in self._shown],
            "shown_times": list(self._shown_times),
            "past": self._past.state(),
            "correction": _compact(self._correction),
            "before": _compact(self._before),
            "given_seconds": self._given_seconds,
        }

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> LookAheadSmoother:
        """A smoother that goes on where `state` was taken."""
        smoother = cls(*state["options"])
        smoother._times = list(state["times"])
        smoother._path = [np.array(vector) for vector in state["path"]]
        smoother._duplicate = [bool(flag) for flag in state["duplicate"]]
        smoother._pending = state["pending"]
        smoother._shown = [np.array(vector) for vector in state["shown"]]
        smoother._shown_times = list(state["shown_times"])
        smoother._past = PastPath.from_state(state["past"])
        smoother._correction = np.array(state["correction"])
        smoother._before = np.array(state["before"])
        smoother._given_seconds = state["given_seconds"]
        return smoother

    def _options(self) -> list[Any]:
        return [
            self.width, self.height, self.cutoff_hz, self.look_ahead_seconds, self.zoom, self.enlarge,
            self.readout_seconds,
        ]  # fmt: skip

    def _steady_step(self) -> np.ndarray:
        if len(self._shown) < 2:
            return np.eye(3)
        return motion_matrices((self._shown[-1] - self._shown[-2])[None], self.width, self.height)[0]

    def _sweep(self, at: int) -> np.ndarray:
        """Of frame `at`; a duplicate's is that of the frame it repeats."""
        while at > 0 and self._duplicate[at]:
            at -= 1
        around = range(max(0, at - _SPLINE_FRAMES), min(len(self._times), at + _SPLINE_FRAMES + 1))
        near = [k for k in around if k == at or not self._duplicate[k]]
        times, path = np.array([self._times[k] for k in near]), np.array([self._path[k] for k in near])
        return sweeps(times, path, self.readout_seconds, self.width, self.height)[near.index(at)]

    def _steady_time(self, time_seconds: float | None) -> float:
        """A time after the last one, also where the given one is missing, repeats or runs backwards."""
        before, self._given_seconds = self._given_seconds, time_seconds
        if not self._times:
            return 0.0
        steps = np.diff(self._times[-_TIME_STEPS:])
        typical = float(np.median(steps)) if len(steps) else TYPICAL_STEP
        if time_seconds is None or before is None or time_seconds <= before:
            return self._times[-1] + typical
        return self._times[-1] + max(time_seconds - before, typical / 4 if len(steps) else 0.0, 1e-4)

    def _correct_oldest(self, planned: Iterator[np.ndarray] | None = None) -> np.ndarray:
        """As planned, or as a plan made for it alone says."""
        first = len(self._times) - self._pending
        if not self._duplicate[first]:
            shown = next(planned) if planned is not None else self._plan(first)[0]
            step = shown - self._path[first]
            self._compose(first, step * fitting_share(step[None], self.zoom, self.width, self.height)[0])
            self._shown = [*self._shown, np.round(self._path[first] + self._correction, _DIGITS)][-ORDER:]
            seconds = self._times[first] - self._shown_times[-1] if self._shown_times else TYPICAL_STEP
            self._shown_times = [*self._shown_times, self._times[first]][-ORDER:]
            self._past.add(self._times[first], seconds, self._path[first], self._shown[-1])
        self.moves.append((self._steady_step(), self._sweep(first) if self.readout_seconds else None))
        self._pending -= 1
        self._forget()
        enlarge = zoom_matrix(self.zoom if self.enlarge else 1.0, self.width, self.height)
        return enlarge @ motion_matrices(self._correction[None], self.width, self.height)[0]

    def _compose(self, first: int, correction: np.ndarray) -> None:
        """Take over the correction, less what it and the one before do with the motion between when composed.

        Vectors add, turns and shifts do not: half a degree and 10 px leave 0.09 px, which would be shake.
        """
        if self._shown:
            vectors = np.stack([correction, self._path[first] - self._before, self._correction])
            now, moved, last = motion_matrices(vectors, self.width, self.height)
            shown = motion_vectors((now @ moved @ np.linalg.inv(last))[None], self.width, self.height)[0]
            excess = np.round(shown - (self._path[first] + correction - self._shown[-1]), _DIGITS)
            correction = correction - excess
            correction = correction * fitting_share(correction[None], self.zoom, self.width, self.height)[0]
            self._path[first:] = [vector + excess for vector in self._path[first:]]
        self._correction = np.round(correction, _DIGITS)
        self._before = self._path[first]

    def _plan(self, first: int) -> np.ndarray:
        """The path (N, 8) to be shown from frame `first` on; of duplicates, nothing."""
        own = [at for at in range(first, len(self._times)) if not self._duplicate[at]]
        times, path = np.array([self._times[at] for at in own]), np.array([self._path[at] for at in own])
        begun = np.array(self._shown_times)
        planned = self._steady(times, path, np.concatenate([begun, times]))
        held, planned = np.reshape(self._shown, (-1, VECTOR_LENGTH)) - planned[: len(begun)], planned[len(begun) :]
        margin = corner_margin(1.0 + (self.zoom - 1.0) * _ZOOM_TO_USE, self.width, self.height)
        beside = planned - path
        fits = (np.abs(beside @ corner_displacements(self.width, self.height).T) <= margin).all()
        if fits:
            return planned
        size = self.width, self.height
        return planned + constrained_path(begun, held, times, beside, _DETOUR_SHARE * self.cutoff_hz, margin, size)

    def _steady(self, times: np.ndarray, path: np.ndarray, at: np.ndarray) -> np.ndarray:
        """(M, 8) at `at` (M,) s: the slow movement, and what was shown beside it, which fades."""
        past = self._past
        seconds = np.concatenate([past.seconds, time_shares(times)])
        slow = fit_slow_movement(
            np.concatenate([past.times, times]),
            np.concatenate([past.path, path]),
            self.cutoff_hz,
            seconds,
            _KEPT_SHARE,
            OF_A_BEGIN,
            SHIFTS,
        )
        if not len(past.times):
            return slow(at)
        beside = past.shown - slow(past.times)
        return slow(at) + tail_prediction(past.times, beside, at, self.cutoff_hz, past.seconds, past.begins)

    def _forget(self) -> None:
        """Drop what no sweep of a pending frame needs; what was shown lives on in `PastPath`."""
        needless = max(len(self._times) - self._pending - _SPLINE_FRAMES - 1, 0)
        needless = min(needless, len(self._times) - 1)
        del self._times[:needless], self._path[:needless], self._duplicate[:needless]


def _compact(vector: np.ndarray) -> list[float]:
    return [round(float(value), _DIGITS) for value in vector]

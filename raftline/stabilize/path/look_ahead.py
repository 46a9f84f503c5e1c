"""Path smoothing for live video: each frame is corrected once a bounded time of what follows it is known.

Constants without another reason were tuned on the clips of `python -m benchmarks.bench_stabilization --parts known`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from raftline.camera.transforms import SHIFTS, VECTOR_LENGTH, motion_matrices, motion_vectors
from raftline.stabilize.path.constrained_smoothing import constrained_path, corner_displacements, corner_margin
from raftline.stabilize.path.path_history import PathHistory
from raftline.stabilize.path.slow_movement import BEGIN_PRIORS, fit_slow_movement
from raftline.stabilize.path.smoothing_kernel import ORDER, TYPICAL_STEP, time_shares
from raftline.stabilize.path.tail_prediction import tail_prediction
from raftline.stabilize.warp.crop import fitting_share, zoom_matrix
from raftline.stabilize.warp.rolling_shutter import sweeps

_PAST_CYCLES = 3.0
"""Past that slow movement is fitted to, in cycles of the cutoff."""
_KEPT_SHARE = 5.0 / 6.0
"""The fastest sine of slow movement, in the cutoff."""
TRIPOD_HZ = 0.1
"""Cutoff that holds the frame as a tripod would, and lets it drift back into the zoom."""
_SAME_SECONDS = 1e-6
"""Times that differ by less are the same: rounding of presentation times."""
_SPLINE_FRAMES = 5
"""To either side, for the camera's velocity while a frame is read; a cubic spline depends little on more."""
_TYPICAL_STEPS = 15
"""Steps in time whose median is the typical one."""
_MIN_STEP_SHARE, _MIN_STEP_SECONDS = 1 / 4, 1e-4
"""Shortest step, in the typical one, as in `smoothing_kernel.steady_times`; and in seconds, before one is known."""
_DIGITS = 6
"""Of a px: vectors are rounded as they are made, so that the state holds them exactly and in few characters."""
_ZOOM_TO_USE = 0.998
"""Share of the zoom that corrections are planned for, as in `path_smoothing`."""
_RETURN_SHARE = 2.0
"""Cutoff of the way back into the zoom, in the cutoff."""


class LookAheadSmoother:
    """Corrects a stream of camera motions, in order, each later by the look-ahead.

    With every frame, slow movement is fitted anew to what lies behind and ahead. What was displayed is never taken
    back; its difference from the slow movement fades smoothly (see `tail_prediction`).
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
        """Begin a path.

        Args:
            width: Width of the frames, px.
            height: Height of the frames, px.
            cutoff_hz: Camera movement slower than this is kept.
            look_ahead_seconds: How much of the future each correction knows.
            zoom: Enlargement, >= 1; corrections stay within the border that it hides.
            enlarge: Apply the zoom; else that much border shows.
            readout_seconds: Time between the exposure of the first row and that after the last; 0: all at once.
        """
        self.width, self.height = width, height
        self.cutoff_hz = cutoff_hz
        self.look_ahead_seconds = look_ahead_seconds
        self.zoom = zoom
        self.enlarge = enlarge
        self.readout_seconds = readout_seconds
        self.moves: list[tuple[np.ndarray, np.ndarray | None]] = []
        """For each correction that `push` or `finish` returned last, two (3, 3): the motion of the corrected video into
        that frame, without the zoom; and the camera's motion while it was read (`rolling_shutter.sweeps`), or None."""
        self._times: list[float] = []
        self._path: list[np.ndarray] = []
        self._duplicate: list[bool] = []
        self._pending = 0
        self._shown: list[np.ndarray] = []
        self._shown_times: list[float] = []
        self._past = PathHistory(_PAST_CYCLES / cutoff_hz)
        self._correction = np.zeros(VECTOR_LENGTH)
        self._before = np.zeros(VECTOR_LENGTH)
        self._given_seconds: float | None = None

    @property
    def pending(self) -> int:
        """Frames pushed whose correction is not out yet."""
        return self._pending

    def push(self, time_seconds: float | None, motion: np.ndarray, duplicate: bool = False) -> list[np.ndarray]:
        """Take a frame and return the corrections that are now due.

        Args:
            time_seconds: Time of the frame; None if unknown.
            motion: (3, 3) px of the frame before to px of this one; not used for the first frame.
            duplicate: The frame repeats the one before.

        Returns:
            Corrections (3, 3), zoom included, px to px, of the oldest frames that had none.

        Raises:
            ValueError: The motion is no camera motion.
        """
        step = motion_vectors(motion[None], self.width, self.height)[0]
        last = self._path[-1] if self._path else np.zeros(VECTOR_LENGTH)
        self._path.append(np.round(last + step, _DIGITS) if self._path else last)
        self._times.append(self._steady_time(time_seconds))
        self._duplicate.append(duplicate and len(self._path) > 1)
        self._pending += 1
        due, self.moves = [], []
        enough = self.look_ahead_seconds - _SAME_SECONDS
        while self._pending and self._times[-1] - self._times[-self._pending] >= enough:
            due.append(self._correct_oldest())
        return due

    def finish(self) -> list[np.ndarray]:
        """Return the corrections of all pending frames, planned at once; the next frame begins a new path."""
        self.moves = []
        first = len(self._times) - self._pending
        planned = iter(self._plan(first)) if not all(self._duplicate[first:]) else iter(())
        due = [self._correct_oldest(planned) for _ in range(self._pending)]
        moves = self.moves
        self.__init__(*self._options())
        self.moves = moves
        return due

    def state(self) -> dict[str, Any]:
        """Return all that later corrections depend on, as JSON values: a few hundred bytes per frame of look-ahead."""
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
        """Return a smoother that goes on where `state` was taken."""
        smoother = cls(*state["options"])
        smoother._times = list(state["times"])
        smoother._path = [np.array(vector) for vector in state["path"]]
        smoother._duplicate = [bool(flag) for flag in state["duplicate"]]
        smoother._pending = state["pending"]
        smoother._shown = [np.array(vector) for vector in state["shown"]]
        smoother._shown_times = list(state["shown_times"])
        smoother._past = PathHistory.from_state(state["past"])
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
        """Return the sweep of frame `at`; a duplicate has that of the frame it repeats."""
        while at > 0 and self._duplicate[at]:
            at -= 1
        around = range(max(0, at - _SPLINE_FRAMES), min(len(self._times), at + _SPLINE_FRAMES + 1))
        near = [k for k in around if k == at or not self._duplicate[k]]
        times, path = np.array([self._times[k] for k in near]), np.array([self._path[k] for k in near])
        return sweeps(times, path, self.readout_seconds, self.width, self.height)[near.index(at)]

    def _steady_time(self, time_seconds: float | None) -> float:
        """Return a time after the last one, even if the given one is missing, repeats or runs backwards."""
        before, self._given_seconds = self._given_seconds, time_seconds
        if not self._times:
            return 0.0
        steps = np.diff(self._times[-_TYPICAL_STEPS:])
        typical = float(np.median(steps)) if len(steps) else TYPICAL_STEP
        if time_seconds is None or before is None or time_seconds <= before:
            return self._times[-1] + typical
        shortest = typical * _MIN_STEP_SHARE if len(steps) else 0.0
        return self._times[-1] + max(time_seconds - before, shortest, _MIN_STEP_SECONDS)

    def _correct_oldest(self, planned: Iterator[np.ndarray] | None = None) -> np.ndarray:
        """Correct the oldest pending frame by the next step of a plan, or by a plan for it alone."""
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
        """Take over a correction, less the excess of composing it with the motion and the correction before.

        Vectors add, but turns and shifts do not commute: half a degree and 10 px leave 0.09 px, which would be shake.
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
        """Return the path (N, 8) px to display from frame `first` on, duplicates left out."""
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
        return planned + constrained_path(begun, held, times, beside, _RETURN_SHARE * self.cutoff_hz, margin, size)

    def _steady(self, times: np.ndarray, path: np.ndarray, at: np.ndarray) -> np.ndarray:
        """Return the slow movement at `at` (M,) s, and the fading difference of what was displayed, (M, 8) px."""
        past = self._past
        seconds = np.concatenate([past.seconds, time_shares(times)])
        slow = fit_slow_movement(
            np.concatenate([past.times, times]),
            np.concatenate([past.path, path]),
            self.cutoff_hz,
            seconds,
            _KEPT_SHARE,
            BEGIN_PRIORS,
            SHIFTS,
        )
        if not len(past.times):
            return slow(at)
        beside = past.shown - slow(past.times)
        return slow(at) + tail_prediction(past.times, beside, at, self.cutoff_hz, past.seconds, past.begins)

    def _forget(self) -> None:
        """Drop what no sweep of a pending frame needs; what was displayed lives on in `PathHistory`."""
        needless = max(len(self._times) - self._pending - _SPLINE_FRAMES - 1, 0)
        needless = min(needless, len(self._times) - 1)
        del self._times[:needless], self._path[:needless], self._duplicate[:needless]


def _compact(vector: np.ndarray) -> list[float]:
    return [round(float(value), _DIGITS) for value in vector]

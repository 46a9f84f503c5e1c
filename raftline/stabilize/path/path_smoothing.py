"""Camera paths of a whole clip: accumulated, smoothed, and kept within one zoom."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from raftline.camera.transforms import SHIFTS, centred, motion_matrices, motion_vectors
from raftline.stabilize.choices import Method, Zooming
from raftline.stabilize.path.constrained_smoothing import constrained_path, corner_displacements, corner_margin
from raftline.stabilize.path.slow_movement import slow_path
from raftline.stabilize.path.smoothing_kernel import penalized_least_squares, steady_times, time_shares
from raftline.stabilize.warp.crop import USUAL_ZOOM, fitting_share, required_zoom, zoom_asked_for, zoom_matrices

_VISIBLE_PX = 0.25
"""A run that shakes by less at every corner is left alone: interpolation would only blur a fixed camera's frames."""
_TRIPOD_HZ = 0.05
"""Cutoff where the frames of `tripod` would not fit the zoom: the slowest that the stage's option allows."""
_PULLS = 60
"""Rounds at most that shrink corrections beyond a limit."""
_CLIP_ITERATIONS, _CLIP_PENALTY = 400, 3.0
"""Of ADMM. A clip is solved once, so it can take more iterations than look-ahead, to a smoother path; chosen by hand,
`python -m benchmarks.bench_stabilization --parts known` shows their effect."""
_ZOOM_SECONDS = 1.0
"""Time over which a dynamic zoom rises before it is needed, and falls after."""
ZOOM_TO_USE = 0.998
"""Share of the zoom that a bounded correction is planned for; the rest covers what its first-order bound leaves out."""


@dataclass(frozen=True)
class CameraPath:
    """One continuous run of measured camera motion."""

    times: np.ndarray
    """(N,) float64 s, strictly growing."""
    motions: np.ndarray
    """(N, 8) float64 px motion vectors from the frame before; the first is not used."""
    duplicates: np.ndarray
    """(N,) bool: the frame repeats the one before."""
    width: int
    """Width of the frames, px."""
    height: int
    """Height of the frames, px."""
    unmeasured: np.ndarray | None = None
    """(N,) bool: nothing is known of the motion into the frame, which is then 0; its correction lies between its
    neighbors'. None: of no frame."""


@dataclass(frozen=True)
class PathLimits:
    """The limits of a correction."""

    cutoff_hz: float = 0.5
    """Camera movement slower than this is kept, faster is removed."""
    min_zoom: float = 1.0
    """Least enlargement."""
    max_zoom: float | Literal["auto"] = 1.2
    """Largest enlargement; corrections that need more are made smaller, smoothly. ``auto``: `zoom_asked_for`."""
    zooming: Zooming = "static"
    """``static``: one zoom; ``dynamic``: what is needed around each moment; ``none``: 1, and borders show."""
    tripod: bool = False
    """Remove all movement, slow movement too, as far as the zoom allows."""
    most_shift: tuple[float, float] = (1.0, 1.0)
    """Largest shift along x and y, as shares of width and height."""
    most_turn_degrees: float = 180.0
    """Largest turn."""


@dataclass(frozen=True)
class SmoothedClip:
    """Corrections for every run of a clip."""

    zoom: float
    """The largest of all frames."""
    corrections: list[np.ndarray]
    """For each run (N, 3, 3): px of the original to px of the corrected frame, zoom included."""
    steady: list[np.ndarray]
    """For each run (N, 8): the corrected path, px motion vectors without the zoom."""
    shrunk_frames: int
    """Frames whose planned correction still had to be shrunk to leave no border."""


def accumulate(motions: np.ndarray) -> np.ndarray:
    """Add motion vectors between frames (N, 8) px up to a path (N, 8) px that begins at 0."""
    path = np.cumsum(motions, axis=0)
    return path - path[:1]


def camera_path(
    matrices: np.ndarray,
    times_seconds: np.ndarray,
    duplicates: np.ndarray,
    width: int,
    height: int,
    unmeasured: np.ndarray | None = None,
) -> CameraPath:
    """Make a run of measured motions.

    Args:
        matrices: (N, 3, 3) px of the frame before to px of the frame; the first is not used.
        times_seconds: (N,) s; may repeat, run backwards or be NaN.
        duplicates: (N,) bool: the frame repeats the one before.
        width: Width of the frames, px.
        height: Height of the frames, px.
        unmeasured: As in `CameraPath`.

    Raises:
        ValueError: A matrix is no camera motion.
    """
    return CameraPath(
        steady_times(times_seconds),
        motion_vectors(matrices, width, height),
        np.asarray(duplicates, bool),
        width,
        height,
        unmeasured,
    )


def smooth_path(times: np.ndarray, path: np.ndarray, cutoff_hz: float, method: Method = "optimal") -> np.ndarray:
    """Remove movement faster than a cutoff.

    Args:
        times: (N,) s, strictly growing, in steps of any length.
        path: (N, D) px.
        cutoff_hz: The cutoff.
        method: ``optimal``: the regression of `slow_movement`, which follows to the very ends. ``gaussian``: a local
            line fitted under a Gaussian window in time.

    Returns:
        (N, D) px.
    """
    return slow_path(times, path, cutoff_hz) if method == "optimal" else _gaussian(times, path, cutoff_hz)


def smooth_clip(runs: list[CameraPath], limits: PathLimits, method: Method = "optimal") -> SmoothedClip:
    """Smooth every run of a clip and choose one zoom for all, the least that covers the output, at most `max_zoom`.

    A run that needs more is smoothed again with the zoom's margin as a bound (always by ``optimal``).
    """
    steps = [_free(run, limits, method) for run in runs]
    needed = [_needed_zoom(run, step) for run, step in zip(runs, steps, strict=True)]
    most = limits.max_zoom
    if most == "auto":  # a tripod asks for more than shake does
        most = USUAL_ZOOM if limits.tripod else zoom_asked_for(needed)
    zoom = float(np.clip(max((each.max(initial=1.0) for each in needed), default=1.0), limits.min_zoom, most))
    corrections, steady, shrunk, largest = [], [], 0, 1.0
    for run, step, need in zip(runs, steps, needed, strict=True):
        if need.max(initial=1.0) > zoom:
            step = _constrained(run, limits, zoom)
        share = fitting_share(step, zoom, run.width, run.height)
        shrunk += int((share < 1.0).sum())
        step = step * share[:, None]
        zooms = _zooms(run, step, zoom, limits)
        largest = max(largest, float(zooms.max(initial=1.0)))
        matrices = motion_matrices(step, run.width, run.height)
        corrections.append(zoom_matrices(zooms, run.width, run.height) @ matrices)
        steady.append(accumulate(run.motions) + step)
    return SmoothedClip(largest, corrections, steady, shrunk)


def _needed_zoom(run: CameraPath, step: np.ndarray) -> np.ndarray:
    return required_zoom(motion_matrices(step, run.width, run.height), run.width, run.height)


def _zooms(run: CameraPath, step: np.ndarray, zoom: float, limits: PathLimits) -> np.ndarray:
    """Return the zoom of each frame (N,)."""
    if limits.zooming == "none":
        return np.ones(len(step))
    if limits.zooming == "static":
        return np.full(len(step), zoom)
    return np.maximum(smooth_envelope(run.times, _needed_zoom(run, step), _ZOOM_SECONDS), limits.min_zoom)


def smooth_envelope(times: np.ndarray, values: np.ndarray, seconds: float) -> np.ndarray:
    """Return a smooth curve (N,) nowhere below `values` (N,) at `times` (N,) s.

    Their maximum within `seconds` to either side, averaged with a Hann window over as long.
    """
    highest, smooth = np.empty(len(values)), np.empty(len(values))
    for source, made, reduce in ((values, highest, np.max), (highest, smooth, _hann_mean)):
        for at, time in enumerate(times):
            first, last = np.searchsorted(times, [time - seconds, time + seconds])
            made[at] = reduce(source[first : max(last, first + 1)])
    return np.maximum(smooth, values)


def _hann_mean(values: np.ndarray) -> float:
    return float(np.average(values, weights=np.hanning(len(values) + 2)[1:-1]))


def _limited(times: np.ndarray, steps: np.ndarray, run: CameraPath, limits: PathLimits) -> np.ndarray:
    """Shrink corrections (N, 8) smoothly around where a shift or turn is larger than allowed."""
    half_diagonal = centred(run.width, run.height)[1]
    turn_px = np.deg2rad(limits.most_turn_degrees) * half_diagonal
    x_px, y_px = limits.most_shift[0] * run.width, limits.most_shift[1] * run.height
    limited = steps.copy()
    for column, most in ((SHIFTS[0], x_px), (SHIFTS[1], y_px), (1, turn_px), (3, turn_px)):
        pull = np.ones(len(times))
        for _ in range(_PULLS):
            over = np.abs(limited[:, column]) / max(most, 1e-3)
            if over.max(initial=0.0) <= 1.0:
                break
            pull *= np.maximum(over, 1.0) ** 2
            wanted = steps[:, [column]] / pull[:, None]
            limited[:, [column]] = penalized_least_squares(times, wanted, pull, limits.cutoff_hz)
    return limited


def _free(run: CameraPath, limits: PathLimits, method: Method) -> np.ndarray:
    """Return corrections (N, 8), smooth path less path, for any zoom; 0 if none of them could be seen."""
    own = own_frames(run)
    path = accumulate(run.motions)[own]
    if limits.tripod:
        steps = (path.max(axis=0, initial=-np.inf) + path.min(axis=0, initial=np.inf)) / 2 - path
    else:
        times = run.times[own]
        steps = _limited(times, smooth_path(times, path, limits.cutoff_hz, method) - path, run, limits)
        steps = _composed(run, own, steps, limits.cutoff_hz)
    steps = _for_all(run, own, steps)
    corners_px = steps @ corner_displacements(run.width, run.height).T
    return np.zeros_like(steps) if np.abs(corners_px).max(initial=0.0) < _VISIBLE_PX else steps


def _constrained(run: CameraPath, limits: PathLimits, zoom: float) -> np.ndarray:
    """Return corrections (N, 8) for a run whose free ones do not fit the zoom."""
    cutoff_hz = _TRIPOD_HZ if limits.tripod else limits.cutoff_hz
    own = own_frames(run)
    times, path = run.times[own], accumulate(run.motions)[own]
    margin = corner_margin(zoom * ZOOM_TO_USE, run.width, run.height)
    beside = slow_path(times, path, cutoff_hz) - path
    begun, held = np.empty(0), np.empty((0, path.shape[1]))
    size = run.width, run.height
    steps = beside + constrained_path(
        begun, held, times, beside, cutoff_hz, margin, size, _CLIP_ITERATIONS, _CLIP_PENALTY
    )
    steps = _composed(run, own, steps, cutoff_hz)
    return _for_all(run, own, steps)


def _for_all(run: CameraPath, own: np.ndarray, steps: np.ndarray) -> np.ndarray:
    """Return the corrections (N, 8) of all frames, from those of the frames with a motion of their own."""
    every = steps[np.cumsum(own) - 1]
    if run.unmeasured is not None and run.unmeasured.any():
        between = np.stack([np.interp(run.times, run.times[own], column) for column in steps.T], axis=1)
        every = np.where(run.unmeasured[:, None], between, every)
    return every


def _composed(run: CameraPath, own: np.ndarray, steps: np.ndarray, cutoff_hz: float) -> np.ndarray:
    """Return corrections (N, 8) that compose with the motions to what their vectors add up to, slow movement aside.

    A turn and a shift do not commute: half a degree and 10 px leave 0.09 px, which would be shake.
    """
    size = run.width, run.height
    applied = motion_matrices(steps, *size)
    between = np.diff(accumulate(run.motions)[own], axis=0)
    shown = applied[1:] @ motion_matrices(between, *size) @ np.linalg.inv(applied[:-1])
    excess = np.zeros_like(steps)
    excess[1:] = np.cumsum(motion_vectors(shown, *size) - between - np.diff(steps, axis=0), axis=0)
    rest = slow_path(run.times[own], excess, cutoff_hz) - excess
    return motion_vectors(motion_matrices(rest, *size) @ applied, *size)


def own_frames(run: CameraPath) -> np.ndarray:
    """Return which frames have a known motion of their own, (N,) bool; a duplicate repeats the correction before it."""
    own = ~run.duplicates if run.unmeasured is None else ~run.duplicates & ~run.unmeasured
    own[:1] = True
    return own


def _gaussian(times: np.ndarray, path: np.ndarray, cutoff_hz: float) -> np.ndarray:
    """Fit local lines under a Gaussian kernel that halves movement of `cutoff_hz`; it is cut off at 4 sigma."""
    sigma = np.sqrt(np.log(2.0) / 2.0) / (np.pi * cutoff_hz)
    pull = time_shares(times)
    smooth = np.empty_like(path, np.float64)
    for at, time in enumerate(times):
        first, last = np.searchsorted(times, [time - 4 * sigma, time + 4 * sigma])
        away = times[first:last] - time
        kernel = pull[first:last] * np.exp(-0.5 * (away / sigma) ** 2)
        total, mean = kernel.sum(), (kernel @ away) / kernel.sum()
        spread = kernel @ (away - mean) ** 2
        tilt = -mean / spread if spread > 0 else 0.0
        smooth[at] = (kernel / total * (1.0 + tilt * total * (away - mean))) @ path[first:last]
    return smooth

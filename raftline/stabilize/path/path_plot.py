"""A camera path before and after stabilization: a plot, and how much it shakes."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from raftline.camera.transforms import centred
from raftline.stabilize.path.constrained_smoothing import corner_displacements
from raftline.stabilize.path.smoothing_kernel import penalized_least_squares

_SIZE = (960, 720)
"""Width and height of the plot, px."""
_LEFT, _RIGHT, _TOP, _GAP = 76, 16, 44, 26
"""Margins of the axes, px: room for the numbers, the title and the times."""
_SHAKE_HZ = 1.0
"""Movement above this is shake, as in `benchmarks.stabilizing`."""
_PAPER, _GRID, _INK = (255, 255, 255), (228, 228, 228), (60, 60, 60)
_BEFORE, _AFTER = (214, 96, 77), (33, 102, 172)
"""A red and a blue that differ in lightness, too."""
_FONT = cv2.FONT_HERSHEY_SIMPLEX
_HEADROOM = 1.06
"""Range of an axis, in that of its values."""
_SHIFT_BITS = 3
"""Fraction bits of OpenCV's line coordinates."""


@dataclass(frozen=True)
class PathRun:
    """The path of one continuous run of a camera."""

    times: np.ndarray
    """(N,) s."""
    before: np.ndarray
    """(N, 8) px motion vectors, accumulated: the measured path."""
    after: np.ndarray
    """(N, 8) px: the corrected path."""


def shake_px(times: np.ndarray, path: np.ndarray, width: int, height: int) -> float:
    """Return the rms above 1 Hz of the corners' displacement along a path, px; 0 for fewer than 4 frames.

    Args:
        times: (N,) s, strictly growing.
        path: (N, 8) px motion vectors.
        width: Width of the frames, px.
        height: Height of the frames, px.
    """
    if len(times) < 4:
        return 0.0
    fast = path - penalized_least_squares(times, path, np.ones(len(times)), _SHAKE_HZ)
    corners = (fast @ corner_displacements(width, height).T).reshape(-1, 4, 2)
    return float(np.sqrt((corners**2).sum(axis=-1).mean()))


def plot_paths(runs: list[PathRun], width: int, height: int, title: str) -> np.ndarray:
    """Plot shift along x and y, turn and scale over time, red before and blue after.

    Args:
        runs: The clip's runs, in order.
        width: Width of the frames, px.
        height: Height of the frames, px.
        title: Written above.

    Returns:
        (720, 960, 3) uint8 RGB.
    """
    image = np.full((_SIZE[1], _SIZE[0], 3), _PAPER, np.uint8)
    _write(image, title, (_LEFT, 26), 0.55)
    _, half_diagonal = centred(width, height)
    curves = [
        (run.times, _quantities(run.before, half_diagonal), _quantities(run.after, half_diagonal)) for run in runs
    ]
    begin = min((run.times[0] for run in runs), default=0.0)
    end = max(max((run.times[-1] for run in runs), default=1.0), begin + 1e-6)
    tall = (_SIZE[1] - _TOP) // 4 - _GAP
    for at, name in enumerate(("x px", "y px", "turn deg", "scale %")):
        top = _TOP + at * (tall + _GAP)
        values = np.concatenate([np.concatenate([old[:, at], new[:, at]]) for _, old, new in curves] or [np.zeros(1)])
        low, high = float(values.min()), float(values.max())
        middle, reach = (low + high) / 2, max((high - low) / 2, 1e-3) * _HEADROOM
        _axes(image, name, (middle - reach, middle + reach), (begin, end), top, tall, at == 3)
        for column, color in ((1, _BEFORE), (2, _AFTER)):
            for curve in curves:
                x = _LEFT + (curve[0] - begin) / (end - begin) * (_SIZE[0] - _LEFT - _RIGHT)
                y = top + (middle + reach - curve[column][:, at]) / (2 * reach) * tall
                line = np.rint(np.stack([x, y], axis=1) * 2**_SHIFT_BITS).astype(np.int32)
                cv2.polylines(image, [line], False, color, column, cv2.LINE_AA, _SHIFT_BITS)
    return image


def _quantities(path: np.ndarray, half_diagonal: float) -> np.ndarray:
    """Return shift along x and y in px, turn in degrees and scale in %, (N, 4), of a path (N, 8)."""
    turn = np.rad2deg((path[:, 3] - path[:, 1]) / 2 / half_diagonal)
    return np.stack([path[:, 2], path[:, 5], turn, 50 * (path[:, 0] + path[:, 4]) / half_diagonal], axis=1)


def _axes(
    image: np.ndarray, name: str, values: tuple[float, float], times: tuple[float, float], top: int, tall: int,
    with_times: bool,
) -> None:  # fmt: skip
    right = _SIZE[0] - _RIGHT
    for share in (0.0, 0.5, 1.0):
        y = round(top + share * tall)
        cv2.line(image, (_LEFT, y), (right, y), _GRID, 1)
        _write(image, f"{values[1] + share * (values[0] - values[1]):.3g}", (6, y + 4), 0.4)
    for share in np.linspace(0, 1, 6):
        x = round(_LEFT + share * (right - _LEFT))
        cv2.line(image, (x, top), (x, top + tall), _GRID, 1)
        if with_times:
            text = f"{times[0] + share * (times[1] - times[0]):.1f} s"
            _write(image, text, (x - (34 if share == 1.0 else 12), top + tall + 16), 0.4)
    _write(image, name, (_LEFT + 6, top + 14), 0.42)


def _write(image: np.ndarray, text: str, at: tuple[int, int], scale: float) -> None:
    cv2.putText(image, text, at, _FONT, scale, _INK, 1, cv2.LINE_AA)

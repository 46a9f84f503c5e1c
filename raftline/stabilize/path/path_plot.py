"""A camera path before and after, as a picture; and how much it shakes, as numbers."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from raftline.camera.transforms import centred
from raftline.stabilize.path.constrained_smoothing import corner_displacements
from raftline.stabilize.path.smoothing_kernel import penalised_least_squares

_SIZE = (960, 720)
_LEFT, _RIGHT, _TOP, _GAP = 76, 16, 44, 26
_SHAKE_HZ = 1.0
_PAPER, _GRID, _INK = (255, 255, 255), (228, 228, 228), (60, 60, 60)
_BEFORE, _AFTER = (214, 96, 77), (33, 102, 172)
_FONT = cv2.FONT_HERSHEY_SIMPLEX


@dataclass(frozen=True)
class PathRun:
    """One continuous run of a camera."""

    times: np.ndarray
    """(N,) seconds."""
    before: np.ndarray
    """(N, 8) px motion vectors, accumulated: as measured."""
    after: np.ndarray
    """(N, 8): as corrected."""


def shake_px(times: np.ndarray, path: np.ndarray, width: int, height: int) -> float:
    """Rms above 1 Hz of the corners' displacement along a path (N, 8), px; 0 of fewer than 4 frames."""
    if len(times) < 4:
        return 0.0
    fast = path - penalised_least_squares(times, path, np.ones(len(times)), _SHAKE_HZ)
    corners = (fast @ corner_displacements(width, height).T).reshape(-1, 4, 2)
    return float(np.sqrt((corners**2).sum(axis=-1).mean()))


def plot_paths(runs: list[PathRun], width: int, height: int, title: str) -> np.ndarray:
    """uint8 (720, 960, 3) RGB: shift along x and y, turn and scale over time, red before and blue after."""
    picture = np.full((_SIZE[1], _SIZE[0], 3), _PAPER, np.uint8)
    _write(picture, title, (_LEFT, 26), 0.55)
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
        middle, reach = (low + high) / 2, max((high - low) / 2, 1e-3) * 1.06
        _axes(picture, name, (middle - reach, middle + reach), (begin, end), top, tall, at == 3)
        for column, color in ((1, _BEFORE), (2, _AFTER)):
            for curve in curves:
                x = _LEFT + (curve[0] - begin) / (end - begin) * (_SIZE[0] - _LEFT - _RIGHT)
                y = top + (middle + reach - curve[column][:, at]) / (2 * reach) * tall
                line = np.rint(np.stack([x, y], axis=1) * 8).astype(np.int32)
                cv2.polylines(picture, [line], False, color, 1 if column == 1 else 2, cv2.LINE_AA, 3)
    return picture


def _quantities(path: np.ndarray, half_diagonal: float) -> np.ndarray:
    """(N, 4): px, px, degrees, %."""
    turn = np.rad2deg((path[:, 3] - path[:, 1]) / 2 / half_diagonal)
    return np.stack([path[:, 2], path[:, 5], turn, 50 * (path[:, 0] + path[:, 4]) / half_diagonal], axis=1)


def _axes(
    picture: np.ndarray, name: str, values: tuple[float, float], times: tuple[float, float], top: int, tall: int,
    with_times: bool,
) -> None:  # fmt: skip
    right = _SIZE[0] - _RIGHT
    for share in (0.0, 0.5, 1.0):
        y = round(top + share * tall)
        cv2.line(picture, (_LEFT, y), (right, y), _GRID, 1)
        _write(picture, f"{values[1] + share * (values[0] - values[1]):.3g}", (6, y + 4), 0.4)
    for share in np.linspace(0, 1, 6):
        x = round(_LEFT + share * (right - _LEFT))
        cv2.line(picture, (x, top), (x, top + tall), _GRID, 1)
        if with_times:
            text = f"{times[0] + share * (times[1] - times[0]):.1f} s"
            _write(picture, text, (x - (34 if share == 1.0 else 12), top + tall + 16), 0.4)
    _write(picture, name, (_LEFT + 6, top + 14), 0.42)


def _write(picture: np.ndarray, text: str, at: tuple[int, int], scale: float) -> None:
    cv2.putText(picture, text, at, _FONT, scale, _INK, 1, cv2.LINE_AA)

"""Curves of error against iterations, one panel a clip."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import cv2
import numpy as np

PANEL = (400, 300)
_MARGIN = (52, 16, 44, 38)
"""Left, right, above, below, px."""
_COLORS = {"cold": (210, 110, 30), "warm": (40, 150, 40), "adaptive": (30, 30, 210)}
_INK = (60, 60, 60)


def draw(clips: Mapping[str, Any], iterations: Sequence[int], columns: int = 4) -> np.ndarray:
    """uint8 (H, W, 3) BGR. Both axes are logarithmic."""
    panels = [_panel(name, clip, iterations) for name, clip in clips.items()]
    blank = np.full((PANEL[1], PANEL[0], 3), 255, np.uint8)
    panels += [blank] * (-len(panels) % columns)
    return np.vstack([np.hstack(panels[i : i + columns]) for i in range(0, len(panels), columns)])


def _panel(name: str, clip: Mapping[str, Any], iterations: Sequence[int]) -> np.ndarray:
    image = np.full((PANEL[1], PANEL[0], 3), 255, np.uint8)
    curves = {start: np.array([clip[start][str(number)] for number in iterations]) for start in _COLORS}
    values = np.concatenate(list(curves.values()))
    low, high = float(np.log(values.min() * 0.85)), float(np.log(values.max() * 1.15))
    left, right, above, below = _MARGIN
    along = np.log(np.array(iterations, float))
    x = left + (PANEL[0] - left - right) * (along - along[0]) / max(along[-1] - along[0], 1e-9)

    def y_of(value: np.ndarray) -> np.ndarray:
        return PANEL[1] - below - (PANEL[1] - above - below) * (np.log(value) - low) / (high - low)

    _text(image, f"{name} ({clip['mean_px']:.1f} px a frame), {clip['measure']}, px", (10, 22), 0.42)
    for number, place in zip(iterations, x, strict=True):
        cv2.line(image, (int(place), above), (int(place), PANEL[1] - below), (235, 235, 235), 1)
        _text(image, str(number), (int(place) - 5, PANEL[1] - below + 18), 0.4)
    for value in (0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20):
        if low < np.log(value) < high:
            y = int(y_of(np.array(value)))
            cv2.line(image, (left, y), (PANEL[0] - right, y), (235, 235, 235), 1)
            _text(image, f"{value:g}", (8, y + 4), 0.4)
    for place, (start, curve) in enumerate(curves.items()):
        points = np.stack([x, y_of(curve)], axis=1).round().astype(np.int32)
        cv2.polylines(image, [points], False, _COLORS[start], 2, cv2.LINE_AA)
        for point in points:
            cv2.circle(image, (int(point[0]), int(point[1])), 3, _COLORS[start], -1, cv2.LINE_AA)
        _text(image, start, (PANEL[0] - 80, above + 14 + 16 * place), 0.42, _COLORS[start])
    return image


def _text(
    image: np.ndarray, text: str, place: tuple[int, int], scale: float, color: tuple[int, int, int] = _INK
) -> None:
    cv2.putText(image, text, place, cv2.FONT_HERSHEY_SIMPLEX, scale, color, 1, cv2.LINE_AA)

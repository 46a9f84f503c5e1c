"""Changes of light: those that the background can follow, and those after which it has to begin anew."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

LightChange = Literal["none", "followed", "anew"]

_NOTICED_LEVELS = 2.0
_LEAST_SAMPLES = 200
_DIFFERS_SHARE = 0.25
_STILL_DIFFERS_SHARE = 0.5
_ALL_DIFFERS_SHARE = 0.8
_UNEXPLAINED_SHARE = 0.12
"""Where all of the picture changed, so much that no curve explains is another light, not things that move."""
_DIFFERS_LEVELS = 10.0
_LINE_FITS = 3
_LEAST_OFF_LEVELS = 2.0
_ONE_COLOR_VARIANCE = 1.0
"""Squared levels: in a picture of one color, that is less, chroma is taken to be scaled and not shifted."""
_NO_COLOR = 128.0
_JUMP_LEVELS = 4.0
_DAZZLED_SECONDS = 1.0
"""After a jump of the light coding and exposure take a while to settle; what they do then is no motion."""
_FLICKERS = 2.5
_MOST_FLICKER_LEVELS = 12.0


@dataclass(frozen=True)
class Light:
    """What the light did between the background and a frame."""

    change: LightChange
    curves: np.ndarray | None = None
    """float32 (3, 256): luma, blue and red now for each level before, where `change` is ``followed``."""
    levels: float = 0.0
    """By how many grey levels most of the picture changed."""


class Dazzle:
    """Whether the light jumped lately; lamps that flicker all the time are no jump."""

    def __init__(self) -> None:
        self._until_seconds = -np.inf
        self._usual_levels = 0.0
        """By which the light changes from frame to frame."""

    def lasts(self, levels: float, seconds: float, step_seconds: float) -> bool:
        """For a frame at that time, in which the light changed by so many grey levels."""
        if levels > max(_JUMP_LEVELS, _FLICKERS * self._usual_levels):
            self._until_seconds = seconds + _DAZZLED_SECONDS
        share = 1.0 - float(np.exp(-step_seconds / _DAZZLED_SECONDS))
        self._usual_levels += share * (min(levels, _MOST_FLICKER_LEVELS) - self._usual_levels)
        return seconds < self._until_seconds


def light_change(picture: np.ndarray, colors: np.ndarray, known: np.ndarray) -> Light:
    """Compare points of a frame, uint8 (h, w, 3), with the background's colors, float32, where they are known.

    A jump of the exposure or of the white balance changes each luma and chroma to another, over the whole picture, and
    can be followed. A switch to infrared, or lamps that go on, change the picture so that no such curves explain it.
    """
    if np.count_nonzero(known) < _LEAST_SAMPLES:
        return Light("none")
    now, before = picture[known].astype(np.float32), colors[known]
    off = now[:, 0] - before[:, 0]
    shifted = abs(float(np.median(off))) > _NOTICED_LEVELS
    if not shifted and _differing(now, before) < _DIFFERS_SHARE:
        return Light("none")
    curves = np.stack([light_curve(before[:, 0], now[:, 0]), *(chroma_line(before[:, c], now[:, c]) for c in (1, 2))])
    lit = np.stack([curve[np.rint(before[:, channel]).astype(np.intp)] for channel, curve in enumerate(curves)], axis=1)
    left = _differing(now, lit)
    if left > _STILL_DIFFERS_SHARE or (left > _UNEXPLAINED_SHARE and _differing(now, before) > _ALL_DIFFERS_SHARE):
        return Light("anew", levels=255.0)
    better = left < 0.7 * _differing(now, before) or float(np.median(np.abs(now - lit))) < 0.7 * abs(np.median(off))
    return Light("followed", curves, abs(float(np.median(off)))) if better else Light("none")


def light_curve(before: np.ndarray, now: np.ndarray) -> np.ndarray:
    """Luma now for each luma before, float32 (256,), as most of the samples (N,) of the two have it; it never falls."""
    edges = np.unique(np.quantile(before, np.linspace(0, 1, 13)))
    bins = np.clip(np.searchsorted(edges, before, "right") - 1, 0, max(len(edges) - 2, 0))
    medians = [(float(np.median(before[bins == b])), float(np.median(now[bins == b]))) for b in np.unique(bins)]
    x, y = np.array(medians).T
    y = np.maximum.accumulate(y)
    levels = np.arange(256, dtype=np.float32)
    curve = np.interp(levels, x, y)
    # Beyond what was seen the change goes on as at the end.
    curve = np.where(levels < x[0], levels * (y[0] / max(x[0], 1.0)), curve)
    curve = np.where(levels > x[-1], levels + (y[-1] - x[-1]), curve)
    return np.clip(curve, 0, 255).astype(np.float32)


def chroma_line(before: np.ndarray, now: np.ndarray) -> np.ndarray:
    """Chroma now for each chroma before, float32 (256,): exposure scales it, white balance shifts it.

    A line, unlike luma's curve: few points of a picture are colorful, and they have to follow the others.
    """
    slope, shift = 1.0, float(np.median(now - before))
    for _ in range(_LINE_FITS):
        off = np.abs(now - slope * before - shift)
        agrees = off <= max(_LEAST_OFF_LEVELS, 3.0 * float(np.median(off)))
        x, y = before[agrees] - _NO_COLOR, now[agrees] - _NO_COLOR
        at = (float(x.mean()), float(y.mean())) if x.var() > _ONE_COLOR_VARIANCE else (0.0, 0.0)
        slope = float(np.mean((x - at[0]) * (y - at[1]))) / max(float(np.mean((x - at[0]) ** 2)), _ONE_COLOR_VARIANCE)
        shift = at[1] - slope * at[0] + (1.0 - slope) * _NO_COLOR
    return np.clip(slope * np.arange(256, dtype=np.float32) + np.float32(shift), 0, 255).astype(np.float32)


def _differing(one: np.ndarray, other: np.ndarray) -> float:
    luma, blue, red = (np.abs(one - other) > _DIFFERS_LEVELS).T
    return float(np.mean(luma | blue | red))

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
_DIFFERS_LEVELS = 10.0


@dataclass(frozen=True)
class Light:
    """What the light did between the background and a frame."""

    change: LightChange
    curve: np.ndarray | None = None
    """float32 (256,): luma now for each luma before, where `change` is ``followed``."""
    levels: float = 0.0
    """By how many grey levels most of the picture changed."""


def light_change(picture: np.ndarray, colours: np.ndarray, known: np.ndarray) -> Light:
    """Compare points of a frame, uint8 (h, w, 3), with the background's colours, float32, where they are known.

    A jump of the exposure changes each luma to another, over the whole picture, and can be followed. A switch to
    infrared, or lamps that go on, change the picture so that no such curve explains it.
    """
    if np.count_nonzero(known) < _LEAST_SAMPLES:
        return Light("none")
    now, before = picture[known].astype(np.float32), colours[known]
    off = now[:, 0] - before[:, 0]
    shifted = abs(float(np.median(off))) > _NOTICED_LEVELS
    if not shifted and _differing(now, before) < _DIFFERS_SHARE:
        return Light("none")
    curve = light_curve(before[:, 0], now[:, 0])
    lit = before.copy()
    lit[:, 0] = curve[np.clip(before[:, 0], 0, 255).astype(np.intp)]
    left = _differing(now, lit)
    if left > _STILL_DIFFERS_SHARE:
        return Light("anew", levels=255.0)
    better = left < 0.7 * _differing(now, before) or float(np.median(np.abs(now - lit))) < 0.7 * abs(np.median(off))
    return Light("followed", curve, abs(float(np.median(off)))) if better else Light("none")


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


def _differing(one: np.ndarray, other: np.ndarray) -> float:
    return float(np.mean(np.abs(one - other).max(axis=1) > _DIFFERS_LEVELS))

"""Changes of illumination: those that the background can follow, and those after which it has to begin anew.

Numbers without a source were chosen by hand; `python -m benchmarks.bench_motion_masks --only still` shows their effect.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import cv2
import numpy as np

from raftline.kernels.compiled import compiled

IlluminationChangeKind = Literal["none", "followed", "anew"]

_NOTICED_LEVELS = 2.0
"""Grey levels by which most of the image has to be brighter or darker."""
_LEAST_SAMPLES = 200
"""Known points that a curve of twelve bins needs."""
_DIFFERS_SHARE = 0.25
"""Of the points: where fewer differ, and most of the image is as bright as before, things move and nothing else."""
_STILL_DIFFERS_SHARE = 0.5
"""Of the points: where more differ after the curves are applied, no curve explains the change."""
_ALL_DIFFERS_SHARE = 0.8
_UNEXPLAINED_SHARE = 0.12
"""Where all of the image changed, so much that no curve explains is other illumination, not things that move."""
_DIFFERS_LEVELS, _DIFFERS_SIGMAS = 10.0, 3.5
"""Grey levels in luma or chroma, 5 sigma of a noise of 2; with more noise, so many sigmas of it."""
_LINE_FITS = 3
"""Fits of a line, each to the points that agree with the last one."""
_LEAST_OFF_LEVELS = 2.0
"""Grey levels by which a point that agrees with a fit may be off: rounding and coding."""
_ONE_COLOR_VARIANCE = 1.0
"""Squared levels: in an image of one color, that is less, chroma is taken to be scaled and not shifted."""
_NO_COLOR = 128.0
"""Chroma of grey."""
BLUE_SHARE, RED_SHARE = 0.492, 0.877
"""Of blue and red less luma, in the chroma of OpenCV's YUV. That of a decoded frame is 1 % more and 19 % less, as its
levels are: its colors are clipped a little earlier or later."""
_BINS = 12
"""Of luma, each with as many points; a curve has one support point in each."""
_BETTER = 0.7
"""Share of what differed that may be left for the curves to be worth following."""
_COLORS_DIFFER_SHARE = 0.06
"""Of the points: where as many differ, though most of the image is as bright as before, its colors may have changed."""
_CURVES_LEAVE_SHARE = 0.01
"""Of the points: where curves leave more of them different, a map of the colors may explain the change better."""
_COLORS_EVERY = 4
"""One sample in this many is enough to tell."""
_EXPLAINED_SHARE = 0.3
"""Of what differed: a map of the colors that leaves more of it, where less than `_DIFFERS_SHARE` does, is chance."""
_COLOR_FITS = 4
"""Fits of a map of the colors, each to the points that agree with the last one."""
_TYPICAL_PERCENTILE = 90.0
"""Of the points by how much they changed: a white balance leaves what is dark as it is."""
_UNKNOWN_LEVELS = 255.0
"""Stands for a change that cannot be told: more than any that can."""
_JUMP_LEVELS = 4.0
"""Grey levels from frame to frame: twice what is noticed at all."""
_SETTLING_SECONDS = 1.0
"""After a jump of the exposure, the camera's control and its coding take a while to settle; what they do then is no
motion."""
_FLICKERS = 2.5
"""A jump is a change this many times as large as usual."""
_MOST_FLICKER_LEVELS = 12.0
"""Larger changes do not count as usual: a jump must not blind the detector to the next one."""


@dataclass(frozen=True)
class IlluminationChange:
    """What the illumination did between the background and a frame."""

    kind: IlluminationChangeKind
    curves: np.ndarray | None = None
    """float32 (3, 256): luma, blue and red now for each level before; where `kind` is ``followed``, either these"""
    colors: np.ndarray | None = None
    """or float32 (3, 4): luma, blue and red now, each from a color before and a 1."""
    levels: float = 0.0
    """By how many grey levels most of the image changed; 255 where that cannot be told."""
    shift_levels: float = 0.0
    """Median of the change of luma, also where it tells little of the light."""


class ExposureTransient:
    """Whether the exposure jumped lately. Lamps that flicker all the time are no jump."""

    def __init__(self) -> None:
        self._until_seconds = -np.inf
        self._changed_seconds = -np.inf
        """When the illumination last changed at all."""
        self._usual_levels = 0.0
        """By which the illumination changes from frame to frame."""

    def settles(self, levels: float, seconds: float, step_seconds: float) -> bool:
        """Whether the exposure still settles, at the next frame.

        Args:
            levels: `IlluminationChange.levels`.
            seconds: The frame's time.
            step_seconds: Time since the frame before.
        """
        if levels > 0:
            self._changed_seconds = seconds
        if levels > max(_JUMP_LEVELS, _FLICKERS * self._usual_levels):
            self._until_seconds = seconds + _SETTLING_SECONDS
        share = 1.0 - float(np.exp(-step_seconds / _SETTLING_SECONDS))
        self._usual_levels += share * (min(levels, _MOST_FLICKER_LEVELS) - self._usual_levels)
        return seconds < self._until_seconds

    def full_state(self) -> dict[str, Any]:
        """All of it, as JSON values."""
        return dict(vars(self))

    def restore_full(self, state: Mapping[str, Any]) -> None:
        """Go on exactly where `full_state` was taken."""
        vars(self).update(state)

    def changed_lately(self, seconds: float) -> bool:
        """Whether the illumination has changed, within a second before a frame, or does now."""
        return seconds < self._changed_seconds + _SETTLING_SECONDS


def relit(earlier: np.ndarray, later: np.ndarray, every: int) -> np.ndarray:
    """Luma of a frame, uint8 (h, w), in the light of a later one; one point in `every` along each axis tells it."""
    before, now = (each[::every, ::every].ravel().astype(np.float32) for each in (earlier, later))
    return cv2.LUT(earlier, np.rint(luma_curve(before, now)).astype(np.uint8))


def illumination_change(
    image: np.ndarray, colors: np.ndarray, known: np.ndarray, noise_levels: float = 0.0
) -> IlluminationChange:
    """Compare points of a frame with the background's colors.

    A jump of the exposure or of the white balance maps each luma and chroma to another, over the whole image, and can
    be followed. A switch to infrared, or lamps that go on, change the image so that no such curves explain it.

    Args:
        image: uint8 (h, w, 3), luma and two of chroma.
        colors: float32 (h, w, 3), the background's.
        known: bool (h, w), where there is a background.
        noise_levels: Sigma of a frame's noise, grey levels.
    """
    counts, differs = np.zeros(4, np.int64), max(_DIFFERS_LEVELS, _DIFFERS_SIGMAS * noise_levels)
    _tally(image, colors, known, np.float32(differs), counts)
    samples, brighter, darker, differing = counts.tolist()
    as_bright = 2 * max(brighter, darker) <= samples - 2  # so is the median
    if samples < _LEAST_SAMPLES or (as_bright and differing <= _COLORS_DIFFER_SHARE * samples):
        return IlluminationChange("none")
    now, before = image[known].astype(np.float32), colors[known]
    if as_bright and differing < _DIFFERS_SHARE * samples:
        return _of_few_colors(before[::_COLORS_EVERY], now[::_COLORS_EVERY], differs)
    off = now[:, 0] - before[:, 0]
    shift = abs(float(np.median(off)))
    differed = _differing(now, before, differs)
    if shift <= _NOTICED_LEVELS and differed < _DIFFERS_SHARE:
        return _of_few_colors(before[::_COLORS_EVERY], now[::_COLORS_EVERY], differs)
    curves = np.stack([luma_curve(before[:, 0], now[:, 0]), *(chroma_line(before[:, c], now[:, c]) for c in (1, 2))])
    lit = np.stack([curve[np.rint(before[:, channel]).astype(np.intp)] for channel, curve in enumerate(curves)], axis=1)
    left = _differing(now, lit, differs)
    by_colors = _by_colors(before, now, _BETTER * left, differs) if left > _CURVES_LEAVE_SHARE else None
    if by_colors is not None:
        return by_colors
    if left > _STILL_DIFFERS_SHARE or (left > _UNEXPLAINED_SHARE and differed > _ALL_DIFFERS_SHARE):
        return IlluminationChange("anew", levels=_UNKNOWN_LEVELS, shift_levels=shift)
    better = left < _BETTER * differed or float(np.median(np.abs(now - lit))) < _BETTER * abs(np.median(off))
    if not better:
        return IlluminationChange("none")
    return IlluminationChange("followed", curves, levels=shift, shift_levels=shift)


def _of_few_colors(before: np.ndarray, now: np.ndarray, differs: float) -> IlluminationChange:
    """The change where most of the image is as before: things that move, or a white balance in a dark image."""
    found = _by_colors(before, now, _EXPLAINED_SHARE * _differing(now, before, differs), differs)
    return IlluminationChange("none") if found is None else found


def _by_colors(before: np.ndarray, now: np.ndarray, most_left: float, differs: float) -> IlluminationChange | None:
    """The change by a map of the colors (N, 3), if it leaves at most this share of the points different."""
    colors = color_map(before, now)
    lit = within_gamut(before @ colors[:, :3].T + colors[:, 3])
    left = _differing(now, lit, differs)
    if left > most_left or left > _UNEXPLAINED_SHARE:
        return None
    changed = np.abs(lit - before)
    levels = float(np.percentile(changed.max(axis=1), _TYPICAL_PERCENTILE))
    shift = abs(float(np.median(now[:, 0] - before[:, 0])))
    return IlluminationChange("followed", None, colors, levels, shift)


def within_gamut(colors: np.ndarray) -> np.ndarray:
    """Colors (N, 3), luma and two of chroma, without what red, green or blue have beyond black and white."""
    luma = colors[:, 0]
    blue, red = luma + (colors[:, 1] - _NO_COLOR) / BLUE_SHARE, luma + (colors[:, 2] - _NO_COLOR) / RED_SHARE
    green = (luma - 0.299 * red - 0.114 * blue) / 0.587
    red, green, blue = (np.clip(each, 0, 255) for each in (red, green, blue))
    luma = 0.299 * red + 0.587 * green + 0.114 * blue
    chroma = (BLUE_SHARE * (blue - luma) + _NO_COLOR, RED_SHARE * (red - luma) + _NO_COLOR)
    return np.clip(np.stack([luma, *chroma], axis=1), 0, 255)


def color_map(before: np.ndarray, now: np.ndarray) -> np.ndarray:
    """Colors now from those before, (N, 3) each, as most of them have it: float32 (3, 4), linear, and a shift.

    A white balance multiplies red, green and blue by a gain each: in luma and chroma, each depends on all three.
    """
    known = np.concatenate([before, np.ones((len(before), 1), np.float32)], axis=1).astype(np.float64)
    found, agrees = np.eye(3, 4), np.ones(len(before), bool)
    for _ in range(_COLOR_FITS):
        x, y = known[agrees], now[agrees]
        # A little of what was before, so that colors that were not seen do not turn into others.
        found = np.linalg.solve(x.T @ x + np.eye(4), x.T @ y + np.eye(4, 3)).T
        off = np.abs(known @ found.T - now).max(axis=1)
        agrees = off <= max(_LEAST_OFF_LEVELS, 3.0 * float(np.median(off)))
    return found.astype(np.float32)


def luma_curve(before: np.ndarray, now: np.ndarray) -> np.ndarray:
    """Luma now for each luma before, float32 (256,), as most of the samples (N,) of the two have it; it never falls."""
    edges = np.unique(np.quantile(before, np.linspace(0, 1, _BINS + 1)))
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

    A line, unlike luma's curve: few points of an image are colorful, and they have to follow the others.
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


@compiled
def _tally(image: Any, colors: Any, known: Any, differs: Any, counts: Any) -> None:
    """Counts known points: all; those brighter, and those darker, by more than is noticed; those of another color."""
    noticed = np.float32(_NOTICED_LEVELS)
    for i in range(known.shape[0]):
        for j in range(known.shape[1]):
            if not known[i, j]:
                continue
            luma = np.float32(image[i, j, 0]) - colors[i, j, 0]
            blue = np.float32(image[i, j, 1]) - colors[i, j, 1]
            red = np.float32(image[i, j, 2]) - colors[i, j, 2]
            counts[0] += 1
            counts[1] += luma > noticed
            counts[2] += luma < -noticed
            counts[3] += max(abs(luma), abs(blue), abs(red)) > differs


def _differing(one: np.ndarray, other: np.ndarray, differs: float) -> float:
    """Share of the colors (N, 3) that differ in luma or chroma by more than so many levels, 0-1."""
    luma, blue, red = (np.abs(one - other) > differs).T
    return float(np.mean(luma | blue | red))

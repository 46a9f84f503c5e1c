"""The loops over the points of a `GaussianMixture`. Those over a row vectorize: one result each, and no branches.

Each takes some rows: planes of an image, uint8 (h, w), luma first, and the mixture's numbers, float32 (h, POINT_FLOATS,
w). Numbers without a source were chosen by hand; `python -m benchmarks.bench_motion_masks` shows their effect.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from raftline.kernels.compiled import compiled
from raftline.masks.illumination import BLUE_SHARE, RED_SHARE

MODES = 3
"""Gaussians of a point: Stauffer and Grimson use 3 to 5."""
MODE_FLOATS = 5
POINT_FLOATS = 1 + MODES * MODE_FLOATS
"""Age in frames, then weight, three colors and variance of each mode, the heaviest first."""

SKIP, DOUBT, LEARN = 0, 1, 2
"""What a point does with a frame's color: nothing; learn it for want of a better one; learn it."""

STEPS_PER_SIGMA = 16
"""Of the uint8 distance: it resolves 1/16 sigma and ends at 16 sigma."""
_LEAST_VARIANCE, _FIRST_VARIANCE, _MOST_VARIANCE = 9.0, 16.0, 60.0
"""Squared grey levels. The least is what coding leaves of a noiseless image; a new mode has a sigma of 4 (as OpenCV's
MOG2 has, nearly: its first variance is 15); the most keeps a mode from covering every color."""
_MOST_RELIT_VARIANCE = 900.0
"""Squared grey levels, sigma 30: what was learned in the dark says no more once it is light."""
_FULL_AGE = 250.0
"""Frames: about the time constant of learning, after which a point knows no more."""
_MATCHED_SIGMAS = 3.5
"""A color within this of a mode belongs to it, over three channels; Stauffer and Grimson take 2.5 for one."""
_BACKGROUND_WEIGHT = 0.2
"""A mode with less weight is no background, but the heaviest."""
KNOWN_AGE = 2.0
"""Frames: what was seen twice is known."""
_DOUBTFUL_SHARE = 0.5
"""Of a frame, by which a point that is learned in doubt comes nearer to being known."""
_OLDEST = 1e6
"""Frames: counting goes no further."""
_YOUNG_AGE = 6.0
"""Frames in which a point takes up every color at the full rate: it knows none well."""
_NEAR_ENOUGH = 4.0
"""Squared sigmas: within 2 sigma of a mode, the others are not asked."""
_DARKEST_SHADOW = 0.3
"""Of the luma without shadow."""
_SHADOW_COLOR = 6.0
"""Chroma levels by which a shadow's color may be off."""
_NEW_SHARE = 0.25
"""How fast another color is taken up, against its own color, once a point has been seen for so many frames."""
_FASTEST_VARIANCE = 0.1
"""Share of a frame's squared deviation that the variance takes up at most, or the first frames would set it; and as
much, whatever its age, where other light made it larger than any."""


@compiled
def measure(luma: Any, blue: Any, red: Any, tolerance: Any, state: Any, found: Any, known: Any) -> None:
    """`GaussianMixture.mahalanobis` of some rows, into `found` and `known`. Loops over a row vectorize."""
    height, width = luma.shape
    least = np.empty(width, np.float32)
    for i in range(height):
        row = state[i]
        for j in range(width):
            y, u, v = np.float32(luma[i, j]), np.float32(blue[i, j]), np.float32(red[i, j])
            more = np.float32(tolerance[i, j]) * np.float32(tolerance[i, j])
            dy, du, dv = y - row[2, j], u - row[3, j], v - row[4, j]
            least[j] = (dy * dy + du * du + dv * dv) / (row[5, j] + more)
        for j in range(width):
            if least[j] < np.float32(_NEAR_ENOUGH) or row[0, j] < np.float32(KNOWN_AGE):
                continue
            y, u, v = np.float32(luma[i, j]), np.float32(blue[i, j]), np.float32(red[i, j])
            more = np.float32(tolerance[i, j]) * np.float32(tolerance[i, j])
            for mode in range(1, MODES):
                base = 1 + mode * MODE_FLOATS
                if row[base, j] < np.float32(_BACKGROUND_WEIGHT):
                    break
                dy, du, dv = y - row[base + 1, j], u - row[base + 2, j], v - row[base + 3, j]
                far = (dy * dy + du * du + dv * dv) / (row[base + 4, j] + more)
                least[j] = min(least[j], far)
                if least[j] < np.float32(_NEAR_ENOUGH):
                    break
        for j in range(width):
            is_known = row[0, j] >= np.float32(KNOWN_AGE)
            away = min(np.float32(255), np.float32(STEPS_PER_SIGMA) * np.sqrt(least[j]))
            known[i, j] = is_known
            found[i, j] = np.uint8(np.int32(away if is_known else np.float32(0)))


@compiled
def shade(luma: Any, blue: Any, red: Any, distance: Any, state: Any, found: Any, share: Any) -> None:
    """Points of the background's color and darker, as 255 into `found`; luma over the background's into `share`."""
    one, grey, far = np.float32(1), np.float32(128), np.float32(1e9)
    darkest, color, looked_at = np.float32(_DARKEST_SHADOW), np.float32(_SHADOW_COLOR), np.uint8(2 * STEPS_PER_SIGMA)
    height, width = luma.shape
    off = np.empty(width, np.float32)
    for i in range(height):
        row = state[i]
        for j in range(width):
            share[i, j] = np.float32(luma[i, j]) / (row[2, j] if row[2, j] > one else one)
        for j in range(width):
            du = abs(np.float32(blue[i, j]) - grey - share[i, j] * (row[3, j] - grey))
            dv = abs(np.float32(red[i, j]) - grey - share[i, j] * (row[4, j] - grey))
            off[j] = du if du > dv else dv
        for j in range(width):
            off[j] = off[j] if share[i, j] >= darkest else far
        for j in range(width):
            off[j] = off[j] if share[i, j] <= one else far
        for j in range(width):
            off[j] = off[j] if distance[i, j] >= looked_at else far
        for j in range(width):
            share[i, j] = share[i, j] if distance[i, j] >= looked_at else one
        for j in range(width):
            found[i, j] = np.uint8(255) if off[j] < color else np.uint8(0)


@compiled
def relight(curves: Any, state: Any) -> None:
    """Colors of all modes of some rows to what `curves` (3, 256) say, interpolated between levels.

    Where the first curve is steep, noise and rounding grow with the colors: variances by its square, and a point knows
    as little as after so many fewer frames.
    """
    for i in range(state.shape[0]):
        row = state[i]
        for j in range(row.shape[1]):
            at = min(max(int(row[2, j]), 1), 254)
            slope = np.float32((curves[0, at + 1] - curves[0, at - 1]) / 2)
            if slope > np.float32(1):
                row[0, j] = min(row[0, j], np.float32(_FULL_AGE)) / (slope * slope) + np.float32(KNOWN_AGE)
                for mode in range(MODES):
                    variance = row[5 + mode * MODE_FLOATS, j] * slope * slope
                    row[5 + mode * MODE_FLOATS, j] = min(variance, np.float32(_MOST_RELIT_VARIANCE))
        for mode in range(MODES):
            for channel in range(3):
                levels = state[i, 2 + channel + mode * MODE_FLOATS]
                for j in range(levels.shape[0]):
                    level = min(max(np.float64(levels[j]), 0.0), 255.0)
                    below = min(int(level), 254)
                    low, high = curves[channel, below], curves[channel, below + 1]
                    levels[j] = (high - low) * (level - below) + low


@compiled
def recolor(colors: Any, state: Any) -> None:
    """Colors of all modes of some rows to what `colors` (3, 4) make of them and a 1; noise grows with the luma."""
    growth = np.float32(max(colors[0, 0], 1.0) ** 2)
    for i in range(state.shape[0]):
        for mode in range(MODES):
            first = 2 + mode * MODE_FLOATS
            luma, blue, red, variance = state[i, first], state[i, first + 1], state[i, first + 2], state[i, first + 3]
            for j in range(luma.shape[0]):
                y, u, v = np.float64(luma[j]), np.float64(blue[j]), np.float64(red[j])
                lit = colors[0, 0] * y + colors[0, 1] * u + colors[0, 2] * v + colors[0, 3]
                bluer = colors[1, 0] * y + colors[1, 1] * u + colors[1, 2] * v + colors[1, 3] - 128.0
                redder = colors[2, 0] * y + colors[2, 1] * u + colors[2, 2] * v + colors[2, 3] - 128.0
                # No channel is brighter than white: what a gain lifts beyond that changes its color.
                b = min(max(lit + bluer / BLUE_SHARE, 0.0), 255.0)
                r = min(max(lit + redder / RED_SHARE, 0.0), 255.0)
                g = lit - (0.299 * redder / RED_SHARE + 0.114 * bluer / BLUE_SHARE) / 0.587
                lit = 0.299 * r + 0.587 * min(max(g, 0.0), 255.0) + 0.114 * b
                luma[j] = lit
                blue[j] = min(max(BLUE_SHARE * (b - lit) + 128.0, 0.0), 255.0)
                red[j] = min(max(RED_SHARE * (r - lit) + 128.0, 0.0), 255.0)
                variance[j] = min(variance[j] * growth, max(variance[j], np.float32(_MOST_RELIT_VARIANCE)))


@compiled
def learn_first(rate: Any, luma: Any, blue: Any, red: Any, how: Any, state: Any, left: Any) -> None:
    """Learn the points that match their first mode, most of them, by loops that vectorize; the others remain `left`."""
    none, one, known, doubtful = np.float32(0), np.float32(1), np.float32(KNOWN_AGE), np.float32(_DOUBTFUL_SHARE)
    near, oldest, fastest = np.float32(_MATCHED_SIGMAS**2), np.float32(_OLDEST), np.float32(_FASTEST_VARIANCE)
    least, most, skip, learn = np.float32(_LEAST_VARIANCE), np.float32(_MOST_VARIANCE), np.uint8(SKIP), np.uint8(LEARN)
    height, width = luma.shape
    square, alphas, parts = np.empty(width, np.float32), np.empty(width, np.float32), np.empty(width, np.float32)
    for i in range(height):
        row = state[i]
        for j in range(width):
            dy, du = np.float32(luma[i, j]) - row[2, j], np.float32(blue[i, j]) - row[3, j]
            dv = np.float32(red[i, j]) - row[4, j]
            square[j] = dy * dy + du * du + dv * dv
        for j in range(width):
            alphas[j] = max(rate, one / (row[0, j] + one))
        for j in range(width):
            alphas[j] = alphas[j] if row[1, j] > none else none
        for j in range(width):
            alphas[j] = alphas[j] if square[j] < near * row[5, j] else none
        for j in range(width):
            left[i, j] = alphas[j] == none and how[i, j] != skip
        for j in range(width):
            alphas[j] = alphas[j] if how[i, j] != skip else none
        for j in range(width):
            parts[j] = alphas[j] / max(row[1, j] + alphas[j] * (one - row[1, j]), alphas[j])
        for j in range(width):
            parts[j] = parts[j] if alphas[j] > none else none
        for j in range(width):
            row[2, j] += parts[j] * (np.float32(luma[i, j]) - row[2, j])
        for j in range(width):
            row[3, j] += parts[j] * (np.float32(blue[i, j]) - row[3, j])
        for j in range(width):
            row[4, j] += parts[j] * (np.float32(red[i, j]) - row[4, j])
        for j in range(width):
            before = row[5, j]
            share = parts[j] if parts[j] < fastest and before <= most else fastest
            share = share if parts[j] > none else none
            varied = before + share * (square[j] / np.float32(3) - before)
            varied = varied if varied > least else least
            highest = before if before > most else most
            varied = varied if varied < highest else highest
            row[5, j] = varied if alphas[j] > none else before
        for j in range(width):
            row[1, j] = row[1, j] * (one - alphas[j]) + alphas[j]
        for j in range(width):
            row[6, j] *= one - alphas[j]
        for j in range(width):
            row[11, j] *= one - alphas[j]
        for j in range(width):
            parts[j] = one if how[i, j] == learn else doubtful
        for j in range(width):
            parts[j] = parts[j] if row[0, j] < known or parts[j] == one else none
        for j in range(width):
            older = row[0, j] + parts[j] if row[0, j] + parts[j] < oldest else oldest
            row[0, j] = older if alphas[j] > none else row[0, j]


@compiled
def learn_left(rate: Any, luma: Any, blue: Any, red: Any, how: Any, state: Any, left: Any) -> None:
    """Learn the other points: match a mode or replace the lightest, adapt it, and keep the modes in order of weight."""
    one, near = np.float32(1), np.float32(_MATCHED_SIGMAS**2)
    for i in range(luma.shape[0]):
        row = state[i]
        for j in range(luma.shape[1]):
            if not left[i, j]:
                continue
            y, u, v = np.float32(luma[i, j]), np.float32(blue[i, j]), np.float32(red[i, j])
            age = row[0, j]
            alpha = max(rate, one / (age + one))
            young = age < np.float32(_YOUNG_AGE)
            if how[i, j] == LEARN:
                row[0, j] = min(age + one, np.float32(_OLDEST))
            elif age < np.float32(KNOWN_AGE):
                row[0, j] = age + np.float32(_DOUBTFUL_SHARE)
            matched = -1
            for mode in range(1, MODES):
                base = 1 + mode * MODE_FLOATS
                if row[base, j] <= 0:
                    break
                dy, du, dv = y - row[base + 1, j], u - row[base + 2, j], v - row[base + 3, j]
                far = dy * dy + du * du + dv * dv
                if far < near * row[base + 4, j]:
                    matched = mode
                    break
            if not young:
                alpha = max(rate, np.float32(_NEW_SHARE) * alpha)
            if matched < 0:
                matched = MODES - 1
                base = 1 + matched * MODE_FLOATS
                row[base, j] = 0
                row[base + 1, j], row[base + 2, j], row[base + 3, j] = y, u, v
                row[base + 4, j] = np.float32(_FIRST_VARIANCE)
            else:
                base = 1 + matched * MODE_FLOATS
                part = alpha / max(row[base, j] + alpha * (one - row[base, j]), alpha)
                dy, du, dv = y - row[base + 1, j], u - row[base + 2, j], v - row[base + 3, j]
                row[base + 1, j] += part * dy
                row[base + 2, j] += part * du
                row[base + 3, j] += part * dv
                spread = (dy * dy + du * du + dv * dv) / np.float32(3) - row[base + 4, j]
                varied = row[base + 4, j] + min(part, np.float32(_FASTEST_VARIANCE)) * spread
                highest = max(row[base + 4, j], np.float32(_MOST_VARIANCE))
                row[base + 4, j] = min(max(varied, np.float32(_LEAST_VARIANCE)), highest)
            for mode in range(MODES):
                row[1 + mode * MODE_FLOATS, j] *= one - alpha
            row[1 + matched * MODE_FLOATS, j] += alpha
            while matched > 0 and row[1 + matched * MODE_FLOATS, j] > row[1 + (matched - 1) * MODE_FLOATS, j]:
                upper, lower = 1 + (matched - 1) * MODE_FLOATS, 1 + matched * MODE_FLOATS
                for k in range(MODE_FLOATS):
                    row[upper + k, j], row[lower + k, j] = row[lower + k, j], row[upper + k, j]
                matched -= 1

"""Cubic interpolation along lines: how a row of the output crosses the image, as a chain of straight pieces.

Along a straight piece the 4 x 4 taps of a pixel come apart: the image is interpolated once down each of its columns, at
the line, and the output from those values along the line. That takes 8 taps a pixel instead of 16, and the columns, at
next to the same height, come from four rows that lie in memory as they are read.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from raftline.kernels.compiled import compiled

_ROWS_AT_ONCE = 32
"""Rows of the output between the two passes: their values, float32, fit into the second cache up to 8K."""
_MAX_SLOPE = 0.25
"""Steeper lines cross columns more than 3 % farther apart than pixels are."""
_STEP_RANGE = (0.1, 4.0)
"""Px of the image per px of the output. Beyond, the values of a line are too many or too few. Chosen by hand."""
_BLOCK = 16
"""Pixels of the output interpolated at once: two vectors of AVX2. Of 8 the compiler makes no vectors, 32 are no faster.
"""
_SPARE = 3
"""Columns by which the pixels of a block are at most off from lying side by side, and values before those of a line,
which a block may read and does not use."""
_NEAR_ONE = _SPARE / (_BLOCK - 1)
"""Distance of a step from 1 up to which that holds: 0.2."""


def crossed_by_lines(knots: np.ndarray, source_x: np.ndarray, source_y: np.ndarray) -> bool:
    """Tell whether `warp_lines` takes these pieces: forward, flat, and not tiny.

    Args:
        knots: (K,) as in `warp_lines`.
        source_x: (H, K) px.
        source_y: (H, K) px.
    """
    lengths = np.diff(knots)
    if not (lengths >= 1.0).all():
        return False
    step_x, step_y = np.diff(source_x, axis=1) / lengths, np.diff(source_y, axis=1) / lengths
    least, most = _STEP_RANGE
    # NaN compares as false.
    return bool(((step_x >= least) & (step_x <= most) & (np.abs(step_y) <= _MAX_SLOPE * step_x)).all())


def warp_lines(image: np.ndarray, knots: np.ndarray, source_x: np.ndarray, source_y: np.ndarray) -> np.ndarray:
    """Warp an image, cubic as OpenCV's, with the border's pixels repeated outside.

    Args:
        image: (H, W) uint8.
        knots: (K,) float64 px, from 0 to the last column or beyond: where in a row of the output pieces begin and end.
        source_x: (H, K) float64 px: column of the image that each knot of each row shows; linear in between.
        source_y: (H, K) float64 px: its row.

    Returns:
        (H, W) uint8.
    """
    height, width = image.shape
    firsts = np.ceil(knots).astype(np.int64)
    firsts[-1] = width
    image, warped = np.ascontiguousarray(image), np.empty((height, width), np.uint8)
    lengths = np.diff(source_x, axis=1)
    room = int(np.ceil(lengths.max())) + 8 + _SPARE + _BLOCK
    values = np.empty((_ROWS_AT_ONCE, len(knots) - 1, room), np.float32)
    near_one = np.abs(lengths / np.diff(knots) - 1.0).max() <= _NEAR_ONE
    interpolate_along = _interpolate_in_blocks if near_one else _interpolate_along
    for begin in range(0, height, _ROWS_AT_ONCE):
        rows = slice(begin, begin + _ROWS_AT_ONCE)
        _interpolate_down(image, firsts, knots, source_x[rows], source_y[rows], values)
        interpolate_along(values, firsts, knots, source_x[rows], warped[rows])
    return warped


@compiled(fastmath={"contract"})
def _interpolate_down(image: Any, firsts: Any, knots: Any, source_x: Any, source_y: Any, values: Any) -> None:
    """Interpolate image uint8 (h, w) at columns i that each piece needs, one before it to two after it.

    values[row, piece, _SPARE + i] is that of column floor(x) - 1 + i, for x of the piece's first pixel. Columns outside
    repeat the outermost one inside.
    """
    height, width = image.shape
    for row in range(source_x.shape[0]):
        for piece in range(knots.size - 1):
            length, pixels = knots[piece + 1] - knots[piece], firsts[piece + 1] - firsts[piece]
            step = (source_x[row, piece + 1] - source_x[row, piece]) / length
            slope = (source_y[row, piece + 1] - source_y[row, piece]) / length / step
            x = source_x[row, piece] + (firsts[piece] - knots[piece]) * step
            left, count = math.floor(x) - 1, math.floor(x + step * (pixels - 1)) - math.floor(x) + 4
            column, end = min(max(left, 0), width - 1), max(min(left + count, width), 1)
            end = max(end, column + 1)
            lead = min(max(column - left, 0), count)
            first, line = column, values[row, piece][_SPARE:]
            at = source_y[row, piece] - slope * source_x[row, piece]
            while column < end:
                y = at + slope * column
                i = math.floor(y)
                stop = end
                if slope != 0.0:  # where the line leaves these four rows
                    stop = math.ceil((i + 1 - at) / slope) if slope > 0.0 else math.floor((i - at) / slope) + 1
                    stop = min(max(stop, column + 1), end)
                far, down = np.float32(y - i), np.float32(slope)
                a, b = image[min(max(i - 1, 0), height - 1)], image[min(max(i, 0), height - 1)]
                c, d = image[min(max(i + 1, 0), height - 1)], image[min(max(i + 2, 0), height - 1)]
                a, b, c, d = a[column:stop], b[column:stop], c[column:stop], d[column:stop]
                found = line[lead + column - first : lead + stop - first]
                for k in range(stop - column):
                    t = far + down * np.float32(np.int32(k))
                    before, here, there, after = np.float32(a[k]), np.float32(b[k]), np.float32(c[k]), np.float32(d[k])
                    linear, fall = np.float32(0.75) * (there - before), here - there
                    cubic = np.float32(0.75) * (after - before) + np.float32(1.25) * fall
                    found[k] = ((cubic * t - (fall + linear + cubic)) * t + linear) * t + here
                column = stop
            line[:lead] = line[lead]
            line[lead + end - first : count] = line[lead + end - first - 1]


@compiled(fastmath={"contract"})
def _interpolate_along(values: Any, firsts: Any, knots: Any, source_x: Any, warped: Any) -> None:
    """Interpolate values float32 (rows, pieces, n) of `_interpolate_down` to pixels uint8 (rows, w)."""
    block = 128
    weights, places, sums = np.empty((4, block), np.float32), np.empty(block, np.uint32), np.empty(block, np.float32)
    before, here, there, after = weights[0], weights[1], weights[2], weights[3]
    for row in range(source_x.shape[0]):
        for piece in range(knots.size - 1):
            step = (source_x[row, piece + 1] - source_x[row, piece]) / (knots[piece + 1] - knots[piece])
            start = source_x[row, piece] + (firsts[piece] - knots[piece]) * step
            for begin in range(firsts[piece], firsts[piece + 1], block):
                pixels = min(block, firsts[piece + 1] - begin)
                x = start + step * (begin - firsts[piece])
                near = math.floor(x) - math.floor(start)
                far, along = np.float32(x - math.floor(x)), np.float32(step)
                for k in range(pixels):
                    t = far + along * np.float32(np.int32(k))
                    i = np.int32(t)
                    t -= np.float32(i)
                    u = np.float32(1.0) - t
                    places[k] = np.uint32(i)
                    before[k], after[k] = np.float32(-0.75) * t * u * u, np.float32(-0.75) * u * t * t
                    here[k] = (np.float32(1.25) * t - np.float32(2.25)) * t * t + np.float32(1.0)
                    there[k] = np.float32(1.0) - before[k] - here[k] - after[k]
                line = values[row, piece][_SPARE:]
                one, two, three, four = line[near:], line[near + 1 :], line[near + 2 :], line[near + 3 :]
                for k in range(pixels):
                    i = np.uint64(places[k])
                    sums[k] = before[k] * one[i] + here[k] * two[i] + there[k] * three[i] + after[k] * four[i]
                shown = warped[row, begin : begin + pixels]
                for k in range(pixels):
                    whole = min(max(sums[k] + np.float32(0.5), np.float32(0.0)), np.float32(255.0))
                    shown[k] = np.uint8(np.int32(whole))


@compiled(fastmath={"contract"})
def _interpolate_in_blocks(values: Any, firsts: Any, knots: Any, source_x: Any, warped: Any) -> None:
    """Do what `_interpolate_along` does, for steps near 1, in half of its time.

    Columns then grow by about one a pixel. So a block reads its values side by side, and each pixel takes four of the
    seven that are nearest. What a block writes beyond its piece, the next one overwrites.
    """
    sums = np.empty(warped.shape[1] + _BLOCK, np.float32)
    zero, one, two, three_quarters = np.float32(0.0), np.float32(1.0), np.float32(2.0), np.float32(0.75)
    for row in range(source_x.shape[0]):
        for piece in range(knots.size - 1):
            step = (source_x[row, piece + 1] - source_x[row, piece]) / (knots[piece + 1] - knots[piece])
            start = source_x[row, piece] + (firsts[piece] - knots[piece]) * step
            far, drift = start - math.floor(start), step - 1.0
            for k in range(0, firsts[piece + 1] - firsts[piece], _BLOCK):
                ahead = far + drift * k
                whole = math.floor(ahead) - (_SPARE if drift < 0.0 else 0)
                begin, along = np.float32(ahead - whole), np.float32(drift)
                near, found = values[row, piece][_SPARE + k + whole :], sums[firsts[piece] + k :]
                for i in range(_BLOCK):
                    t = begin + along * np.float32(np.int32(i))
                    # All seven are read whatever is taken: else the compiler makes no vectors.
                    p, q, r, s, u = near[i], near[i + 1], near[i + 2], near[i + 3], near[i + 4]
                    v, w = near[i + 5], near[i + 6]
                    by_two = t >= two
                    p, q, r, s = r if by_two else p, s if by_two else q, u if by_two else r, v if by_two else s
                    u = w if by_two else u
                    t -= two if by_two else zero
                    by_one = t >= one
                    a, b, c, d = q if by_one else p, r if by_one else q, s if by_one else r, u if by_one else s
                    t -= one if by_one else zero
                    linear, fall = three_quarters * (c - a), b - c
                    cubic = three_quarters * (d - a) + np.float32(1.25) * fall
                    found[i] = ((cubic * t - (fall + linear + cubic)) * t + linear) * t + b
        shown = warped[row]
        for k in range(shown.size):
            rounded = min(max(sums[k] + np.float32(0.5), np.float32(0.0)), np.float32(255.0))
            shown[k] = np.uint8(np.int32(rounded))

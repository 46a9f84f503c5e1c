"""How far the blocks of two aligned small frames are apart (Lucas and Kanade, 1981)."""

from __future__ import annotations

from typing import Any, NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from raftline.kernels.compiled import compiled

BLOCK = 8
"""Side of a block, px of the small frame. Each is measured with its neighbours: 24 px. Chosen by hand, as all here."""
_LEAST_TEXTURE = 1.0
"""Mean square of the slope along the weaker direction, (grey levels per px)², from which a block tells its motion."""
_SURE_TEXTURE, _DOUBT = 2.0, 0.05
"""Texture at which what a block tells counts half; weight against it of there being no shift."""
_UNSEEN = -1e6
"""Grey levels where the later frame shows nothing."""


class BlockShifts(NamedTuple):
    """What the blocks that have texture, and are in both frames, say."""

    places: npt.NDArray[np.float64]
    """(N, 3): x and y of the middle, from that of the frame, and 1; px."""
    shifts: npt.NDArray[np.float64]
    """(N, 2) px: how far they are off."""
    texture: npt.NDArray[np.float32]
    """(rows, columns), of all blocks; 0 where a block tells nothing."""

    @property
    def lengths(self) -> npt.NDArray[np.float64]:
        """(N,) px."""
        return np.hypot(*self.shifts.T)

    def field(self, most_px: float) -> npt.NDArray[np.float32]:
        """(rows, columns, 2) px: the shifts of no more than `most_px`, smoothed; 0 where nothing is told."""
        telling = self.texture > 0.0
        shown = np.zeros((*self.texture.shape, 3), np.float32)
        texture = self.texture[telling]
        sure = np.where(self.lengths <= most_px, texture / (texture + _SURE_TEXTURE), 0.0)
        shown[telling, :2], shown[telling, 2] = self.shifts * sure[:, None], sure
        shown = np.asarray(cv2.blur(shown, (3, 3)), np.float32)
        return (shown[..., :2] / (shown[..., 2:] + _DOUBT)).astype(np.float32)


def block_shifts(
    before: npt.NDArray[np.float32],
    after: npt.NDArray[np.float32],
    matrix: npt.NDArray[np.float64],
    field: npt.NDArray[np.float32] | None = None,
) -> BlockShifts:
    """Tell how far blocks are off a motion from one frame to the other, a change of brightness left out.

    Args:
        before, after: (h, w) grey levels.
        matrix: (3, 3) affine, px to px: the motion.
        field: (rows, columns, 2) px: what is known of how far blocks are off it; None: nothing.
    """
    height, width = before.shape
    there = _placed(after, matrix, field)
    middle = np.where(there < 0.5 * _UNSEEN, before, 0.5 * (before + there))
    rows, columns = height // BLOCK, width // BLOCK
    sums, shifts = np.empty((rows, columns, 9), np.float32), np.empty((rows, columns, 2), np.float32)
    texture = np.empty((rows, columns), np.float32)
    _sum_products(before, there, middle, sums)
    _solve(sums, height, width, shifts, texture)
    telling = texture > 0.0
    row, column = np.nonzero(telling)
    x, y = column * BLOCK + (BLOCK - width) / 2, row * BLOCK + (BLOCK - height) / 2
    return BlockShifts(np.stack([x, y, np.ones(len(x))], axis=1), shifts[telling].astype(np.float64), texture)


def _placed(
    after: npt.NDArray[np.float32], matrix: npt.NDArray[np.float64], field: npt.NDArray[np.float32] | None
) -> npt.NDArray[np.float32]:
    """The later frame where the earlier one has it."""
    height, width = after.shape
    if field is None:
        there = cv2.warpAffine(
            after, matrix[:2], (width, height), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
            borderMode=cv2.BORDER_CONSTANT, borderValue=_UNSEEN,
        )  # fmt: skip
        return np.asarray(there, np.float32)
    maps = np.empty((2, height, width), np.float32)
    _spread(field, matrix, maps)
    there = cv2.remap(after, maps[0], maps[1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT, borderValue=_UNSEEN)
    return np.asarray(there, np.float32)


@compiled
def _spread(field: Any, matrix: Any, maps: Any) -> None:
    """Write where each px (2, h, w) goes: by a field (rows, columns, 2) between the blocks' middles, then (3, 3)."""
    rows, columns = field.shape[:2]
    for i in range(maps.shape[1]):
        down = min(max((i - (BLOCK - 1) / 2) / BLOCK, 0.0), rows - 1.0)
        row = min(int(down), max(rows - 2, 0))
        below, lower = np.float32(down - row), min(row + 1, rows - 1)
        for j in range(maps.shape[2]):
            along = min(max((j - (BLOCK - 1) / 2) / BLOCK, 0.0), columns - 1.0)
            column = min(int(along), max(columns - 2, 0))
            right, further = np.float32(along - column), min(column + 1, columns - 1)
            x, y = np.float32(j), np.float32(i)
            for k in range(2):
                upper = field[row, column, k] * (1 - right) + field[row, further, k] * right
                under = field[lower, column, k] * (1 - right) + field[lower, further, k] * right
                shift = upper * (1 - below) + under * below
                x, y = (x + shift, y) if k == 0 else (x, y + shift)
            maps[0, i, j] = matrix[0, 0] * x + matrix[0, 1] * y + matrix[0, 2]
            maps[1, i, j] = matrix[1, 0] * x + matrix[1, 1] * y + matrix[1, 2]


@compiled
def _sum_products(earlier: Any, later: Any, middle: Any, sums: Any) -> None:
    """Sum over blocks (rows, columns, 9) of two aligned frames (h, w): slopes x and y of their mean `middle`,
    difference, the products xx, xy, yy, xd, yd, and how many px count: far below 0 the later one is not seen."""
    height, width = earlier.shape
    for row in range(sums.shape[0]):
        for column in range(sums.shape[1]):
            a = b = d = aa = ab = bb = ad = bd = np.float32(0.0)
            seen = 0
            for i in range(max(row * BLOCK, 1), min((row + 1) * BLOCK, height - 1)):
                for j in range(max(column * BLOCK, 1), min((column + 1) * BLOCK, width - 1)):
                    x = (middle[i, j + 1] - middle[i, j - 1]) * np.float32(0.5)
                    y = (middle[i + 1, j] - middle[i - 1, j]) * np.float32(0.5)
                    off = (earlier[i, j] - middle[i, j]) * np.float32(2.0)
                    seen += later[i, j] > np.float32(-1.0)
                    a += x
                    b += y
                    d += off
                    aa += x * x
                    ab += x * y
                    bb += y * y
                    ad += x * off
                    bd += y * off
            for at, value in enumerate((a, b, d, aa, ab, bb, ad, bd)):
                sums[row, column, at] = value
            sums[row, column, 8] = seen


@compiled
def _solve(sums: Any, height: Any, width: Any, shifts: Any, texture: Any) -> None:
    """Write the shift (rows, columns, 2) and texture (rows, columns) of each block with its neighbours in frames of
    height x width, a change of brightness left out; texture is 0 where it is too little or a px is not seen."""
    rows, columns = sums.shape[:2]
    each = np.empty(9, np.float64)
    for row in range(rows):
        for column in range(columns):
            each[:] = 0.0
            top, bottom = max(row - 1, 0), min(row + 2, rows)
            left, right = max(column - 1, 0), min(column + 2, columns)
            for i in range(top, bottom):
                for j in range(left, right):
                    for at in range(9):
                        each[at] += sums[i, j, at]
            down = min(bottom * BLOCK, height - 1) - max(top * BLOCK, 1)
            along = min(right * BLOCK, width - 1) - max(left * BLOCK, 1)
            count = each[8]
            texture[row, column] = 0.0
            if count < down * along:
                continue
            a, b, d = each[0] / count, each[1] / count, each[2] / count
            xx, xy, yy = each[3] / count - a * a, each[4] / count - a * b, each[5] / count - b * b
            xd, yd = each[6] / count - a * d, each[7] / count - b * d
            weaker = (xx + yy) / 2 - np.sqrt(((xx - yy) / 2) ** 2 + xy * xy)
            if weaker < _LEAST_TEXTURE:
                continue
            texture[row, column] = weaker
            shifts[row, column, 0] = (yy * xd - xy * yd) / (xx * yy - xy * xy)
            shifts[row, column, 1] = (xx * yd - xy * xd) / (xx * yy - xy * xy)

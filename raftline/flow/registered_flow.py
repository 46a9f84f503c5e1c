"""Flow of a frame that moves as one, measured on its pixels: no network is needed for that.

One affine motion is aligned on small frames (Lucas and Kanade, 1981), block by block, and each block says what is left
of it there. Where hardly any block is left with more than the flow of a small network would err by, that motion, with
what is left, is the flow; else parts of the frame move on their own, and nothing is said.

Constants without another reason were chosen by hand: on 23 steps each of five handheld and six made clips 95 % of the
blocks agree within the limit on 87 to 100 % of the steps of four handheld clips and where the scene is a plane, and on
0 to 4 % with two layers of depth, behind a large object and before a flapping bird.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any, NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from raftline.flow.grid import Cells, working_size
from raftline.flow.median import median
from raftline.flow.one_motion import affine_motion
from raftline.kernels.cell import CELL_PX
from raftline.kernels.compiled import compiled

_SIDES_PX = (160, 320)
"""Longer sides at which frames are aligned, coarse to fine. The first motion is looked for at the coarse one."""
_BLUR_PX = 0.8
"""Sigma of the Gaussian that keeps noise and aliasing out of the gradients."""
_BLOCK = 8
"""Side of a block, px of the small frame. Each is measured with its neighbours: 24 px."""
_LEAST_TEXTURE = 1.0
"""Mean square of the slope along the weaker direction, (grey levels per px)², from which a block tells its motion."""
_ROUNDS, _CONVERGED_PX = 3, 0.03
"""Steps of the affine motion at each size; the step of a corner, px of the small frame, at which they end."""
_REWEIGHTINGS, _TUKEY_SIGMAS, _LEAST_SIGMA_PX, _DAMPING = 3, 4.685, 0.05, 1e-6
"""Of the fit of a step to the blocks' shifts."""
_LEAST_BLOCKS = 40
"""That tell their motion, of 880 at 16:9."""
_AGREES_SHARE = 1 / 640
"""Of the longer side, up to which a block agrees: 1 px at 640 px, as in `one_motion`."""
_SAME_SHARE = 0.95
"""Of the blocks that have to agree. Others keep what is left of their motion at twice the limit, at most."""
_SURE_TEXTURE, _DOUBT = 2.0, 0.05
"""Texture at which what is left in a block counts half; weight against it of there being nothing left."""
_UNSEEN = -1e6
"""Grey levels where the later frame shows nothing."""
# OpenCV takes None for "allocate the result", which its type stubs do not say.
_NEW_ARRAY: Any = None


@dataclass(frozen=True)
class SmallFrame:
    """What is looked at of a frame."""

    height: int
    width: int
    """Of the frame, px."""
    coarse: npt.NDArray[np.uint8]
    """(h, w) luma at the coarse size."""
    levels: tuple[npt.NDArray[np.float32], ...]
    """(h, w) blurred luma at each size."""

    @classmethod
    def of(cls, luma: npt.NDArray[np.uint8]) -> SmallFrame:
        """That of luma, (H, W) uint8."""
        height, width = luma.shape
        fine = _resized(luma, _SIDES_PX[1])
        coarse = _resized(fine, _SIDES_PX[0])
        return cls(height, width, coarse, tuple(_blurred(each) for each in (coarse, fine)))


class _Blocks(NamedTuple):
    """What the blocks of two aligned frames say."""

    places: npt.NDArray[np.float64]
    """(N, 3): x and y of the middle, centred, and 1; px of the small frame."""
    shifts: npt.NDArray[np.float64]
    """(N, 2) px of the small frame: what is left of the motion."""
    texture: npt.NDArray[np.float32]
    """(rows, columns), of all blocks; 0 where a block tells nothing."""


def registered_flow(earlier: SmallFrame, later: SmallFrame, cells: Cells) -> npt.NDArray[np.float32] | None:
    """Measure the flow from one frame to the next, where they move as one.

    Args:
        earlier, later: of one size.
        cells: where the flow is wanted, on frames of that size.

    Returns:
        float32 (rows, columns, 2) px of the frames; None: parts move on their own, or too little has texture.
    """
    first = affine_motion(_look().calc(earlier.coarse, later.coarse, _NEW_ARRAY))
    if first is None:
        return None
    to_level = _to_level(earlier, earlier.levels[0])
    matrix, blocks = np.linalg.inv(to_level) @ first @ to_level, None
    for before, after in zip(earlier.levels, later.levels, strict=True):
        to_level = _to_level(earlier, before)
        aligned = _aligned(before, after, to_level @ matrix @ np.linalg.inv(to_level))
        if aligned is None:
            return None
        found, blocks = aligned
        matrix = np.linalg.inv(to_level) @ found @ to_level
    assert blocks is not None
    left = np.hypot(*blocks.shifts.T)
    limit = max(earlier.levels[-1].shape) * _AGREES_SHARE
    if float((left <= limit).mean()) < _SAME_SHARE:
        return None
    return _flow(matrix, _left_of(blocks, left, 2 * limit), to_level, cells)


@functools.cache
def _look() -> cv2.DISOpticalFlow:
    """A first look, right to a px or two of the coarse frame."""
    look = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_ULTRAFAST)
    look.setFinestScale(0)
    return look


def _aligned(
    before: npt.NDArray[np.float32], after: npt.NDArray[np.float32], matrix: npt.NDArray[np.float64]
) -> tuple[npt.NDArray[np.float64], _Blocks] | None:
    """The motion (3, 3), px of these small frames, from a first guess on, and what is left of it in their blocks."""
    height, width = before.shape
    for _ in range(_ROUNDS):
        blocks = _measured(before, after, matrix)
        if len(blocks.shifts) < _LEAST_BLOCKS:
            return None
        step = _step(blocks)
        matrix = matrix @ _as_matrix(step, width, height)
        blocks = blocks._replace(shifts=blocks.shifts - blocks.places @ step)
        corner = np.abs(step.T * (width / 2, height / 2, 1.0)).sum(axis=1).max()
        if corner < _CONVERGED_PX:
            break
    return matrix, blocks


def _measured(
    before: npt.NDArray[np.float32], after: npt.NDArray[np.float32], matrix: npt.NDArray[np.float64]
) -> _Blocks:
    height, width = before.shape
    there = cv2.warpAffine(
        after, matrix[:2], (width, height), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_CONSTANT, borderValue=_UNSEEN,
    )  # fmt: skip
    rows, columns = height // _BLOCK, width // _BLOCK
    sums, shifts = np.empty((rows, columns, 9), np.float32), np.empty((rows, columns, 2), np.float32)
    texture = np.empty((rows, columns), np.float32)
    middle = np.where(there < 0.5 * _UNSEEN, before, 0.5 * (before + there))
    _sum_products(before, there, middle, sums)
    _solve(sums, height, width, shifts, texture)
    telling = texture > 0.0
    row, column = np.nonzero(telling)
    x = column * _BLOCK + (_BLOCK - width) / 2
    y = row * _BLOCK + (_BLOCK - height) / 2
    return _Blocks(np.stack([x, y, np.ones(len(x))], axis=1), shifts[telling].astype(np.float64), texture)


def _step(blocks: _Blocks) -> npt.NDArray[np.float64]:
    """(3, 2): the affine motion, of places to shifts, of most blocks."""
    places, shifts = blocks.places, blocks.shifts
    weights = np.ones(len(places))
    step = np.zeros((3, 2))
    for _ in range(_REWEIGHTINGS):
        weighted = places * weights[:, None]
        step = np.linalg.solve(weighted.T @ places + _DAMPING * np.eye(3), weighted.T @ shifts)
        off = shifts - places @ step
        squared = np.einsum("nd,nd->n", off, off)
        sigma = max(float(np.sqrt(median(squared))) / 1.1774, _LEAST_SIGMA_PX)
        weights = np.maximum(1.0 - squared / (_TUKEY_SIGMAS * sigma) ** 2, 0.0) ** 2
    return step


def _as_matrix(step: npt.NDArray[np.float64], width: int, height: int) -> npt.NDArray[np.float64]:
    """(3, 3): places (x, y) px to places moved by a step."""
    matrix = np.eye(3)
    matrix[:2, :2] += step[:2].T
    matrix[:2, 2] = step[2] - step[:2].T @ ((width - 1) / 2, (height - 1) / 2)
    return matrix


def _left_of(blocks: _Blocks, left: npt.NDArray[np.float64], most: float) -> npt.NDArray[np.float32]:
    """(rows, columns, 2) px of the small frame: what is left of the motion, smoothed; 0 where nothing is told."""
    texture = blocks.texture
    shown = np.zeros((*texture.shape, 3), np.float32)
    telling = texture > 0.0
    sure = np.where(left <= most, texture[telling] / (texture[telling] + _SURE_TEXTURE), 0.0)
    shown[telling, :2], shown[telling, 2] = blocks.shifts * sure[:, None], sure
    shown = np.asarray(cv2.blur(shown, (3, 3)), np.float32)
    return shown[..., :2] / (shown[..., 2:] + _DOUBT)


def _flow(
    matrix: npt.NDArray[np.float64], left: npt.NDArray[np.float32], to_level: npt.NDArray[np.float64], cells: Cells
) -> npt.NDArray[np.float32]:
    """(rows, columns, 2) px: the motion (3, 3), and what is left of it."""
    x = CELL_PX * np.arange(cells.columns) + (CELL_PX - 1) / 2 - cells.left
    y = CELL_PX * np.arange(cells.rows) + (CELL_PX - 1) / 2 - cells.top
    scale = to_level[0, 0], to_level[1, 1]
    blocks = [
        ((at * scale[axis] + to_level[axis, 2] - (_BLOCK - 1) / 2) / _BLOCK).astype(np.float32)
        for axis, at in enumerate((x, y))
    ]
    more = cv2.remap(left, *np.meshgrid(*blocks), cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    here = np.stack(np.meshgrid(x, y), axis=-1)
    there = (here + more / scale) @ matrix[:2, :2].T + matrix[:2, 2]
    return (there - here).astype(np.float32)


def _to_level(frame: SmallFrame, level: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    """(3, 3): px of the frame to px of a small one; the areas of pixels coincide."""
    across, down = level.shape[1] / frame.width, level.shape[0] / frame.height
    return np.array([[across, 0.0, (across - 1) / 2], [0.0, down, (down - 1) / 2], [0.0, 0.0, 1.0]])


def _resized(luma: npt.NDArray[np.uint8], side_px: int) -> npt.NDArray[np.uint8]:
    size = working_size(*luma.shape, side_px)[::-1]
    return cv2.resize(luma, size, interpolation=cv2.INTER_AREA).astype(np.uint8, copy=False)


def _blurred(luma: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    return cv2.GaussianBlur(luma.astype(np.float32), (0, 0), _BLUR_PX).astype(np.float32, copy=False)


@compiled
def _sum_products(earlier: Any, later: Any, middle: Any, sums: Any) -> None:
    """Sum over blocks (rows, columns, 9) of two aligned frames (h, w): slopes x and y of their mean `middle`,
    difference, the products xx, xy, yy, xd, yd, and how many px count: far below 0 the later one is not seen."""
    height, width = earlier.shape
    for row in range(sums.shape[0]):
        for column in range(sums.shape[1]):
            a = b = d = aa = ab = bb = ad = bd = np.float32(0.0)
            seen = 0
            for i in range(max(row * _BLOCK, 1), min((row + 1) * _BLOCK, height - 1)):
                for j in range(max(column * _BLOCK, 1), min((column + 1) * _BLOCK, width - 1)):
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
            down = min(bottom * _BLOCK, height - 1) - max(top * _BLOCK, 1)
            along = min(right * _BLOCK, width - 1) - max(left * _BLOCK, 1)
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

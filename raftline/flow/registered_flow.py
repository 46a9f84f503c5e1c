"""Flow of a frame that moves as one, measured on its pixels: no network is needed for that.

One affine motion is aligned on small frames, block by block, and each block says how far it is off that. Where most are
within what the flow of a small network errs by, and hardly any is once the blocks have moved by what they said, that
is the flow; else parts of the frame move on their own, and nothing is said.

Constants without another reason were chosen by hand: they hold on 93 to 100 % of the steps of four handheld clips and
where the scene is a plane, on 19 % with two layers of depth, whose camera hardly moves there, and on 5 % behind a large
object.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from raftline.flow.block_shifts import BLOCK, BlockShifts, block_shifts
from raftline.flow.grid import Cells, to_level, working_size
from raftline.flow.median import median
from raftline.flow.one_motion import affine_motion
from raftline.kernels.cell import CELL_PX

_SIDES_PX = (160, 320)
"""Longer sides at which frames are aligned, coarse to fine. The first motion is looked for at the coarse one."""
_LEAST_SIDE_PX = 16
"""Shorter side of the coarse frame; OpenCV's look takes no less than 12."""
_BLUR_PX = 0.8
"""Sigma of the Gaussian that keeps noise and aliasing out of the gradients."""
_ROUNDS, _CONVERGED_PX = 3, 0.03
"""Steps of the affine motion at each size; the step of a corner, px of the small frame, at which they end."""
_REWEIGHTINGS, _TUKEY_SIGMAS, _LEAST_SIGMA_PX, _DAMPING = 3, 4.685, 0.05, 1e-6
"""Of the fit of a step to the blocks' shifts."""
_RAYLEIGH_MEDIAN = 1.1774
"""Median length of a two-dimensional Gaussian residual, in sigmas of one axis."""
_LEAST_BLOCKS = 40
"""That tell their motion, of 880 at 16:9."""
_AGREES_SHARE = 1 / 640
"""Of the longer side, up to which a block agrees: 1 px at 640 px, as in `one_motion`."""
_SAME_SHARE, _EXPLAINED_SHARE = 0.8, 0.95
"""Of the blocks that have to agree with one motion, as in `one_motion`; and with it and what they were off it."""
_MOST_OFF = 6.0
"""Times that limit up to which it is believed how far a block is off."""
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


class Registration:
    """Measures flow between frames that move as one. Not to be shared between threads."""

    def __init__(self) -> None:
        self._look = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_ULTRAFAST)
        """Right to a px or two of the coarse frame."""
        self._look.setFinestScale(0)

    def __call__(self, earlier: SmallFrame, later: SmallFrame, cells: Cells) -> npt.NDArray[np.float32] | None:
        """Measure the flow from one frame to the next.

        Args:
            earlier, later: of one size.
            cells: where the flow is wanted, on frames of that size.

        Returns:
            float32 (rows, columns, 2) px of the frames; None: parts move on their own, or too little has texture.
        """
        if min(earlier.coarse.shape) < _LEAST_SIDE_PX:
            return None
        looked = np.asarray(self._look.calc(earlier.coarse, later.coarse, _NEW_ARRAY), np.float32)
        first = affine_motion(looked)
        if first is None:
            return None
        to_small = _to_small(earlier, earlier.levels[0])
        matrix, blocks = np.linalg.inv(to_small) @ first @ to_small, None
        for before, after in zip(earlier.levels, later.levels, strict=True):
            to_small = _to_small(earlier, before)
            aligned = _aligned(before, after, to_small @ matrix @ np.linalg.inv(to_small))
            if aligned is None:
                return None
            found, blocks = aligned
            matrix = np.linalg.inv(to_small) @ found @ to_small
        assert blocks is not None
        limit_px = max(after.shape) * _AGREES_SHARE
        if _share(blocks, limit_px) < _SAME_SHARE:
            return None
        field = blocks.field(_MOST_OFF * limit_px)
        blocks = block_shifts(before, after, found, field)
        if len(blocks.shifts) < _LEAST_BLOCKS or _share(blocks, limit_px) < _EXPLAINED_SHARE:
            return None
        return _flow(matrix, field + blocks.field(limit_px), to_small, cells)


def _share(blocks: BlockShifts, limit_px: float) -> float:
    return float((blocks.lengths <= limit_px).mean())


def _aligned(
    before: npt.NDArray[np.float32], after: npt.NDArray[np.float32], matrix: npt.NDArray[np.float64]
) -> tuple[npt.NDArray[np.float64], BlockShifts] | None:
    """The motion (3, 3), px of these small frames, from a first guess on, and how far their blocks are off it."""
    height, width = before.shape
    for _ in range(_ROUNDS):
        blocks = block_shifts(before, after, matrix)
        if len(blocks.shifts) < _LEAST_BLOCKS:
            return None
        step = _step(blocks)
        matrix = matrix @ _as_matrix(step, width, height)
        blocks = blocks._replace(shifts=blocks.shifts - blocks.places @ step)
        corner = np.abs(step.T * (width / 2, height / 2, 1.0)).sum(axis=1).max()
        if corner < _CONVERGED_PX:
            break
    return matrix, blocks


def _step(blocks: BlockShifts) -> npt.NDArray[np.float64]:
    """(3, 2): the affine motion, of places to shifts, of most blocks."""
    places, shifts = blocks.places, blocks.shifts
    weights = np.ones(len(places))
    step = np.zeros((3, 2))
    for _ in range(_REWEIGHTINGS):
        weighted = places * weights[:, None]
        step = np.linalg.solve(weighted.T @ places + _DAMPING * np.eye(3), weighted.T @ shifts)
        off = shifts - places @ step
        squared = np.einsum("nd,nd->n", off, off)
        sigma = max(float(np.sqrt(median(squared))) / _RAYLEIGH_MEDIAN, _LEAST_SIGMA_PX)
        weights = np.maximum(1.0 - squared / (_TUKEY_SIGMAS * sigma) ** 2, 0.0) ** 2
    return step


def _as_matrix(step: npt.NDArray[np.float64], width: int, height: int) -> npt.NDArray[np.float64]:
    """(3, 3): places (x, y) px to places moved by a step."""
    matrix = np.eye(3)
    matrix[:2, :2] += step[:2].T
    matrix[:2, 2] = step[2] - step[:2].T @ ((width - 1) / 2, (height - 1) / 2)
    return matrix


def _flow(
    matrix: npt.NDArray[np.float64], field: npt.NDArray[np.float32], to_small: npt.NDArray[np.float64], cells: Cells
) -> npt.NDArray[np.float32]:
    """(rows, columns, 2) px: the motion (3, 3) after a field (rows, columns, 2) of blocks, px of the small frame."""
    x = CELL_PX * np.arange(cells.columns) + (CELL_PX - 1) / 2 - cells.left
    y = CELL_PX * np.arange(cells.rows) + (CELL_PX - 1) / 2 - cells.top
    scale = to_small[0, 0], to_small[1, 1]
    column, row = (
        ((at * scale[axis] + to_small[axis, 2] - (BLOCK - 1) / 2) / BLOCK).astype(np.float32)
        for axis, at in enumerate((x, y))
    )
    map_x, map_y = np.meshgrid(column, row)
    more = cv2.remap(field, map_x, map_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    here = np.stack(np.meshgrid(x, y), axis=-1)
    there = (here + more / scale) @ matrix[:2, :2].T + matrix[:2, 2]
    return (there - here).astype(np.float32)


def _to_small(frame: SmallFrame, level: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    """(3, 3): px of the frame to px of a small one."""
    return to_level(frame.width, frame.height, *level.shape[::-1])


def _resized(luma: npt.NDArray[np.uint8], side_px: int) -> npt.NDArray[np.uint8]:
    height, width = luma.shape
    size = working_size(height, width, side_px)[::-1]
    return cv2.resize(luma, size, interpolation=cv2.INTER_AREA).astype(np.uint8, copy=False)


def _blurred(luma: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    return cv2.GaussianBlur(luma.astype(np.float32), (0, 0), _BLUR_PX).astype(np.float32, copy=False)

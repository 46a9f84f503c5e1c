"""How much a frame differs from the one before it: not at all, a little, or altogether."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import cv2
import numpy as np
import numpy.typing as npt

from raftline.flow.block_means import block_means
from raftline.flow.median import median
from raftline.kernels.compiled import compiled
from raftline.raft.rgb import luma_of

Change = Literal["first", "duplicate", "continuous", "scene_cut", "resumed"]
"""``resumed``: the frame goes on from the one before the last, which was like neither of its neighbors."""

# Where no source is given, a constant was chosen by hand; the cuts and clips that it was tried on are in
# tests/raftline/flow/test_scene_change.py, see `dissimilarity`, and in tests/cases/test_false_cuts.py.
_BLOCK_PX = 16
"""Side of the blocks that duplicates are compared in: the size of a codec's macroblock."""
_THUMBNAIL = (128, 96)
"""Width and height, px: detail and noise are averaged away."""
_THUMBNAIL_BLOCK = 16
"""Side of a block of the thumbnail, px: 48 blocks."""
_SEARCH = 12
"""How far a block is searched for, px of the thumbnail: 9 % of the width."""
_LEAST_MATCH = 0.7
"""Normalised correlation above which a block counts as found."""
_FLAT_STD = 2.0
"""Standard deviation, grey levels, below which a block is flat: it has nothing to match."""
_NOISE_STDS = 2.0
"""A block that varies by less than this many times the noise cannot be told from noise."""
_LEAST_CUT_DIFFERENCE = 6.0
"""Mean difference of thumbnails, grey levels, up to which there is no cut: flow across such a cut would do no harm."""
_FINE_SIDE_PX = 320
"""Longer side of the image that a suspected cut is looked at in again: texture of a few px, which thumbnails of a frame
that moved by a fraction of their px show differently, is itself again there."""
_FINE_BLOCKS = (6, 8)
"""Rows and columns of blocks there, as of the thumbnail."""
_WHITE, _BLACK, _MOST_CLIPPED = 252.0, 3.0, 0.5
"""Grey levels from and up to which a px is burnt out or black, and the share of a block from which it tells nothing."""
_LEAST_TELLING = 0.25
"""Share of the blocks that must tell something."""

_SEEN = ("_last", "_before_cut")
"""Attributes of a `ChangeDetector` that hold a frame."""


@dataclass(frozen=True)
class _Seen:
    luma: npt.NDArray[np.uint8]
    thumbnail: npt.NDArray[np.float32]


class ChangeDetector:
    """Judges each frame against the last one that was not a duplicate.

    Comparing with that one, and not with the last frame seen, lets a slow drift add up until it counts.

    A cut is a change that stays, which is known one frame later: a frame that goes on from the one before the last is
    "resumed", and the "scene_cut" before it was a flash or a stray frame.

    Args:
        duplicates: grey levels, see `block_difference`; None finds no duplicates.
        scene_cut: 0 to 1, see `dissimilarity`; None finds no cuts.
    """

    def __init__(self, duplicates: float | None, scene_cut: float | None) -> None:
        self._duplicates = duplicates
        self._scene_cut = scene_cut
        self.reset()

    def judge(self, frame: npt.NDArray[np.uint8]) -> Change:
        """Judge a frame, uint8 RGB (H, W, 3) or luma (H, W). One of another size than the last one is "first"."""
        luma = luma_of(frame)
        last = self._last
        if last is None or last.luma.shape != luma.shape:
            self._last, self._before_cut = _Seen(luma, _thumbnail(luma)), None
            return "first"
        before_cut, self._before_cut = self._before_cut, None
        if self._duplicates is not None and block_difference(last.luma, luma) <= self._duplicates:
            return "duplicate"
        self._last = now = _Seen(luma, _thumbnail(luma))
        if not self._cut(last, now):
            return "continuous"
        if before_cut is not None and not self._cut(before_cut, now):
            return "resumed"
        self._before_cut = last
        return "scene_cut"

    def reset(self) -> None:
        """Forget the last frame."""
        self._last: _Seen | None = None
        self._before_cut: _Seen | None = None
        """The frame before a cut that the next frame may withdraw."""

    def full_state(self) -> dict[str, Any]:
        """Luma of the frames that the next is compared with: arrays, which are no copies."""
        return {name: None if seen is None else seen.luma for name, seen in vars(self).items() if name in _SEEN}

    def restore_full(self, state: Mapping[str, Any]) -> None:
        """Go on exactly where `full_state` was taken."""
        for name in _SEEN:
            luma = state[name]
            setattr(self, name, None if luma is None else _Seen(luma, _thumbnail(luma)))

    def _cut(self, earlier: _Seen, later: _Seen) -> bool:
        threshold = self._scene_cut
        if threshold is None or dissimilarity(earlier.thumbnail, later.thumbnail, threshold) <= threshold:
            return False
        return fine_dissimilarity(earlier.luma, later.luma, threshold) > threshold


def block_difference(luma1: npt.NDArray[np.uint8], luma2: npt.NDArray[np.uint8]) -> float:
    """Compute the largest mean absolute difference, in grey levels, over blocks of 16x16 px.

    The largest and not the mean over the image, so that one small moving object counts.
    """
    height, width = luma1.shape
    rows, columns = max(1, round(height / _BLOCK_PX)), max(1, round(width / _BLOCK_PX))
    return float(block_means(cv2.absdiff(luma1, luma2).astype(np.uint8, copy=False), rows, columns).max())


def dissimilarity(
    thumbnail1: npt.NDArray[np.float32], thumbnail2: npt.NDArray[np.float32], threshold: float | None = None
) -> float:
    """Compute the share of blocks, 0 to 1, of the later thumbnail that are not found nearby in the earlier one.

    Matching is by normalised correlation, so that neither a pan nor a jump in exposure counts as a cut. It is quick,
    and errs on one side: a cut scores 0.44 or more, but so does shaken texture of a few px, and a flash. What exceeds
    the threshold is to be looked at by `fine_dissimilarity`.

    Args:
        thumbnail1, thumbnail2: float32 (96, 128).
        threshold: what the share is to be compared with: once it cannot exceed that, the rest count as found. None: the
            exact share.
    """
    if float(np.abs(thumbnail1 - thumbnail2).mean()) < _LEAST_CUT_DIFFERENCE:
        return 0.0
    flat = max(_FLAT_STD, _NOISE_STDS * max(_noise_std(thumbnail1), _noise_std(thumbnail2)))
    blocks1, blocks2 = _blocks(thumbnail1), _blocks(thumbnail2)
    plain = blocks2.std(axis=(2, 3)) < flat
    lost = int((plain & (blocks1.std(axis=(2, 3)) > 2 * flat)).sum())
    # Most blocks move as the frame does: only the others are searched for.
    alone = ~plain & ~_found_at(thumbnail1, thumbnail2, *_coarse_shift(thumbnail1, thumbnail2))
    if threshold is None or lost + int(alone.sum()) > threshold * plain.size:
        alone &= ~_found_at(thumbnail1, thumbnail2, *_shift(thumbnail1, thumbnail2, _SEARCH))
    left = np.argwhere(alone)
    for at, (row, column) in enumerate(left):
        if threshold is not None and lost + len(left) - at <= threshold * plain.size:
            break
        y, x = row * _THUMBNAIL_BLOCK, column * _THUMBNAIL_BLOCK
        place = (slice(y, y + _THUMBNAIL_BLOCK), slice(x, x + _THUMBNAIL_BLOCK))
        lost += _is_lost(thumbnail1, thumbnail2, place, _SEARCH, flat)
    return lost / plain.size


def fine_dissimilarity(
    luma1: npt.NDArray[np.uint8], luma2: npt.NDArray[np.uint8], threshold: float | None = None
) -> float:
    """Compute the share of blocks, 0 to 1, of the later frame that are not found nearby in the earlier one.

    Blocks that are burnt out or black in either frame tell nothing, so that a flash is no cut. 1 where most are.

    Args:
        luma1, luma2: (H, W) uint8 of one size; compared at 320 px along the longer side at most.
        threshold: as in `dissimilarity`.
    """
    earlier, later = _fine(luma1), _fine(luma2)
    flat = max(_FLAT_STD, _NOISE_STDS * max(_noise_std(earlier), _noise_std(later)))
    reach = round(_SEARCH / _THUMBNAIL[0] * later.shape[1])
    places = [place for place in _places(later.shape) if not _is_clipped(later[place], earlier[place])]
    if len(places) < _LEAST_TELLING * _FINE_BLOCKS[0] * _FINE_BLOCKS[1]:
        return 1.0
    varied = [place for place in places if later[place].std() >= flat]
    lost = sum(earlier[place].std() > 2 * flat for place in places if later[place].std() < flat)
    for at, place in enumerate(varied):
        if threshold is not None and lost + len(varied) - at <= threshold * len(places):
            break
        lost += _is_lost(earlier, later, place, reach, flat)
    return lost / len(places)


def _is_clipped(*blocks: npt.NDArray[np.float32]) -> bool:
    """Whether most of a block is as bright or as dark as a frame can be, in any of the frames."""
    return any(float(((block >= _WHITE) | (block <= _BLACK)).mean()) > _MOST_CLIPPED for block in blocks)


def _fine(luma: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    scale = min(1.0, _FINE_SIDE_PX / max(luma.shape))
    size = (max(_FINE_BLOCKS[1], round(luma.shape[1] * scale)), max(_FINE_BLOCKS[0], round(luma.shape[0] * scale)))
    return cv2.resize(luma, size, interpolation=cv2.INTER_AREA).astype(np.float32)


def _places(shape: tuple[int, ...]) -> list[tuple[slice, slice]]:
    """Blocks of an image (h, w)."""
    down, along = (np.arange(count + 1) * length // count for count, length in zip(_FINE_BLOCKS, shape, strict=True))
    return [
        (slice(top, bottom), slice(left, right))
        for top, bottom in itertools.pairwise(down.tolist())
        for left, right in itertools.pairwise(along.tolist())
    ]


def _blocks(thumbnail: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """(96, 128) -> its blocks, (6, 8, 16, 16)."""
    height, width = thumbnail.shape
    shape = (height // _THUMBNAIL_BLOCK, _THUMBNAIL_BLOCK, width // _THUMBNAIL_BLOCK, _THUMBNAIL_BLOCK)
    return thumbnail.reshape(shape).swapaxes(1, 2)


def _shift(image1: npt.NDArray[np.float32], image2: npt.NDArray[np.float32], reach: int) -> tuple[int, int]:
    """Where the later image, as a whole, came from: px down and right, `reach` at most."""
    match = cv2.matchTemplate(image1, image2[reach:-reach, reach:-reach], cv2.TM_CCOEFF_NORMED)
    down, right = np.unravel_index(int(np.nan_to_num(match, nan=-1.0).argmax()), match.shape)
    return int(down) - reach, int(right) - reach


def _coarse_shift(thumbnail1: npt.NDArray[np.float32], thumbnail2: npt.NDArray[np.float32]) -> tuple[int, int]:
    """The same of two thumbnails to 2 px, in a fifteenth of the time."""
    size = (_THUMBNAIL[0] // 2, _THUMBNAIL[1] // 2)
    halves = (cv2.resize(each, size, interpolation=cv2.INTER_AREA) for each in (thumbnail1, thumbnail2))
    half1, half2 = (np.asarray(half, np.float32) for half in halves)
    down, right = _shift(half1, half2, _SEARCH // 2)
    return 2 * down, 2 * right


def _found_at(
    thumbnail1: npt.NDArray[np.float32], thumbnail2: npt.NDArray[np.float32], down: int, right: int
) -> npt.NDArray[np.bool_]:
    """bool (6, 8): the blocks of the later thumbnail that are in the earlier one, so many px away."""
    found = np.empty((_THUMBNAIL[1] // _THUMBNAIL_BLOCK, _THUMBNAIL[0] // _THUMBNAIL_BLOCK), np.bool_)
    _match(thumbnail1, thumbnail2, down, right, found)
    return found


def _is_lost(
    earlier: npt.NDArray[np.float32],
    later: npt.NDArray[np.float32],
    place: tuple[slice, slice],
    reach: int,
    flat: float,
) -> bool:
    """Whether a textured block of the later image is not in the earlier one, at most `reach` px away."""
    rows, columns = place
    around = earlier[
        max(0, rows.start - reach) : rows.stop + reach, max(0, columns.start - reach) : columns.stop + reach
    ]
    if around.std() < flat:
        return True
    match = cv2.matchTemplate(around, later[place], cv2.TM_CCOEFF_NORMED)
    return float(np.nan_to_num(match, nan=-1.0, posinf=-1.0, neginf=-1.0).max()) < _LEAST_MATCH


def _noise_std(thumbnail: npt.NDArray[np.float32]) -> float:
    """Estimate the noise from second differences in both directions, which smooth images do not have (Immerkaer, CVIU
    1996).

    The median and not the mean, so that edges do not count: 0.6745 is the median of the absolute value of a standard
    normal variable, 6 the norm of the kernel.
    """
    kernel = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]], np.float32)
    return median(np.abs(cv2.filter2D(thumbnail, -1, kernel))) / (0.6745 * 6)


def _thumbnail(luma: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    width, height = _THUMBNAIL
    if luma.shape[0] < height or luma.shape[1] < width:
        return cv2.resize(luma, _THUMBNAIL, interpolation=cv2.INTER_AREA).astype(np.float32)
    return block_means(luma, height, width)


@compiled
def _match(earlier: Any, later: Any, down: Any, right: Any, found: Any) -> None:
    """Tell whether blocks of later (H, W) correlate with earlier (H, W), so many px away: none beyond the frame."""
    side = _THUMBNAIL_BLOCK
    for row in range(found.shape[0]):
        for column in range(found.shape[1]):
            top, left = row * side, column * side
            found[row, column] = False
            if not (0 <= top + down <= earlier.shape[0] - side and 0 <= left + right <= earlier.shape[1] - side):
                continue
            one = other = one_squared = other_squared = both = 0.0
            for i in range(top, top + side):
                for j in range(left, left + side):
                    here, there = later[i, j], earlier[i + down, j + right]
                    one += here
                    other += there
                    one_squared += here * here
                    other_squared += there * there
                    both += here * there
            count = side * side
            both -= one * other / count
            energy = (one_squared - one * one / count) * (other_squared - other * other / count)
            found[row, column] = energy > 0.0 and both >= _LEAST_MATCH * np.sqrt(energy)

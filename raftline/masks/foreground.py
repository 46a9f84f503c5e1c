"""Where flow and background agree that something moves.

Shares are of the working grid's width, so that they do not depend on the frame's size. Numbers without a source were
chosen by hand; `python -m benchmarks.bench_motion_masks` shows their effect.
"""

from __future__ import annotations

import cv2
import numpy as np

from raftline.masks.gaussian_mixture import STEPS_PER_SIGMA
from raftline.masks.photometric_support import snapped

_MOST_SIGMAS = 6
"""What a single point can say: a bright edge must not shine over its neighbours."""
_WEAK_SIGMAS = 3.2
"""Of the mean distance over 3x3 points: enough where the flow moves. Noise alone gives 1.6 +- 0.2."""
_STRONG_SIGMAS = 4.5
"""Enough beside it, and, under a fixed camera, by itself."""
_RIM_SIGMAS = 2.8
"""Of a point at the rim by itself. Chosen by hand between 2.5 and 3.2 on a chance scene; CDnet highway shows its
effect: J 0.85 without it, 0.88 with it."""
_NEAR_SHARE = 0.012
"""How far around moving flow a weak distance counts: a cell of the flow grid at 640 points."""
_REACH_SHARE = 0.02
"""How far around that a strong distance is taken to be the same thing."""
_PLAIN_SHARE = 0.024
"""How wide a surface that looks like the background may be between parts that move."""
_EDGE_SHARE = 0.008
"""How far around what was found a weak distance completes it."""
_SAME_SHARE = 0.15
"""Of a part that looks unlike the background: if the flow moves in so much of it, all of it moves."""
_SMALL_HOLE_SHARE = 0.001
"""Of the frame: smaller holes are filled, larger ones are seen through. About the default `min_area`."""
_CHANGED_LEVELS = 5
"""Grey levels between means over 3x3 points: 7 sigma of a noise of 2."""
_FARTHEST_SHARE = 0.03
"""Nothing that is done with a mask reaches as far, nor 8 points."""
_GAP_POINTS = 5
"""Of a thing's parts, gaps up to this wide do not part them."""


def foreground(
    mean: np.ndarray,
    known: np.ndarray,
    flowing: np.ndarray,
    seen_moving: np.ndarray | None,
    changing: np.ndarray | None,
) -> tuple[np.ndarray, np.ndarray]:
    """Tell what moves from what merely looks unlike the background.

    Args:
        mean: uint8 (h, w), the `averaged` Mahalanobis distance from the background.
        known: bool (h, w), where there is a background.
        flowing: bool (h, w), where the flow moves, within a cell or so.
        seen_moving: bool (h, w), where two images show it, which decides where the background is unknown; None: it is
            known where it matters.
        changing: bool (h, w), where the image does, under a camera that stands: what a thing leaves behind when it goes
            away from where it was learned looks unlike the background, and stays as it is. None: the camera moves.

    Returns:
        Two masks, bool (h, w): what moves, and what else looks unlike the background.
    """
    wide = mean.shape[1]
    strong, moves = clearly_other(mean), np.zeros(mean.shape, bool)
    if not flowing.any():
        return moves, strong
    near = grown(flowing, _NEAR_SHARE * wide)
    beside = strong if changing is None else strong & grown(changing, _REACH_SHARE * wide / 2)
    seen = None if seen_moving is None else seen_moving & ~known
    place = surroundings(near | beside if seen is None else near | beside | seen, max(8, _FARTHEST_SHARE * wide))
    moves[place] = _moving(mean[place], near[place], beside[place], None if seen is None else seen[place], mean.shape)
    return moves, strong & ~moves


def _moving(
    mean: np.ndarray, near: np.ndarray, beside: np.ndarray, seen: np.ndarray | None, frame: tuple[int, ...]
) -> np.ndarray:
    """`foreground` of the part of a `frame` of (rows, columns) that holds everything of the masks, bool (h, w)."""
    wide = frame[1]
    weak = mean > _WEAK_SIGMAS * STEPS_PER_SIGMA
    core = snapped(near, weak, _PLAIN_SHARE * wide)
    if seen is not None:
        core |= seen
    moves = core | (beside & grown(core, _REACH_SHARE * wide)) | _reached(beside, core)
    moves |= weak & grown(moves, _EDGE_SHARE * wide)
    tidy = cv2.medianBlur(moves.astype(np.uint8), 5)
    return _without_small_holes(tidy, _SMALL_HOLE_SHARE * frame[0] * frame[1])


def trimmed(moves: np.ndarray, mahalanobis: np.ndarray, known: np.ndarray) -> np.ndarray:
    """What moves without the points of its rim that look like the background themselves.

    A mean over 3x3 points reaches one point outwards. Only for a camera that stands: under others, edges have a
    tolerance.

    Args:
        moves: bool (h, w).
        mahalanobis: uint8 (h, w), each point's own distance from the background.
        known: bool (h, w), where there is a background.
    """
    if not moves.any():
        return moves
    inside = cv2.erode(moves.view(np.uint8), np.ones((3, 3), np.uint8)) > 0
    return moves & (inside | ~known | (mahalanobis >= _RIM_SIGMAS * STEPS_PER_SIGMA))


def surroundings(mask: np.ndarray, points: float) -> tuple[slice, slice]:
    """Rows and columns of a mask, bool (h, w), and so many points to all sides."""
    x, y, width, height = cv2.boundingRect(mask.view(np.uint8))
    margin = int(np.ceil(points))
    return (slice(max(y - margin, 0), y + height + margin), slice(max(x - margin, 0), x + width + margin))


def clearly_other(mean: np.ndarray) -> np.ndarray:
    """bool (h, w): what looks unlike the background by far, by its `averaged` distance."""
    return mean > _STRONG_SIGMAS * STEPS_PER_SIGMA


def changing_points(previous: np.ndarray | None, image: np.ndarray) -> np.ndarray | None:
    """bool (h, w): where the image is not that of the frame before."""
    if previous is None:
        return None
    return cv2.absdiff(cv2.blur(image[..., 0], (3, 3)), cv2.blur(previous[..., 0], (3, 3))) > _CHANGED_LEVELS


def averaged(distance: np.ndarray) -> np.ndarray:
    """uint8 (h, w): `GaussianMixture.mahalanobis` distance, bounded, its mean over 3x3 points."""
    most = _MOST_SIGMAS * STEPS_PER_SIGMA
    return cv2.blur(cv2.threshold(distance, most, most, cv2.THRESH_TRUNC)[1], (3, 3))


def grown(mask: np.ndarray, points: float) -> np.ndarray:
    """A bool mask (h, w) and what lies within so many points of it along each axis, one at least."""
    radius = max(1, round(points))
    return cv2.dilate(mask.astype(np.uint8), np.ones((2 * radius + 1, 2 * radius + 1), np.uint8)) > 0


def _reached(strong: np.ndarray, core: np.ndarray) -> np.ndarray:
    """The parts of `strong` that hold enough of `core` to be the same thing, bool (h, w).

    Gaps do not part them: an arm that crosses something of its own color, a shadow that is a broken line.
    """
    joined = cv2.dilate(strong.astype(np.uint8), np.ones((_GAP_POINTS, _GAP_POINTS), np.uint8))
    count, found = cv2.connectedComponents(joined, connectivity=8)
    points = np.flatnonzero(strong)
    of = np.asarray(found, np.int32).ravel()[points]
    held = np.bincount(of[core.ravel()[points]], minlength=count)
    same = held >= _SAME_SHARE * np.bincount(of, minlength=count)
    reached = np.zeros(strong.shape, bool)
    reached.ravel()[points] = same[of]
    return reached


def _without_small_holes(mask: np.ndarray, most_area: float) -> np.ndarray:
    """uint8 (h, w) of 0 and 1, its holes of up to `most_area` points filled, as bool."""
    outlines, nesting = cv2.findContours(mask, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    filled = mask.copy()
    for outline, (_, _, _, parent) in zip(outlines, [] if nesting is None else nesting[0], strict=True):
        if parent >= 0 and cv2.contourArea(outline) <= most_area:
            cv2.drawContours(filled, [outline], -1, 1, thickness=cv2.FILLED)
    return filled > 0

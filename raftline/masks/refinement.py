"""Outlines by color: what looks like its region rather than like what lies around it belongs to the region.

Flow and background say where something moves, coarsely where the background is not known yet, shows depth, or was
learned with the thing in it. The frame itself tells the rest: colors of a region's inside against those around it.

Numbers without a source were chosen by hand; `python -m benchmarks.bench_motion_masks` shows their effect.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from raftline.kernels.compiled import compiled
from raftline.masks.color_models import AROUND, INSIDE, color_log_ratio
from raftline.masks.foreground import grown
from raftline.masks.gaussian_mixture import STEPS_PER_SIGMA

_BIAS, _EVIDENCE, _EVIDENCE_AROUND, _UNKNOWN, _FLOWING, _COLOR, _FOUND = -3.44, 0.36, 0.18, 1.82, 0.76, 0.97, 1.06
"""A logistic regression of the truth on what is known of a point. Tuned on dogs-jump, tennis, highway, a panned clip of
sprites, and three rendered cameras that follow. With each of these five kinds left out in turn, the weights of the
others draw it better by .03 to .2 of J than it was, but for tennis, whose shadow they leave out: hence `_TRUSTED`."""
_BELONGS = -0.3
"""Of the sum: a point belongs to the region from here on. Below 0, as a point that is missed costs J more than one too
many."""
_GUESSED_BIAS, _GUESSED_EVIDENCE, _GUESSED_UNKNOWN = -2.5, 0.6, 1.5
"""The same, chosen by hand, of a first guess, from which colors are counted again; the weight of color is 1."""
_TRUSTED = 2.0 * STEPS_PER_SIGMA
"""Mean over 7x7 points: what is so much unlike a background that can be trusted stays, whatever its color: shadows, and
clothes of the background's color."""
_APART, _NEAR, _AROUND, _RIM = 5, 12, 25, 3
"""Points: parts of a region may lie twice so far apart; how far outside of it points may come to belong to it; how far
its surroundings reach; and how far within and outside of its outline a point may be of either side."""
_LEAST_INSIDE = 50
"""Points, fewer of which tell no colors."""
_MOST_REGIONS = 8
"""Of a frame, the largest: the others stay as they are, for the time it takes."""


@dataclass(frozen=True)
class Evidence:
    """What is known of each point of a frame, (h, w)."""

    image: np.ndarray
    """uint8 (h, w, 3), luma and two of chroma."""
    distance: np.ndarray
    """uint8, the `averaged` Mahalanobis distance from the background."""
    known: np.ndarray
    """bool, where there is a background."""
    flowing: np.ndarray
    """bool, where the flow moves."""

    def at(self, place: tuple[slice, slice]) -> Evidence:
        """The same of a part of the frame."""
        return Evidence(self.image[place], self.distance[place], self.known[place], self.flowing[place])


def refined(moves: np.ndarray, evidence: Evidence, trusted: bool) -> np.ndarray:
    """Draw the outlines of what moves by the colors of its regions.

    Args:
        moves: bool (h, w).
        evidence: Of the same points.
        trusted: The background is right where it is known. Not so under a camera that moves through depth, which no
            plane registers.

    Returns:
        bool (h, w).
    """
    found = moves.copy()
    for place, own in _regions(moves):
        drawn = _drawn(moves[place], own, evidence.at(place), trusted)
        if drawn is not None:
            near, belongs = drawn
            part = found[place]
            part[near] = belongs[near] | (part & ~own)[near]
    return found


def _regions(moves: np.ndarray) -> Iterator[tuple[tuple[slice, slice], np.ndarray]]:
    """The largest regions: their place in the frame, surroundings included, and which points there are theirs."""
    side = 2 * _APART + 1
    joined = cv2.dilate(moves.view(np.uint8), np.ones((side, side), np.uint8))
    _, labels, stats, _ = cv2.connectedComponentsWithStats(joined, connectivity=8)
    areas = stats[1:, cv2.CC_STAT_AREA]
    for at in (np.argsort(-areas, kind="stable")[:_MOST_REGIONS] + 1).tolist():
        x, y, width, height = stats[at, :4].tolist()
        place = (slice(max(y - _AROUND, 0), y + height + _AROUND), slice(max(x - _AROUND, 0), x + width + _AROUND))
        yield place, (labels[place] == at) & moves[place]


def _drawn(
    moves: np.ndarray, own: np.ndarray, evidence: Evidence, trusted: bool
) -> tuple[np.ndarray, np.ndarray] | None:
    """Of a region's place: which points are near it, and which belong to it; None: too small to tell its colors."""
    inside = _shrunk(own, _RIM)
    if np.count_nonzero(inside) < _LEAST_INSIDE:
        return None
    others = moves & ~own
    outside_px = cv2.distanceTransform((~own).view(np.uint8), cv2.DIST_L2, 3)
    near, around = (outside_px <= _NEAR) & ~others, (outside_px <= _AROUND) & ~others
    distance = evidence.distance * evidence.known.view(np.uint8)
    widely = cv2.blur(distance, (7, 7))
    color = color_log_ratio(evidence.image, _kinds(inside, around & (outside_px > _RIM)))
    likely = np.empty(moves.shape, bool)
    _guess(cv2.blur(color, (5, 5)), widely, evidence.known, near, likely)
    kinds = _kinds(_shrunk(likely, 1), around & ~grown(likely, _RIM))
    color = cv2.blur(color_log_ratio(evidence.image, kinds), (3, 3))
    flowing, found = _share(evidence.flowing, 9), _share(moves, 13)
    total = np.empty(moves.shape, np.float32)
    _weigh(color, distance, widely, evidence.known, flowing, found, total)
    belongs = cv2.medianBlur((cv2.blur(total, (3, 3)) > _BELONGS).view(np.uint8), 5) > 0
    return near, belongs | (own & ((widely > _TRUSTED) | ~evidence.known)) if trusted else belongs


def _kinds(inside: np.ndarray, around: np.ndarray) -> np.ndarray:
    return np.where(inside, np.uint8(INSIDE), np.where(around, np.uint8(AROUND), np.uint8(0)))


def _share(mask: np.ndarray, size: int) -> np.ndarray:
    """uint8 (h, w): how much of the points around each are in a bool mask, 255 for all of them."""
    return cv2.blur(np.uint8(255) * mask.view(np.uint8), (size, size))


@compiled
def _guess(color: Any, widely: Any, known: Any, near: Any, likely: Any) -> None:
    """Which points of those near belong to the region at a first look."""
    per_step = np.float32(_GUESSED_EVIDENCE / STEPS_PER_SIGMA)
    for i in range(color.shape[0]):
        for j in range(color.shape[1]):
            total = color[i, j] + np.float32(_GUESSED_BIAS) + per_step * np.float32(widely[i, j])
            total += np.float32(0) if known[i, j] else np.float32(_GUESSED_UNKNOWN)
            likely[i, j] = near[i, j] and total > np.float32(0)


@compiled
def _weigh(color: Any, distance: Any, widely: Any, known: Any, flowing: Any, found: Any, total: Any) -> None:
    """The sum of all that is known of each point."""
    here, around = np.float32(_EVIDENCE / STEPS_PER_SIGMA), np.float32(_EVIDENCE_AROUND / STEPS_PER_SIGMA)
    flows, moves = np.float32(_FLOWING / 255), np.float32(_FOUND / 255)
    for i in range(total.shape[0]):
        for j in range(total.shape[1]):
            first = np.float32(_BIAS) if known[i, j] else np.float32(_BIAS + _UNKNOWN)
            first += np.float32(_COLOR) * color[i, j] + here * np.float32(distance[i, j])
            first += around * np.float32(widely[i, j])
            total[i, j] = first + flows * np.float32(flowing[i, j]) + moves * np.float32(found[i, j])


def _shrunk(mask: np.ndarray, points: int) -> np.ndarray:
    """A bool mask (h, w) without what lies within so many points of its outline along an axis; the rim is none."""
    return cv2.erode(mask.view(np.uint8), np.ones((2 * points + 1, 2 * points + 1), np.uint8)).view(bool)

"""Two layers followed from small picture to small picture, backwards in time: the world, and what lies before it.

Which parts of the last picture are the world is known. From there on back, each layer's part is aligned with the
picture before, and each px of that is the layer's under whose motion the two agree. Where the layers move alike,
nothing is learned, and the parts go along.

Constants without another reason were tuned by hand on `python -m benchmarks.stabilizing.foregrounds`.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from raftline.camera.direct_alignment import Alignment, align
from raftline.camera.layer_order import labels_of
from raftline.camera.luma_pyramid import LumaPyramid
from raftline.camera.plane_models import PLANE_MODELS
from raftline.camera.transforms import frame_corners, transform_points
from raftline.camera.world_motion import searched
from raftline.kernels.cell import CELL_PX

_SCALE = 2
"""Px of the walk's own frames in one of a picture: trust is told by cells of `CELL_PX`, here 4 px of a picture."""
_BLUR_PX = 0.8
"""Sigma of the Gaussian over the coarse level, as in `luma_pyramid`."""
_MOST_ERROR_PX = 0.15
"""Of a picture: expected error of the corners up to which a layer's motion is known."""
_AS_WELL, _SEARCHED, _MOST_SIGMA = 1.0, 1.1, 2.0
"""Sigma, in the usual one, up to which no other guess is looked at; from which a shift is searched for; and up to which
a motion is believed."""
_SLACK = 1.2
"""Of the first two, for the layer that is not the world: it only tells where the world is."""
_MORE_SHARE, _LESS_SHARE = 0.1, 0.5
"""Of what a sigma is more, and less, than the usual one, taken over by that."""
_SAME_PX = 0.2
"""Of a picture: guesses that are as near to each other lead to the same."""
_LEARNED_SHARE = 0.4
"""Of its belief that a px gives up for what two pictures tell."""
_APART_PX = 0.5
"""Of a picture: layers that move apart by as much are told from each other."""
_LEAST_OFF_PX = 0.25
"""Of a picture: a motion that is off by less stays; it was measured on the frames themselves."""
_SAYS = 0.12
"""Share of what two motions foretell differently by which the picture must speak against the recorded one. Of 150 that
were off, 2 of those above had been right, and 8 of those below wrong."""


_FIRST_STEPS = 5
"""In which the record is right, being what made the world known, and the belief, of one frame, settles. Without them 6
frames of a wide sweep at 640x360 changed to the other layer."""


@dataclass(frozen=True)
class WalkStep:
    """One step back."""

    found: bool
    """The world was found in the picture."""
    lost: bool = False
    """It was not, and something moves before it: nothing is known from there on."""
    correction: np.ndarray | None = None
    """(3, 3) px of a picture: by what the world moved more than was recorded; None: the record stays."""
    tells: bool = False
    """The layers move apart, so that a right record is right by more than chance."""


class BackwardWalk:
    """Walks back from a picture whose world is known."""

    def __init__(self, picture: np.ndarray, world: np.ndarray) -> None:
        """Begin.

        Args:
            picture: (h, w) uint8: the last one.
            world: (rows, columns) 0-1: belief that its cells, of any grid, show the world.
        """
        rows, columns = picture.shape
        self._later = _pyramid(picture)
        self._belief = cv2.resize(world.astype(np.float32), (columns, rows), interpolation=cv2.INTER_LINEAR)
        self._steps = 0
        self._world, self._other = _Layer(1.0), _Layer(_SLACK)
        self._offset = self._apart = np.eye(3)
        """(3, 3) px: by what the world moved more than was recorded, and the other layer more than the world, in the
        step that follows."""
        self._corners = frame_corners(_SCALE * columns, _SCALE * rows)
        scale = np.diag([_SCALE, _SCALE, 1.0])
        scale[:2, 2] = (_SCALE - 1) / 2
        self._from_picture, self._to_picture = scale, np.linalg.inv(scale)

    def back(self, picture: np.ndarray, recorded: np.ndarray) -> WalkStep:
        """Take a step.

        Args:
            picture: (h, w) uint8: the one before the last that was seen.
            recorded: (3, 3) px of a picture: the motion from it to that one, as it was taken for the world's.
        """
        earlier, self._steps = _pyramid(picture), self._steps + 1
        recorded = self._from_picture @ recorded @ self._to_picture
        trust = _cells(np.clip(2 * self._belief - 1, 0, 1))
        starts = self._distinct(recorded, self._offset @ recorded, np.linalg.inv(self._apart) @ recorded)
        world = self._world.follow(self._later, earlier, starts, trust)
        if world is None:
            self._carry(earlier, recorded, recorded)
            return WalkStep(False, lost=self._off_px(self._apart, np.eye(3)) > _APART_PX)
        off = self._off_px(recorded, world) > _LEAST_OFF_PX
        if off and (self._steps <= _FIRST_STEPS or self._says(earlier, recorded, world, trust) <= _SAYS):
            off, world = False, recorded
        starts = self._distinct(self._apart @ world, recorded)
        other = self._other.follow(self._later, earlier, starts, _cells(np.clip(1 - 2 * self._belief, 0, 1)))
        self._offset = world @ np.linalg.inv(recorded)
        if other is not None:
            self._apart = other @ np.linalg.inv(world)
        self._carry(earlier, world, self._apart @ world)
        correction = self._to_picture @ self._offset @ self._from_picture if off else None
        tells = other is not None and self._off_px(other, world) > _APART_PX
        return WalkStep(True, correction=correction, tells=tells)

    def _says(self, earlier: LumaPyramid, recorded: np.ndarray, world: np.ndarray, trust: np.ndarray) -> float:
        """Return how far a picture is what the `world`'s motion foretells, and not what was recorded, -1 to 1."""
        trusted = cv2.resize(trust, self._belief.shape[::-1])
        foretold, weight = [], np.ones_like(trusted)
        for motion in (recorded, world):
            image, reaches = self._moved(self._later.levels[-1], motion)
            foretold.append(image)
            weight *= self._moved(trusted, motion)[0] * reaches
        differ = np.abs(foretold[0] - foretold[1])
        off = [np.abs(each - earlier.levels[-1]) for each in foretold]
        says = weight * np.clip(off[0] - off[1], -differ, differ)
        return float(says.sum() / max(float((weight * differ).sum()), 1e-6))

    def _carry(self, earlier: LumaPyramid, world: np.ndarray, other: np.ndarray) -> None:
        """Take the belief to the earlier picture, and learn what that tells."""
        belief = np.minimum(self._moved(self._belief, world)[0], self._moved(self._belief, other)[0])
        back = np.stack([np.linalg.inv(world), np.linalg.inv(other)])
        label = labels_of(_fine(self._later), _fine(earlier), back)
        sure = _LEARNED_SHARE * np.abs(label) * min(1.0, self._off_px(world, other) / _APART_PX)
        self._belief, self._later = belief * (1 - sure) + sure * (label < 0), earlier

    def _distinct(self, *motions: np.ndarray) -> list[np.ndarray]:
        """Return motions without those that lead where another one does."""
        found: list[np.ndarray] = []
        for motion in motions:
            if all(self._off_px(motion, each) > _SAME_PX for each in found):
                found.append(motion)
        return found

    def _off_px(self, one: np.ndarray, other: np.ndarray) -> float:
        """Return how far two motions lead apart at the corners, rms, px of a picture."""
        off = transform_points(one, self._corners) - transform_points(other, self._corners)
        return float(np.sqrt((off**2).sum(axis=-1).mean())) / _SCALE

    def _moved(self, image: np.ndarray, motion: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Move a later picture (h, w) to the earlier one's place; also where (h, w) bool it reaches."""
        back = self._to_picture @ np.linalg.inv(motion) @ self._from_picture
        size, linear = image.shape[::-1], cv2.INTER_LINEAR
        reaches = cv2.warpPerspective(np.ones_like(image), back, size, flags=linear)
        return cv2.warpPerspective(image, back, size, flags=linear, borderMode=cv2.BORDER_REPLICATE), reaches > 0.99


class _Layer:
    """Follows one layer, and knows how well that goes."""

    def __init__(self, slack: float) -> None:
        self._slack = slack
        self._usual: float | None = None
        """Grey levels: sigma that its motions leave."""

    def follow(
        self, later: LumaPyramid, earlier: LumaPyramid, starts: list[np.ndarray], trust: np.ndarray
    ) -> np.ndarray | None:
        """Return its motion (3, 3) from the earlier picture to the later, by several guesses; None: not known."""
        best, usual = None, self._usual or np.inf
        for start in starts:
            best = _better(best, _aligned(later, earlier, np.linalg.inv(start), trust))
            if best is not None and best.sigma < _AS_WELL * self._slack * (self._usual or 0.0):
                break
        if best is None or self._usual is None or best.sigma > _SEARCHED * self._slack * usual:
            shift = searched(later, earlier, trust, np.eye(3))
            best = _better(best, _aligned(later, earlier, shift, trust))
        if best is None or best.sigma > _MOST_SIGMA * usual:
            return None
        if self._usual is None:
            self._usual = best.sigma
        self._usual += (_MORE_SHARE if best.sigma > self._usual else _LESS_SHARE) * (best.sigma - self._usual)
        motion = np.linalg.inv(best.matrix)
        return motion / motion[2, 2]


def _better(one: Alignment | None, other: Alignment | None) -> Alignment | None:
    known = [each for each in (one, other) if each is not None]
    return min(known, key=lambda each: each.sigma, default=None)


def _aligned(later: LumaPyramid, earlier: LumaPyramid, start: np.ndarray, trust: np.ndarray) -> Alignment | None:
    found = align(later, earlier, start, PLANE_MODELS["similarity"], trust)
    return None if found is None or found.error_px > _MOST_ERROR_PX * _SCALE else found


def _pyramid(picture: np.ndarray) -> LumaPyramid:
    fine = picture.astype(np.float32)
    half = cv2.resize(fine, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
    size = (_SCALE * fine.shape[1], _SCALE * fine.shape[0])
    return LumaPyramid((cv2.GaussianBlur(half, (0, 0), _BLUR_PX), fine), *size)


def _fine(pyramid: LumaPyramid) -> LumaPyramid:
    return LumaPyramid(pyramid.levels[-1:], pyramid.width, pyramid.height)


def _cells(weights: np.ndarray) -> np.ndarray:
    """Return the mean of weights (h, w) of a picture's px in each cell."""
    size = [-(-_SCALE * length // CELL_PX) for length in weights.shape[::-1]]
    return cv2.resize(weights, size, interpolation=cv2.INTER_AREA)

"""What the world looked like, so that it is known again behind what moves.

Flow tells two motions apart and not which is the world's. Where the frame agrees with what the world looked like
before is the world; what moves past it differs there. One small picture of the world is kept, in the place of a frame,
each of its cells from the last frame that showed the world in it. It tells which motion is the world's; the frames
themselves tell it precisely.

Constants without another reason were tuned by hand on `python -m benchmarks.stabilizing.foregrounds`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from raftline.camera.camera_motion import CameraMotion, confidence_of
from raftline.camera.direct_alignment import MAX_ERROR_PX, align
from raftline.camera.luma_pyramid import LumaPyramid
from raftline.camera.packed_maps import as_packed, packed_map, unpacked_map
from raftline.camera.plane_models import PLANE_MODELS, ModelName
from raftline.camera.small_picture import (
    SIDE_PX,
    packed_picture,
    small_picture,
    unpacked_picture,
    whole_levels,
)
from raftline.camera.transforms import frame_corners, transform_points
from raftline.camera.world_motion import agreement, searched
from raftline.kernels.cell import CELL_PX

_RENEWED_SECONDS, _RENEWED_CONTESTED_SECONDS = 0.5, 1.0
"""Age at which the picture is taken anew; the same while much moves by itself, when its rest is resampled."""
_SHOWN = 0.7
"""Belief from which a cell of a frame shows the world."""
_MOST_ERROR_SHARE = 0.0025
"""Of the width: expected error of the corners of where the picture lies, up to which that is known: 0.4 px of the
picture."""
_FADING = 0.9
"""Of the trust in a cell that is resampled once more."""
_LEAST_SHARE = 0.15
"""Share of the picture's texture that a frame must agree with, under a motion that is believed for that."""
_AS_WELL, _NO_WORSE = 0.8, 0.98
"""Share that agrees, in that of the last frame, with which no other guess is looked at; share that an alignment has to
leave, in that of the guess it began with."""
_AS_BEFORE = 0.9
"""Share that agrees, in that of the last frame, with which a motion known from elsewhere is confirmed."""
_MOST_APART_PX = 1.5
"""Of the picture: how far from where it lies the frames themselves may have a corner."""
_AGREES = 0.5
"""Agreement from which a cell takes part in an alignment."""


@dataclass(frozen=True)
class Sighting:
    """The world found again in a frame."""

    motion: CameraMotion
    """From the last frame of known motion."""
    pose: np.ndarray
    """(3, 3), px of the picture to px of the frame."""
    known: np.ndarray
    """(rows, columns) 0-1: how far the picture tells whether a cell of the frame shows the world."""
    agrees: np.ndarray
    """(rows, columns) 0-1: the cell does."""


class WorldMemory:
    """A picture of the world of one path, and where it lies in the last frame of known motion."""

    def __init__(self) -> None:
        """Remember nothing."""
        self._picture: LumaPyramid | None = None
        self._trust = np.zeros((0, 0), np.float32)
        """(rows, columns) 0-1, of the picture's cells: they show the world, and have texture."""
        self._pose = np.eye(3)
        self._age, self._share_seen = 0.0, 1.0

    @property
    def empty(self) -> bool:
        """Nothing is remembered."""
        return self._picture is None

    def keep(
        self, now: LumaPyramid, belief: np.ndarray, texture: np.ndarray, contested: bool, anew: bool = False
    ) -> None:
        """Take the picture from a frame of known motion, if it is time to.

        Args:
            now: The frame.
            belief: (rows, columns) 0-1: belief that a cell of it shows the world.
            texture: (rows, columns) 0-1: weight of its texture.
            contested: Much of it moves by itself.
            anew: Forget what was.
        """
        lasts = _RENEWED_CONTESTED_SECONDS if contested else _RENEWED_SECONDS
        if not anew and self._picture is not None and self._age < lasts:
            return
        small = small_picture(now)
        trust = np.where(belief >= _SHOWN, np.minimum(4 * texture, 1.0), 0.0).astype(np.float32)
        if self._picture is None or anew or not contested:
            self._picture = small
        else:
            self._picture, trust = self._composed(small, belief >= _SHOWN, trust)
        self._trust = as_packed(trust)
        self._pose, self._age, self._share_seen = np.eye(3), 0.0, 1.0

    def follow(self, matrix: np.ndarray, seconds: float) -> None:
        """Take the camera's motion (3, 3) into a frame, from the last one of known motion."""
        self._pose, self._age = matrix @ self._pose, self._age + seconds
        self._pose = self._pose / self._pose[2, 2]

    def sighting(
        self, before: LumaPyramid | None, now: LumaPyramid, guesses: Iterable[np.ndarray], model: ModelName
    ) -> Sighting | None:
        """Find the world in a frame.

        Args:
            before: The last frame of known motion; None: it is not there.
            now: The frame.
            guesses: Motions (3, 3) from the last frame of known motion, px to px.
            model: The model to align with.

        Returns:
            Where it is, under the motion that most of the picture agrees with; None if that is too little.
        """
        picture = self._picture
        if picture is None or self._trust.sum() <= 0:
            return None
        small = small_picture(now)
        first, pose = self._best(small, guesses)
        found = None
        for _ in range(2):
            agrees = self._agreement(small, pose)
            found = align(picture, small, pose, PLANE_MODELS[model], self._trust * (agrees > _AGREES))
            if found is None or found.error_px > _MOST_ERROR_SHARE * now.width:
                return None
            pose = found.matrix
        agrees = self._agreement(small, pose)
        share = self._share(agrees)
        if found is None or share < max(_LEAST_SHARE, _NO_WORSE * first):
            return None
        self._share_seen = share
        matrix = pose @ np.linalg.inv(self._pose)
        matrix, error_px = self._precise(before, now, matrix / matrix[2, 2], model, self._trust * (agrees > _AGREES))
        confidence = confidence_of(1.0, (found.error_px if error_px is None else error_px) / MAX_ERROR_PX)
        return self._sighted(CameraMotion(matrix, model, share, confidence, 0.0), pose, agrees)

    def _sighted(self, motion: CameraMotion, pose: np.ndarray, agrees: np.ndarray) -> Sighting:
        known = _cells_moved(self._trust, pose)
        agrees = _cells_moved(self._trust * agrees, pose) / np.maximum(known, 1e-6)
        return Sighting(motion, pose, known, agrees)

    def confirmed(self, now: LumaPyramid, motion: CameraMotion) -> Sighting | None:
        """Find the world in a frame where a motion leads that is known precisely.

        Args:
            now: The frame.
            motion: From the last frame of known motion.

        Returns:
            Where it is; None if the picture agrees clearly less than it did with the last frame.
        """
        if self._picture is None or self._trust.sum() <= 0:
            return None
        pose = motion.matrix @ self._pose
        agrees = self._agreement(small_picture(now), pose)
        share = self._share(agrees)
        if share < max(_LEAST_SHARE, _AS_BEFORE * self._share_seen):
            return None
        self._share_seen = share
        return self._sighted(motion, pose / pose[2, 2], agrees)

    def _precise(
        self, before: LumaPyramid | None, now: LumaPyramid, matrix: np.ndarray, model: ModelName, world: np.ndarray
    ) -> tuple[np.ndarray, float | None]:
        """Return a motion (3, 3) as the frames have it where they show the `world`, and its error; None: not known."""
        if before is None:
            return matrix, None
        found = align(before, now, matrix, PLANE_MODELS[model], _cells_moved(world, self._pose))
        if found is None or found.error_px > MAX_ERROR_PX:
            return matrix, None
        corners = frame_corners(now.width, now.height)
        apart = np.abs(transform_points(found.matrix, corners) - transform_points(matrix, corners)).max()
        if apart > _MOST_APART_PX * max(1.0, max(now.width, now.height) / SIDE_PX):
            return matrix, None
        return found.matrix, found.error_px

    def _best(self, now: LumaPyramid, guesses: Iterable[np.ndarray]) -> tuple[float, np.ndarray]:
        """Return the share under the first pose that agrees as well as the last, or else under the best; and it."""
        assert self._picture is not None
        most, best = -1.0, self._pose
        for guess in guesses:
            pose = guess @ self._pose
            share = self._share(self._agreement(now, pose))
            if share > most:
                most, best = share, pose
            if most > _AS_WELL * self._share_seen:
                return most, best
        pose = searched(self._picture, now, self._trust, self._pose)
        share = self._share(self._agreement(now, pose))
        return (share, pose) if share > most else (most, best)

    def _agreement(self, now: LumaPyramid, pose: np.ndarray) -> np.ndarray:
        assert self._picture is not None
        return agreement(self._picture, now, pose, *self._trust.shape)

    def _share(self, agrees: np.ndarray) -> float:
        """Return the share of the picture's trust in cells that agree, (rows, columns) 0-1."""
        return float((agrees * self._trust).sum() / self._trust.sum())

    def _composed(self, now: LumaPyramid, shown: np.ndarray, trust: np.ndarray) -> tuple[LumaPyramid, np.ndarray]:
        """Return a picture in the place of a frame: what that shows of the world, and around it what was known."""
        assert self._picture is not None
        image, to_level = self._picture.levels[0], now.to_level(0)
        height, width = image.shape
        moved = cv2.warpPerspective(
            image,
            to_level @ self._pose @ np.linalg.inv(to_level),
            (width, height),
            flags=cv2.INTER_CUBIC,
            borderMode=cv2.BORDER_REPLICATE,
        )
        mask = cv2.resize(shown.astype(np.uint8), (width, height), interpolation=cv2.INTER_NEAREST)
        level = whole_levels(np.where(mask > 0, now.levels[0], moved))
        old_trust = _cells_moved(self._trust, self._pose) * _FADING
        return LumaPyramid((level,), now.width, now.height), np.where(shown, trust, old_trust)

    def state(self) -> dict[str, Any] | None:
        """Return everything as JSON values, up to 25 kB."""
        if self._picture is None:
            return None
        image = self._picture.levels[0]
        return {
            "size": [self._picture.width, self._picture.height],
            "picture": packed_picture(image),
            "trust": packed_map(self._trust),
            "pose": self._pose.ravel().tolist(),
            "age": self._age,
            "share_seen": self._share_seen,
        }

    @classmethod
    def from_state(cls, state: dict[str, Any] | None) -> WorldMemory:
        """Return a memory that goes on where `state` was taken."""
        found = cls()
        if state is None:
            return found
        found._picture = LumaPyramid((unpacked_picture(state["picture"]),), *state["size"])
        trust = unpacked_map(state["trust"])
        found._trust = found._trust if trust is None else trust
        found._pose = np.array(state["pose"]).reshape(3, 3)
        found._age, found._share_seen = state["age"], state["share_seen"]
        return found


def _cells_moved(cells: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """Move values of 8 px cells (rows, columns) by a matrix (3, 3) of px; 0 where there are none."""
    centre = (CELL_PX - 1) / 2
    to_px = np.array([[CELL_PX, 0, centre], [0, CELL_PX, centre], [0, 0, 1.0]])
    moved = np.linalg.inv(to_px) @ matrix @ to_px
    return cv2.warpPerspective(
        cells.astype(np.float32), moved, cells.shape[::-1], flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT
    )

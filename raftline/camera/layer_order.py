"""Which of two layers lies in front, and so is not the world: the one whose content covers the other's.

While something large moves by itself, both motions are followed: the camera's, and the other layer's. From a small
picture of a moment ago, whose pixels are known to be one layer's or the other's, each motion foretells what is seen
now. Where both foretell something, the frame shows that of the layer in front. If that turns out to be the layer that
was taken for the world, the two change places, and the frames since get the other layer's motion.

Constants without another reason were tuned by hand on `python -m benchmarks.stabilizing.foregrounds`.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np

from raftline.camera.direct_alignment import MAX_ERROR_PX, align
from raftline.camera.layer_motion import Layers
from raftline.camera.luma_pyramid import LumaPyramid
from raftline.camera.packed_maps import as_packed, packed_map, unpacked_map
from raftline.camera.plane_models import PLANE_MODELS
from raftline.camera.revision import Revision, revision
from raftline.camera.small_picture import packed_picture, small_picture, unpacked_picture
from raftline.camera.transforms import transform_points

_LEAST_APART_PX = 5.0
"""Of the picture, by which two layers must have moved apart until what they foretell is compared."""
_WINDOW_PX = 5
"""Of the picture, over which a pixel's layer is told."""
_NOISE = 2.0
"""Grey levels by which the picture differs from the next for no reason."""
_LEAST_CONTRAST = 600.0
"""Grey levels by which the layers foretell different things, summed up, that makes for half of the evidence."""
_COVERED_SHARE = 0.6
"""Weight of what covers the other, in evidence."""
_RIM_SHARE = 0.1
"""Weight of what holds the frame's rim."""
_MEMORY_SECONDS = 1.5
"""Age at which a picture is given up."""
_TURNED, _SURE, _MOST = -0.8, 1.2, 3.0
"""Evidence at which the layers change places; from which the past is settled; and at most."""
_AFTER_TURN = 0.3
"""Evidence with which the layers go on once they have changed places."""
_UNDISPUTED_SECONDS, _UNDISPUTED_MOST = 0.5, 1.0
"""Time in which all the frame follows one motion, and the evidence for it grows by 1, and how far at most: what moves
by itself may have stood all the while, so that settles nothing."""
_GAINED = 0.3
"""Gain of evidence that speaks for the layers as they were: the frames after it alone are put right."""
_STEADY_PX, _STEADY_SHARE = 0.5, 0.25
"""Px, and share of its motion past the camera's, by which what moves on as it did may change that in a frame."""
_MOST_REVISED = 150
"""Frames that are put right at most once the layers change places."""


class LayerOrder:
    """Gathers evidence that the layer that the camera's motion is taken from lies behind; for one path, in order."""

    def __init__(self) -> None:
        """Begin a path."""
        self._picture: np.ndarray | None = None
        """(h, w) float32, whole grey levels: a frame a moment ago; None: there is one layer."""
        self._label = np.zeros((0, 0), np.float32)
        """(h, w) of it: -1 where it is the camera's layer, 1 where it is the other, 0 not known."""
        self._motions = np.stack([np.eye(3), np.eye(3)])
        """(2, 3, 3) px to px: of the camera's layer and the other one, since then."""
        self._age = 0.0
        self._offset: np.ndarray | None = None
        """(3, 3) px to px: by what the other layer moved more than the camera's, in the last frame."""
        self._steady = False
        """It did so in the frame before as well."""
        self._evidence = 0.0
        self._open: list[tuple[float, Revision]] = []
        """Evidence at the frames in doubt, and what makes them follow the other layer."""

    def add(
        self,
        index: int,
        seconds: float,
        before: LumaPyramid | None,
        now: LumaPyramid,
        matrix: np.ndarray,
        layers: Layers,
        movers: np.ndarray,
        contested: bool,
    ) -> list[Revision]:
        """Take the next frame.

        Args:
            index: Index of the frame.
            seconds: Time since the frame before.
            before: The frame before; None: it is not there.
            now: The frame.
            matrix: (3, 3) px to px: what was taken for the camera's motion into the frame.
            layers: Its flow, divided.
            movers: (rows, columns) 0-1, of the frame before's 8 px cells: they are known to move by themselves.
            contested: Much of the frame does.

        Returns:
            The frames whose motion turns out to be that of what lies in front.
        """
        offset = None if before is None else self._other(before, now, matrix, layers, movers)
        turned = False
        if offset is not None:
            assert before is not None
            turned = self._weigh(before, now, seconds, np.stack([matrix, offset @ matrix]), layers.rim)
            self._steady = self._goes_on(offset)
            self._offset = offset
        else:
            self._picture = None
            if not contested:
                self._offset = None
        if self._offset is not None:
            self._open = [*self._open, (round(self._evidence, 4), revision(index, self._offset))][-_MOST_REVISED:]
        if layers.apart_px is None and not contested:
            gained = min(self._evidence + seconds / _UNDISPUTED_SECONDS, _UNDISPUTED_MOST)
            self._evidence = max(self._evidence, gained)
        if self._evidence > _SURE:
            self._open = []
        return self._turn() if turned else []

    @property
    def settled(self) -> bool:
        """It is sure which layer is the world."""
        return self._evidence > _SURE

    def _goes_on(self, offset: np.ndarray) -> bool:
        """Tell whether the other layer moves about as it did."""
        if self._offset is None:
            return False
        now, then = offset[:2, 2], self._offset[:2, 2]
        return bool(np.hypot(*(now - then)) < max(_STEADY_PX, _STEADY_SHARE * np.hypot(*then)))

    def lose(self) -> None:
        """Take a frame of which no two layers are known."""
        self._picture, self._offset = None, None
        self.doubt()

    def doubt(self) -> None:
        """Take it that which layer is which is not sure any more."""
        self._evidence = min(self._evidence, _AFTER_TURN)

    def camera_beside(
        self, before: LumaPyramid, now: LumaPyramid, guess: np.ndarray, movers: np.ndarray
    ) -> np.ndarray | None:
        """Return the camera's motion (3, 3) if the other layer moves past it as in the last frame.

        Args:
            before: The frame before.
            now: The frame.
            guess: (3, 3) px to px: what most of the flow follows: the other layer, or the world after all.
            movers: As in `add`.
        """
        if self._offset is None or not self._steady:
            return None
        found = align(before, now, guess, PLANE_MODELS["similarity"], movers)
        if found is None or not found.better or found.error_px > MAX_ERROR_PX:
            return None
        if not self._follows(now, found.matrix):
            return found.matrix
        matrix = np.linalg.inv(self._offset) @ found.matrix
        return matrix / matrix[2, 2]

    def _follows(self, now: LumaPyramid, matrix: np.ndarray) -> bool:
        """Tell whether the other layer, as it was a moment ago, goes by a motion, or past the world that does."""
        if self._picture is None or self._offset is None:
            return True
        small, other = small_picture(now), np.maximum(self._label, 0.0)
        left = []
        for motion in (matrix, self._offset @ matrix):
            image, inside = _moved(self._picture, small, motion @ self._motions[1])
            weight = inside * _moved(other, small, motion @ self._motions[1])[0]
            left.append(float((weight * np.abs(image - small.levels[0])).sum() / max(float(weight.sum()), 1e-6)))
        return left[0] <= left[1]

    def _other(
        self, before: LumaPyramid, now: LumaPyramid, matrix: np.ndarray, layers: Layers, movers: np.ndarray
    ) -> np.ndarray | None:
        """Return by what (3, 3) the other layer moves more than the camera's, as the frames tell; None: not known."""
        if layers.apart_px is not None:
            offset = np.eye(3)
            offset[:2, 2] = layers.apart_px
            trust = cv2.resize(np.maximum(layers.label, 0.0), movers.shape[::-1], interpolation=cv2.INTER_LINEAR)
        elif self._offset is not None:
            offset, trust = self._offset, movers
        else:
            return None
        found = align(before, now, offset @ matrix, PLANE_MODELS["similarity"], trust)
        if found is None or not found.better or found.error_px > MAX_ERROR_PX:
            return None
        offset = found.matrix @ np.linalg.inv(matrix)
        return offset / offset[2, 2]

    def _weigh(self, before: LumaPyramid, now: LumaPyramid, seconds: float, motions: np.ndarray, rim: float) -> bool:
        """Gather evidence; return whether it says that the camera's layer lies in front."""
        if self._picture is not None:
            self._motions, self._age = motions @ self._motions, self._age + seconds
            if self._apart_px(now) >= _LEAST_APART_PX:
                found = _COVERED_SHARE * self._covered(small_picture(now)) + _RIM_SHARE * rim
                self._evidence = float(np.clip(self._evidence + found, -_MOST, _MOST))
                self._picture = None
        if self._picture is None or self._age > _MEMORY_SECONDS:
            later = small_picture(now)
            self._picture, self._label = later.levels[0], labels_of(small_picture(before), later, motions)
            self._motions, self._age = np.stack([np.eye(3), np.eye(3)]), 0.0
        return self._evidence < _TURNED

    def _apart_px(self, now: LumaPyramid) -> float:
        """Return how far the layers have moved apart in the middle of the frame since the picture, px of it."""
        assert self._picture is not None
        middle = np.array([[now.width / 2, now.height / 2]])
        camera, other = (transform_points(each, middle)[0] for each in self._motions)
        return float(np.hypot(*(other - camera))) * self._picture.shape[1] / now.width

    def _covered(self, now: LumaPyramid) -> float:
        """Return 1 if the frame shows the other layer where both foretell something, -1 if the camera's."""
        assert self._picture is not None
        foretold, held = [], []
        for motion, sign in zip(self._motions, (-1, 1), strict=True):
            image, inside = _moved(self._picture, now, motion)
            foretold.append(image)
            held.append(inside * _moved(np.maximum(sign * self._label, 0.0), now, motion)[0])
        differ = np.abs(foretold[0] - foretold[1])
        off = [np.abs(now.levels[0] - each) for each in foretold]
        # what neither foretells tells nothing
        weight = held[0] * held[1] * np.clip(1 - 2 * np.minimum(*off) / (differ + 1e-3), 0, 1)
        says = np.clip(off[0] - off[1], -differ, differ)
        return float((weight * says).sum() / ((weight * differ).sum() + _LEAST_CONTRAST))

    def _turn(self) -> list[Revision]:
        level = [evidence for evidence, _ in self._open]
        first = 0 if max(level) - level[0] < _GAINED else len(level) - level[::-1].index(max(level))
        revised, self._open = [each for _, each in self._open[first:]], []
        self._picture, self._offset, self._evidence = None, None, _AFTER_TURN
        return revised

    def state(self) -> dict[str, Any]:
        """Return everything as JSON values, up to 60 kB while something large moves by itself."""
        picture = self._picture
        return {
            "picture": None if picture is None else packed_picture(picture),
            "label": packed_map(self._label),
            "motions": self._motions.ravel().tolist(),
            "age": self._age,
            "offset": None if self._offset is None else self._offset.ravel().tolist(),
            "steady": self._steady,
            "evidence": self._evidence,
            "open": self._open,
        }

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> LayerOrder:
        """Return an order that goes on where `state` was taken."""
        found = cls()
        label = unpacked_map(state["label"])
        found._label = found._label if label is None else label
        if state["picture"] is not None:
            found._picture = unpacked_picture(state["picture"])
        found._motions = np.array(state["motions"]).reshape(2, 3, 3)
        found._offset = None if state["offset"] is None else np.array(state["offset"]).reshape(3, 3)
        found._steady = state["steady"]
        found._age, found._evidence = state["age"], state["evidence"]
        found._open = [(level, (index, tuple(correction))) for level, (index, correction) in state["open"]]
        return found


def _moved(image: np.ndarray, now: LumaPyramid, motion: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Move an image of a picture's size by a motion (3, 3) of px of the frame; also where (h, w) bool it reaches."""
    to_level, size = now.to_level(0), image.shape[::-1]
    moved = to_level @ motion @ np.linalg.inv(to_level)
    reaches = cv2.warpPerspective(np.ones_like(image), moved, size, flags=cv2.INTER_LINEAR)
    return cv2.warpPerspective(image, moved, size, flags=cv2.INTER_LINEAR), reaches > 0.99


def labels_of(before: LumaPyramid, now: LumaPyramid, motions: np.ndarray) -> np.ndarray:
    """Return which layer each pixel (h, w) of a picture is of, by what two motions (2, 3, 3) into it leave."""
    off, known = [], np.ones(now.levels[0].shape, bool)
    for motion in motions:
        image, inside = _moved(before.levels[0], now, motion)
        off.append(cv2.blur(np.abs(image - now.levels[0]), (_WINDOW_PX, _WINDOW_PX)))
        known &= inside
    label = np.clip((off[0] - off[1]) / (np.minimum(*off) + _NOISE), -1.0, 1.0)
    return as_packed(np.where(known, label, 0.0))

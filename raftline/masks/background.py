"""The background under a camera that stands, shakes or turns: what of a frame does not belong to it.

Points are those of the working grid. Numbers without a source were chosen by hand;
`python -m benchmarks.bench_motion_masks` shows their effect.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from raftline.camera.registration import Keypoints, farthest, fits_in_place, keypoints, register
from raftline.camera.transforms import transform_points
from raftline.masks.gaussian_mixture import DOUBT, LEARN, GaussianMixture
from raftline.masks.illumination import illumination_change
from raftline.masks.placed_images import (
    SAMPLED_EVERY,
    STILL_POINTS,
    calibrated,
    noise_levels,
    sampled,
    tolerance,
    unmoved,
    warped,
)
from raftline.state_trees import from_tree, tree_of

_MISLED_POINTS = 3.0
"""By so much a fixed camera's frame may seem to be off while the illumination changes: in the dark little tells."""
_SETTLED_SECONDS = 1.0
"""A camera is fixed once it has stood still for this long."""
_ANEW_SECONDS = 2.0
"""For this long after the background began anew, a fixed camera is taken to stand still while there are no keypoints,
and another change of illumination is taken for motion of the camera."""
_SHIFTED_POINTS = 8
"""The background is shifted along, by whole points, once the camera has moved this far. Each shift costs new keypoints,
so that it must not happen in every frame."""
_BENT_POINTS = 16.0
"""How far the frame may lie turned or scaled on the background, at its corners. Resampling puts that right, but takes
the nearest point and tears edges by half of one: it must not happen in every frame of a camera that turns."""
_KEYPOINT_FRAMES = 10
"""Keypoints are chosen again after this many frames: the background changes slowly, and choosing costs time."""


_KEPT: dict[str, Any] = {
    "_keypoints": Keypoints | None,
    "_keypoints_age": int,
    "_to_background": np.ndarray,
    "_still_seconds": float,
    "_stands": bool,
    "_luma": np.ndarray | None,
    "_noise_levels": np.ndarray,
    "_anew_seconds": float,
    "_relit_seconds": float,
    "_first": np.ndarray | None,
}
"""Attributes of `RegisteredBackground` and their types, but the mixture, and what lasts for one frame."""


@dataclass(frozen=True)
class AgainstBackground:
    """A frame against the background."""

    mahalanobis: np.ndarray
    """uint8 (h, w): Mahalanobis distance from the background's nearest color, 16 for each sigma; 0 where the background
    is unknown, or in shadow."""
    known: np.ndarray
    """bool (h, w): where there is a background."""
    illumination_levels: float
    """By how many grey levels the illumination changed since the frame before; 255 where it cannot be told."""


class RegisteredBackground:
    """A background, and where the last frame lies on it.

    For each frame after the first: `stands`, then `look`, then `learn`.
    """

    def __init__(self, rows: int, columns: int, memory_seconds: float, shadows_out: bool) -> None:
        """Begin with nothing known.

        Args:
            rows: Of the working grid.
            columns: Of the working grid.
            memory_seconds: Time constant of learning.
            shadows_out: Under a camera that stands, shadows belong to the background.
        """
        self._shape = (rows, columns)
        self._shadows_out = shadows_out
        self._mixture = GaussianMixture(rows, columns, memory_seconds)
        self._keypoints: Keypoints | None = None
        self._keypoints_age = 0
        self._to_background = np.eye(3)
        """Points of the last frame to points of the background."""
        self._still_seconds = 0.0
        self._stands = False
        self._luma: np.ndarray | None = None
        """Of the last frame."""
        self._noise_levels = np.zeros(2)
        """Of the last two pairs of frames. The less tells: between two frames, the light may change."""
        self._anew_seconds = np.inf
        """Since the background had to begin anew."""
        self._relit_seconds = np.inf
        """Since the illumination changed."""
        self._placed: np.ndarray | None = None
        """The last frame on the background's points."""
        self._first: np.ndarray | None = None
        """The image it began anew with, until it is known what moves in it."""

    def full_state(self) -> dict[str, Any]:
        """All of it between two frames, as JSON values and arrays, which are no copies."""
        kept = {name: tree_of(getattr(self, name)) for name in _KEPT}
        return {"mixture": self._mixture.full_state(), **kept}

    def restore_full(self, state: Mapping[str, Any]) -> None:
        """Go on exactly where `full_state` was taken."""
        self._mixture.restore_full(state["mixture"])
        for name, kind in _KEPT.items():
            setattr(self, name, from_tree(kind, state[name]))

    @property
    def fixed(self) -> bool:
        """The camera has been standing for a while."""
        return self._still_seconds >= _SETTLED_SECONDS

    def begin_anew(self, image: np.ndarray) -> None:
        """Forget everything but a frame, uint8 (h, w, 3)."""
        self._mixture.forget()
        self._keypoints, self._to_background, self._luma = None, np.eye(3), image[..., 0]
        self._still_seconds = 0.0
        self._first = image

    def stands(self, image: np.ndarray, step_seconds: float) -> bool:
        """Whether the camera stands still at a frame, uint8 (h, w, 3), as far as the images tell without flow."""
        self._stands = self._seen_to_stand(image, step_seconds)
        return self._stands

    def _seen_to_stand(self, image: np.ndarray, step_seconds: float) -> bool:
        before, self._luma = self._luma, image[..., 0]
        self._noise_levels = np.array([self._noise_levels[1], noise_levels(before, image[..., 0])])
        self._anew_seconds += step_seconds
        self._relit_seconds += step_seconds
        if self._keypoints is None:
            # In the dark nothing shows whether it moves: it is not known to have begun to.
            return (self.fixed and self._anew_seconds <= _ANEW_SECONDS) or unmoved(before, image[..., 0], self.fixed)
        found, fits = register(image[..., 0], self._keypoints, np.eye(3))
        limit = STILL_POINTS * (2.0 if self.fixed else 1.0)
        limit = _MISLED_POINTS if self.fixed and self._relit_seconds <= _SETTLED_SECONDS else limit
        if fits:
            stands = farthest(found, self._shape) < limit or fits_in_place(image[..., 0], self._keypoints, found)
        else:
            stands = self.fixed and (self._under_other_illumination(image) or unmoved(before, image[..., 0], True))
        self._still_seconds = self._still_seconds + step_seconds if stands else 0.0
        if stands:
            self._to_background = np.eye(3)
        return stands

    def _under_other_illumination(self, image: np.ndarray) -> bool:
        """Whether a frame that does not fit may be the background under another illumination.

        After a switch to infrared nothing fits; if that happens again at once, it is the camera that moves.
        """
        known = self._mixture.sampled(SAMPLED_EVERY)
        change = illumination_change(sampled(image), *known, self._noise_levels.min()).kind
        return change == "followed" or (change == "anew" and self._anew_seconds > _ANEW_SECONDS)

    def look(self, image: np.ndarray, camera: np.ndarray | None) -> AgainstBackground:
        """Compare a frame with the background.

        Args:
            image: uint8 (h, w, 3), luma first.
            camera: (3, 3), points of the frame before to points of this one; None: it stands where it was. Flow that
                drifts does not push what `stands` saw in its place.
        """
        if self._stands:
            self._to_background = np.eye(3)
        elif camera is not None or not self._standing:
            self._follow(image, np.eye(3) if camera is None else camera)
        placed, inside = self._place(image)
        levels = self._relight(placed, inside, moves=camera is not None and not self._stands)
        distance, known = self._mixture.mahalanobis(placed, self._tolerance(placed, inside))
        self._placed = placed
        if self._standing:
            if self._shadows_out:
                distance[self._mixture.shadows(placed, distance)] = 0
            return AgainstBackground(distance, known, levels)
        seen = (known & inside).astype(np.uint8)
        return AgainstBackground(self._back(calibrated(distance)), self._back(seen) > 0, levels)

    @property
    def began_anew(self) -> bool:
        """With the frame before, which is not learned yet."""
        return self._first is not None

    def learn_first(self, flowing: np.ndarray) -> None:
        """Learn the frame that it began anew with, in doubt where it flows, bool (h, w). Call it before `look`."""
        if self._first is not None:
            how = np.where(flowing, np.uint8(DOUBT), np.uint8(LEARN))
            self._mixture.learn(self._first, how, 0.0)
        self._first = None

    def learn(self, moving: np.ndarray, flowing: np.ndarray, step_seconds: float) -> None:
        """Learn the frame last looked at: without what moves, and in doubt where only the flow does; bool (h, w)."""
        if self._placed is None:
            return
        how = (np.uint8(LEARN) - flowing.view(np.uint8)) * np.logical_not(moving).view(np.uint8)  # or DOUBT, or SKIP
        how = self._onto(how, cv2.INTER_NEAREST)
        self._mixture.learn(self._placed, how, step_seconds)
        self._keypoints_age += 1
        if self._keypoints is None or self._keypoints_age >= _KEYPOINT_FRAMES:
            self._keypoints, self._keypoints_age = keypoints(self._mixture.luma, self._mixture.known), 0

    def learn_still(self, image: np.ndarray, step_seconds: float) -> None:
        """Learn a frame, uint8 (h, w, 3), in which nothing changed, for all those of `step_seconds`, from a camera that
        is `fixed`. It takes the place of `stands`, `look` and `learn`."""
        self._luma, self._placed, self._to_background = image[..., 0], image, np.eye(3)
        self._stands = True
        self._still_seconds += step_seconds
        nowhere = np.zeros(self._shape, bool)
        self.learn(nowhere, nowhere, step_seconds)

    @property
    def lumas(self) -> tuple[np.ndarray, np.ndarray] | None:
        """Of the last frame, uint8 (h, w), and of the background, float32, 0: unknown. None: the camera moves."""
        return None if self._placed is None or not self._stands else (self._placed[..., 0], self._mixture.luma)

    @property
    def _standing(self) -> bool:
        return bool(np.array_equal(self._to_background, np.eye(3)))

    def _relight(self, placed: np.ndarray, inside: np.ndarray, moves: bool) -> float:
        """Follow a change of the illumination, or begin anew; by how many grey levels it, and not parallax, changed."""
        colors, known = self._mixture.sampled(SAMPLED_EVERY)
        noise = self._noise_levels.min() if self._standing else 0.0
        change = illumination_change(sampled(placed), colors, known & sampled(inside), noise)
        self._relit_seconds = self._relit_seconds if change.kind == "none" else 0.0
        if change.kind == "anew":
            self._mixture.forget()
            self._keypoints, self._anew_seconds = None, 0.0
        elif change.kind == "followed":
            self._mixture.follow(change)
            self._keypoints = keypoints(self._mixture.luma, self._mixture.known)
        return change.shift_levels if moves else change.levels

    def _follow(self, image: np.ndarray, camera: np.ndarray) -> None:
        """Place the frame by the camera's motion, then by the image; move the background along."""
        guess = camera @ np.linalg.inv(self._to_background)
        if self._keypoints is not None:
            guess, _ = register(image[..., 0], self._keypoints, guess, perspective=True)
        if farthest(guess, self._shape) < STILL_POINTS:
            self._to_background = np.eye(3)
            return
        self._to_background = np.linalg.inv(guess)
        self._to_background /= self._to_background[2, 2]
        centre = np.array([[self._shape[1] / 2, self._shape[0] / 2]])
        whole = np.rint(transform_points(self._to_background, centre) - centre)[0]
        unshifted = np.eye(3)
        unshifted[:2, 2] = -whole
        bent = farthest(unshifted @ self._to_background, self._shape)
        if bent > _BENT_POINTS + 1.0:
            self._mixture.resample(np.linalg.inv(self._to_background))
            self._to_background, self._keypoints = np.eye(3), None
        elif np.abs(whole).max() >= _SHIFTED_POINTS:
            self._mixture.shift(-int(whole[0]), -int(whole[1]))
            self._to_background, self._keypoints = unshifted @ self._to_background, None
        if self._keypoints is None:
            self._keypoints, self._keypoints_age = keypoints(self._mixture.luma, self._mixture.known), 0

    def _place(self, image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The frame on the background's points, and which of these it covers."""
        if self._standing:
            return image, np.ones(self._shape, bool)
        return self._onto(image), self._onto(np.ones(self._shape, np.uint8)) > 0

    def _onto(self, values: np.ndarray, how: int = cv2.INTER_LINEAR) -> np.ndarray:
        return values if self._standing else warped(values, np.linalg.inv(self._to_background), how)

    def _back(self, values: np.ndarray) -> np.ndarray:
        return values if self._standing else warped(values, self._to_background)

    def _tolerance(self, placed: np.ndarray, inside: np.ndarray) -> np.ndarray | None:
        """Grey levels by which a point may be off because the frame is misaligned or blurred, uint8 (h, w)."""
        return None if self._standing else tolerance(placed[..., 0], self._mixture.luma, inside & self._mixture.known)

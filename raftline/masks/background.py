"""The background under a camera that stands, shakes or turns: what of a frame does not belong to it."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from raftline.camera.registration import Keypoints, farthest, fits_in_place, keypoints, register
from raftline.masks.gaussian_mixture import DOUBT, EVIDENCE_PER_SIGMA, LEARN, SKIP, Background
from raftline.masks.illumination import light_change

_STILL_POINTS = 0.4
"""A frame that lies less than this from the background's place, at every corner, lies on it."""
_SETTLED_SECONDS = 1.0
_ANEW_SECONDS = 2.0
_SHIFTED_POINTS = 8
_BENT_POINTS = 16.0
"""By which the frame may lie turned or scaled on the background. Resampling, which puts that right, takes the nearest
point and tears edges by half of one: it must not happen in every frame of a camera that turns."""
_MISALIGNED, _ALIGNED = 0.35, 0.12
"""Most and least points, halved, by which a frame under a moving camera is taken to lie beside the background. Below
the least, edges would be told so surely that the mean over 3x3 points carried them two points outwards.
"""
_STEEP_LEVELS = 24
"""Of luma within 3x3 points: what such edges are off by is alignment and blur, and not noise."""
_LEAST_STEEP = 100
_SIGMA_OF_MEDIAN = 1.4826
_LANDMARK_FRAMES = 10
_EVERY = 4
"""Points of which one is asked for a change of the light, along each axis."""
_COMMON_SIGMAS = 1.9
"""Three quarters of a background stay below this."""
_CLEANEST = 0.55
"""Of that: cleaner frames are not told from each other."""


@dataclass(frozen=True)
class Seen:
    """A frame against the background."""

    evidence: np.ndarray
    """uint8 (h, w), 16 for each sigma away from the background; 0 where it is unknown."""
    known: np.ndarray
    """bool (h, w): where there is a background."""
    light_levels: float
    """By how many grey levels the light changed since the frame before; 255 where it cannot be told."""


class SceneModel:
    """A background, and where the last frame lies on it."""

    def __init__(self, rows: int, columns: int, memory_seconds: float, shadows_out: bool) -> None:
        """shadows_out: under a camera that stands, shadows belong to the background."""
        self._shape = (rows, columns)
        self._shadows_out = shadows_out
        self._background = Background(rows, columns, memory_seconds)
        self._marks: Keypoints | None = None
        self._marks_age = 0
        self._to_background = np.eye(3)
        """Points of the last frame to points of the background."""
        self._still_seconds = 0.0
        self._stands = False
        self._luma: np.ndarray | None = None
        """Of the last frame."""
        self._anew_seconds = np.inf
        """Since the background had to begin anew."""
        self._placed: np.ndarray | None = None
        self._first: np.ndarray | None = None
        """The picture it began anew with, until it is known what moves in it."""

    @property
    def fixed(self) -> bool:
        """The camera has been standing for a while."""
        return self._still_seconds >= _SETTLED_SECONDS

    def begin_anew(self, picture: np.ndarray) -> None:
        """Nothing is known but a frame (h, w, 3)."""
        self._background.forget()
        self._marks, self._to_background, self._luma = None, np.eye(3), picture[..., 0]
        self._still_seconds = 0.0
        self._first = picture

    def stands(self, picture: np.ndarray, step_seconds: float) -> bool:
        """Whether the frame (h, w, 3) lies where the background does, as far as can be told without flow."""
        self._stands = self._seen_to_stand(picture, step_seconds)
        return self._stands

    def _seen_to_stand(self, picture: np.ndarray, step_seconds: float) -> bool:
        before, self._luma = self._luma, picture[..., 0]
        self._anew_seconds += step_seconds
        if self._marks is None:
            return (self.fixed and self._anew_seconds <= _ANEW_SECONDS) or _unmoved(before, picture[..., 0])
        found, fits = register(picture[..., 0], self._marks, np.eye(3))
        limit = _STILL_POINTS * (2.0 if self.fixed else 1.0)
        if fits:
            stands = farthest(found, self._shape) < limit or fits_in_place(picture[..., 0], self._marks, found)
        else:
            stands = self.fixed and self._in_another_light(picture)
        self._still_seconds = self._still_seconds + step_seconds if stands else 0.0
        if stands:
            self._to_background = np.eye(3)
        return stands

    def _in_another_light(self, picture: np.ndarray) -> bool:
        """Whether a frame that does not fit may be the background in another light.

        After a switch to infrared nothing fits; if it does so again at once, it is the camera that moves.
        """
        change = light_change(_sampled(picture), *self._background.sampled(_EVERY)).change
        return change == "followed" or (change == "anew" and self._anew_seconds > _ANEW_SECONDS)

    def look(self, picture: np.ndarray, camera: np.ndarray | None) -> Seen:
        """Compare a frame (h, w, 3) with the background.

        camera: (3, 3), points of the frame before to points of this one; None: it stands where it was. Flow that
        drifts does not push what `stands` saw in its place.
        """
        if self._stands:
            self._to_background = np.eye(3)
        elif camera is not None or not self._standing:
            self._follow(picture, np.eye(3) if camera is None else camera)
        placed, inside = self._place(picture)
        colors, known = self._background.sampled(_EVERY)
        light = light_change(_sampled(placed), colors, known & _sampled(inside))
        if light.change == "anew":
            self._background.forget()
            self._marks, self._anew_seconds = None, 0.0
        elif light.curves is not None:
            self._background.relight(light.curves)
            self._marks = keypoints(self._background.luma, self._background.known)
        evidence, known = self._background.evidence(placed, self._tolerance(placed, inside))
        if not self._standing:
            evidence = _calibrated(evidence)
        elif self._shadows_out:
            evidence[self._background.shadows(placed, evidence)] = 0
        self._placed = placed
        if self._standing:
            return Seen(evidence, known, light.levels)
        return Seen(self._back(evidence), self._back((known & inside).astype(np.uint8)) > 0, light.levels)

    @property
    def began_anew(self) -> bool:
        """With the frame before, which is not learned yet."""
        return self._first is not None

    def learn_first(self, flowing: np.ndarray) -> None:
        """Learn the frame that it began anew with, in doubt where it flows, bool (h, w). Call it before `look`."""
        if self._first is not None:
            how = np.where(flowing, np.uint8(DOUBT), np.uint8(LEARN))
            self._background.learn(self._first, how, 0.0)
        self._first = None

    def learn(self, moving: np.ndarray, flowing: np.ndarray, step_seconds: float) -> None:
        """Learn the frame last looked at: without what moves, and in doubt where only the flow does; bool (h, w)."""
        if self._placed is None:
            return
        how = np.full(self._shape, LEARN, np.uint8)
        how[flowing] = DOUBT
        how[moving] = SKIP
        how = self._onto(how, cv2.INTER_NEAREST)
        self._background.learn(self._placed, how, step_seconds)
        self._marks_age += 1
        if self._marks is None or self._marks_age >= _LANDMARK_FRAMES:
            self._marks, self._marks_age = keypoints(self._background.luma, self._background.known), 0

    @property
    def _standing(self) -> bool:
        return bool(np.array_equal(self._to_background, np.eye(3)))

    def _follow(self, picture: np.ndarray, camera: np.ndarray) -> None:
        """Place the frame by the camera's motion, then by the picture; move the background along."""
        guess = camera @ np.linalg.inv(self._to_background)
        if self._marks is not None:
            guess, _ = register(picture[..., 0], self._marks, guess, perspective=True)
        if farthest(guess, self._shape) < _STILL_POINTS:
            self._to_background = np.eye(3)
            return
        self._to_background = np.linalg.inv(guess)
        self._to_background /= self._to_background[2, 2]
        centre = np.array([self._shape[1] / 2, self._shape[0] / 2, 1.0])
        moved = self._to_background @ centre
        away = moved[:2] / moved[2] - centre[:2]
        whole = np.rint(away)
        unshifted = np.eye(3)
        unshifted[:2, 2] = -whole
        bent = farthest(unshifted @ self._to_background, self._shape)
        if bent > _BENT_POINTS + 1.0:
            self._background.resample(np.linalg.inv(self._to_background))
            self._to_background, self._marks = np.eye(3), None
        elif np.abs(whole).max() >= _SHIFTED_POINTS:
            self._background.shift(-int(whole[0]), -int(whole[1]))
            self._to_background, self._marks = unshifted @ self._to_background, None
        if self._marks is None:
            self._marks, self._marks_age = keypoints(self._background.luma, self._background.known), 0

    def _place(self, picture: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The frame on the background's points, and which of these it covers."""
        if self._standing:
            return picture, np.ones(self._shape, bool)
        return self._onto(picture), self._onto(np.ones(self._shape, np.uint8)) > 0

    def _onto(self, values: np.ndarray, how: int = cv2.INTER_LINEAR) -> np.ndarray:
        return values if self._standing else _warped(values, np.linalg.inv(self._to_background), how)

    def _back(self, values: np.ndarray) -> np.ndarray:
        return values if self._standing else _warped(values, self._to_background)

    def _tolerance(self, placed: np.ndarray, inside: np.ndarray) -> np.ndarray | None:
        """Grey levels by which a point may be off because the frame lies beside the background, uint8 (h, w).

        By how much it does, or is blurred, is told by most of the edges: those of things that move are few.
        """
        if self._standing:
            return None
        luma = self._background.luma.astype(np.uint8)
        slope = cv2.morphologyEx(luma, cv2.MORPH_GRADIENT, np.ones((3, 3), np.uint8))
        steep = (_sampled(slope) > _STEEP_LEVELS) & _sampled(inside) & _sampled(self._background.known)
        beside = _MISALIGNED
        if np.count_nonzero(steep) >= _LEAST_STEEP:
            off = cv2.absdiff(_sampled(placed[..., 0]), _sampled(luma))[steep]
            beside = _SIGMA_OF_MEDIAN * float(np.median(off / _sampled(slope)[steep]))
        return cv2.convertScaleAbs(slope, alpha=min(max(beside, _ALIGNED), _MISALIGNED))


def _unmoved(before: np.ndarray | None, luma: np.ndarray) -> bool:
    """Whether a frame lies where the one before did, uint8 (h, w) each: flow is too coarse to place the first ones."""
    marks = None if before is None else keypoints(before.astype(np.float32), np.ones(before.shape, bool))
    if marks is None:
        return False
    found, fits = register(luma, marks, np.eye(3))
    return fits and farthest(found, luma.shape) < _STILL_POINTS


def _sampled(values: np.ndarray) -> np.ndarray:
    """Of values (h, w) or (h, w, 3) those that `Background.sampled` has."""
    return values[_EVERY // 2 :: _EVERY, _EVERY // 2 :: _EVERY]


def _calibrated(evidence: np.ndarray) -> np.ndarray:
    """Evidence in units of what most of the frame shows: what misalignment and blur do everywhere tells nothing."""
    told = evidence[::4, ::4]
    told = told[told > 0]
    common = float(np.percentile(told, 75)) / (_COMMON_SIGMAS * EVIDENCE_PER_SIGMA) if told.size else 1.0
    return cv2.convertScaleAbs(evidence, alpha=1 / max(common, _CLEANEST))


def _warped(values: np.ndarray, back: np.ndarray, how: int = cv2.INTER_LINEAR) -> np.ndarray:
    """Values (h, w) or (h, w, 3) taken at `back` (3, 3) of each point; 0 from outside."""
    size = (values.shape[1], values.shape[0])
    flags = how | cv2.WARP_INVERSE_MAP
    if np.allclose(back[2], (0, 0, 1), atol=1e-7):
        return cv2.warpAffine(values, back[:2], size, flags=flags)
    return cv2.warpPerspective(values, back, size, flags=flags)

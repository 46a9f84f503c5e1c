"""The camera's motion from frame to frame of one path, with all that is learned of the world on the way.

Constants without another reason were tuned by hand on the large movers of `python -m benchmarks.bench_stabilization
--parts known` and on `python -m benchmarks.stabilizing.foregrounds`.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from raftline.camera.background_belief import BackgroundBelief
from raftline.camera.camera_motion import CameraMotion, fit_camera_motion
from raftline.camera.direct_alignment import (
    aligned_motion,
    believed_alignment,
    following,
    refined_motion,
)
from raftline.camera.hindsight import Hindsight
from raftline.camera.layer_order import LayerOrder
from raftline.camera.parallax import ParallaxField
from raftline.camera.plane_models import ModelName
from raftline.camera.revision import Revision
from raftline.camera.richer_plane import RicherPlane
from raftline.camera.step import Step, followed, seen, world
from raftline.camera.world_memory import Sighting, WorldMemory
from raftline.camera.world_motion import agreement, motion_of_trusted

_MIN_CONFIDENCE = 0.1
"""Motion of less confidence is taken as none: a frame that stays beats one that wanders. Chosen by hand; `python -m
benchmarks.bench_stabilization --parts known --only blank_wall,low_light` shows its effect."""
_TOGETHER = 0.75
"""Share of the flow in one motion with which nothing moves by itself, whatever was believed."""
_RICHER_POINTS = 1250
"""Points of flow that a homography in place of a similarity is fitted to, in the same time: alignment follows."""
_UNSEEN_SECONDS, _UNSEEN_CONFIDENCE = 0.5, 0.2
"""Time for which the camera's motion is told by what moves past it alone, and the confidence in that."""
_FOLLOWED = 0.6
"""Share of the world whose flow follows a motion from which that is believed without a search on the frames themselves.
Of 0.6, 0.8 and never, the first leaves most gain on foreground, sweep, walker_left and two_layers (421, 375, 401, 149;
never: 413, 333, 399, 142), and takes 19 CPU ms of a handheld 640x360 frame instead of 48."""


class CameraTracker:
    """Measures the steps of one path, in order."""

    def __init__(self, width: int, height: int, model: ModelName | None, parallax: ParallaxField | None) -> None:
        """Begin a path of frames of `width` x `height` px.

        Args:
            width: px.
            height: px.
            model: The model of the camera's motion between two frames; None: a similarity, and a homography where the
                frames show more (see `RicherPlane`).
            parallax: To learn the parallax with; None: the scene is one plane.
        """
        self._parallax = parallax
        self._size = (width, height)
        self._fixed: ModelName = model or "similarity"
        self._richer = None if model is not None else RicherPlane()
        self._belief, self._memory = BackgroundBelief(width, height), WorldMemory()
        self._order = LayerOrder()
        self.hindsight = Hindsight(width, height)
        """Its state is large, and not part of `state`."""
        self._since = np.eye(3)
        """Motion over the frames without one up to the last, as far as their flow tells."""
        self._unseen = 0.0
        """Time for which the world has been out of sight, s."""

    @property
    def gains(self) -> np.ndarray | None:
        """As `ParallaxField.gains`; None: one plane."""
        return self._parallax.gains if self._parallax is not None else None

    @property
    def _model(self) -> ModelName:
        """The model of the next frame; a mesh takes what its plane leaves."""
        if self._richer is None or self.gains is not None:
            return self._fixed
        return self._richer.model

    def take(self, step: Step) -> tuple[CameraMotion, list[Revision]]:
        """Return the motion into a frame, and the frames that it revises put right."""
        motion, sighting = self._motion(step)
        if motion.confidence < _MIN_CONFIDENCE:
            self._lose(step)
            self.hindsight.lose()
            return CameraMotion.unknown(motion.reason), []
        was_settled = self._order.settled
        revised = [] if step.apart else self._learn(step, motion)
        known = bool(revised) or (self._order.settled and not was_settled)
        also = self.hindsight.take(step, motion.matrix, revised, self._belief if known else None)
        if step.apart:
            self._lose(step)
        self._since = np.eye(3)
        self._memory.follow(motion.matrix, step.seconds)
        if sighting is not None and not revised:
            self._belief.correct(sighting.known, sighting.agrees)
        shown = self._belief.cells(*step.texture.shape)
        if self._parallax is not None and (plane := self._parallax.trust(*shown.shape)) is not None:
            shown = shown * plane
        self._memory.keep(step.now, shown, step.texture, self._belief.contested, anew=bool(revised))
        return motion, revised + also

    def _motion(self, step: Step) -> tuple[CameraMotion, Sighting | None]:
        likely = None if step.apart else self._likely(step)
        doubtful = step.apart or self._belief.contested
        sighting = self._sighting(step, likely) if doubtful else None
        if sighting is None:
            motion = self._across(step) if likely is None else self._fitted(step, likely)
            if motion.confidence >= _MIN_CONFIDENCE:
                self._unseen = 0.0
                return motion, None
            if doubtful:
                return self._unseen_world(step, motion), None
            sighting = self._sighting(step, likely)
            if sighting is None:
                return self._unseen_world(step, motion), None
        self._unseen = 0.0
        return sighting.motion, sighting

    def _unseen_world(self, step: Step, motion: CameraMotion) -> CameraMotion:
        """Return the motion of a world that is out of sight: what moves past it does so as a moment ago."""
        self._unseen += step.seconds
        found = None if step.apart or self._unseen > _UNSEEN_SECONDS else self._beside(step)
        if found is None:
            return motion
        self._order.doubt()
        return CameraMotion(found, "similarity", 0.0, _UNSEEN_CONFIDENCE, 0.0)

    def _beside(self, step: Step) -> np.ndarray | None:
        """Return the camera's motion (3, 3) if what moves by itself goes on as it did; None: nothing does."""
        if step.before is None:
            return None
        whole = self._fit(step, step.texture)
        return self._order.camera_beside(step.before, step.now, whole.matrix, self._movers(step))

    def _movers(self, step: Step) -> np.ndarray:
        """Return how far cells (rows, columns) of the frame before are known to move by themselves, 0-1."""
        return np.clip(1.0 - 2.0 * self._belief.cells(*step.texture.shape), 0.0, 1.0)

    def _likely(self, step: Step) -> CameraMotion:
        """Return the motion that the flow of what is trusted follows, as precise as the frames tell it."""
        plane, model = self._trusted(step), self._model
        weights = step.texture if plane is None else step.texture * plane
        motion = self._fit(step, weights)
        if step.before is None:
            return motion
        contested, meshed = self._belief.contested, self.gains is not None
        tries = self._richer is not None and not meshed and self._richer.tries(contested)
        found = believed_alignment(motion, step.before, step.now, step.flow_px, model, plane, tries)
        if found is None:
            return motion
        if self._richer is not None and not contested and not meshed:
            richer = found if model == "homography" else found.richer
            if richer is not None and self._richer.take(richer, *self._size):
                found, model = richer, "homography"
        return aligned_motion(motion, found, model)

    def _sighting(self, step: Step, likely: CameraMotion | None) -> Sighting | None:
        """Look for the world as it is remembered, where the flow leads and elsewhere."""
        if self._memory.empty:
            return None
        if likely is not None and step.before is not None and likely.confidence >= _MIN_CONFIDENCE:
            found = self._memory.confirmed(step.now, likely)
            if found is not None:
                return found
        return self._memory.sighting(step.before, step.now, self._guesses(step, likely), self._model)

    def _guesses(self, step: Step, likely: CameraMotion | None) -> Iterator[np.ndarray]:
        """Yield motions into a frame that parts of its flow follow."""
        trust = self._trusted(step)
        if likely is not None:
            yield likely.matrix
        elif trust is not None:
            yield self._fit(step, step.texture * trust).matrix @ self._since
        whole = self._fit(step, step.texture)
        yield whole.matrix @ self._since
        yield self._fit(step, step.texture * (1 - following(step.flow_px, whole))).matrix @ self._since

    def _fit(self, step: Step, weights: np.ndarray) -> CameraMotion:
        most = None if self._model == self._fixed else _RICHER_POINTS
        return fit_camera_motion(step.flow_px, *self._size, self._model, weights, most)

    def _learn(self, step: Step, motion: CameraMotion) -> list[Revision]:
        agrees = None
        if step.before is not None:
            agrees = agreement(step.before, step.now, motion.matrix, *self._belief.shape(step.flow_px))
        movers = self._movers(step)
        layers = self._belief.add(step.seconds, step.flow_px, motion.matrix, step.texture, agrees)
        if self._parallax is None or not self._parallax.supported:
            taken = (step.index, step.seconds, step.before, step.now, motion.matrix)
            revised = self._order.add(*taken, layers, movers, self._belief.contested)
            if revised:
                self._belief.turn(layers)
                return revised
        else:  # the two layers are depths of one world
            self._order.lose()
            self.hindsight.forget()
        if self._parallax is None:
            return []
        revised = self._parallax.add(step.index, step.seconds, step.flow_px, motion.matrix, step.texture)
        if revised:  # the layer that was followed is not the one to follow
            self._belief, self._order = BackgroundBelief(*self._size), LayerOrder()
            self.hindsight.forget()
        return revised

    def _lose(self, step: Step) -> None:
        """Take a frame whose flow tells nothing of the camera's motion."""
        self._since = self._fit(step, step.texture).matrix @ self._since
        if self._parallax is not None:
            self._parallax.lose(step.seconds)
        self._belief.lose(step.flow_px)
        self._order.lose()
        if self._belief.trust(*step.texture.shape) is None:  # all is forgotten
            self._order = LayerOrder()

    def _fitted(self, step: Step, motion: CameraMotion) -> CameraMotion:
        """Return `motion` as far as it is believed, else that of the trusted cells."""
        if step.before is None:
            return motion
        plane = self._trusted(step)
        contested = self._belief.contested
        if motion.confidence >= _MIN_CONFIDENCE and not (contested and followed(motion, step, plane) < _FOLLOWED):
            return motion
        trust = np.ones(step.texture.shape) if plane is None else plane
        if contested:
            trust = trust * seen(step.texture)
        return self._among_trusted(step, motion, trust)

    def _across(self, step: Step) -> CameraMotion:
        """Return the motion from the last frame that has one, over those that have none."""
        trust = self._trusted(step)
        if step.before is not None:
            shows = world(np.ones(step.texture.shape) if trust is None else trust)
            found = motion_of_trusted([np.eye(3), self._since], step.before, step.now, self._model, shows)
            if found is not None:
                return found
        motion = self._fit(step, step.texture)
        if motion.inlier_share <= _TOGETHER and trust is not None:
            motion = self._fit(step, step.texture * trust)
        return replace(motion, matrix=motion.matrix @ self._since)

    def _among_trusted(self, step: Step, motion: CameraMotion, trust: np.ndarray) -> CameraMotion:
        """Return the motion under which the trusted cells of two frames agree best, wherever the flow leads."""
        assert step.before is not None
        weak = fit_camera_motion(step.flow_px, *self._size, "translation", trust)
        beside = self._beside(step) if self._belief.contested else None
        found = motion_of_trusted(
            [*([] if beside is None else [beside]), motion.matrix, weak.matrix],
            step.before,
            step.now,
            self._model,
            world(trust),
            step.flow_px,
        )
        if found is not None or not self._belief.contested:
            return found or motion
        whole = self._fit(step, step.texture)
        if whole.inlier_share > _TOGETHER:
            return refined_motion(whole, step.before, step.now, step.flow_px, self._model)
        return CameraMotion.unknown("too little of what is the world is in view")

    def _trusted(self, step: Step) -> np.ndarray | None:
        """Return the trust (rows, columns) in each cell to follow the camera; None trusts all alike."""
        known = [each.trust(*step.texture.shape) for each in (self._belief, self._parallax) if each is not None]
        trusts = [each for each in (*known, step.allowed) if each is not None]
        return functools.reduce(np.multiply, trusts) if trusts else None

    def state(self) -> dict[str, Any]:
        """Return everything but `hindsight` as JSON values, some 10 kB."""
        return {
            "size": self._size,
            "parallax": self._parallax.state() if self._parallax else None,
            "belief": self._belief.state(),
            "order": self._order.state(),
            "memory": self._memory.state(),
            "unseen": self._unseen,
            "since": self._since.ravel().tolist(),
            "richer": self._richer.state() if self._richer else None,
        }

    @classmethod
    def from_state(cls, state: dict[str, Any], model: ModelName | None) -> CameraTracker:
        """Return a tracker that goes on where `state` was taken; `allowed` is to be set anew."""
        parallax = ParallaxField.from_state(state["parallax"]) if state["parallax"] else None
        width, height = state["size"]
        found = cls(width, height, model, parallax)
        found._belief = BackgroundBelief.from_state(state["belief"])
        found._order = LayerOrder.from_state(state["order"])
        found._memory = WorldMemory.from_state(state["memory"])
        found._unseen = state["unseen"]
        found._since = np.array(state["since"]).reshape(3, 3)
        found._richer = RicherPlane.from_state(state["richer"]) if state["richer"] else None
        return found

"""Parallax of a still scene before a moving camera: how much farther parts of the image move than its main plane.

A camera that shifts moves content the more, the nearer it is. Content at another depth moves, in addition to the
plane's motion, by a gain times the plane's own shift, in the same direction and at the same time; the gain changes
slowly. Regression over the recent past finds it at each vertex of a mesh. What moves by itself is not in step with the
camera and gets no gain.

Constants without another reason were chosen by hand; `python -m benchmarks.bench_stabilization --parts known --only
two_layers,foreground` shows their effect.
"""

from __future__ import annotations

import base64
from typing import Any

import numpy as np

from raftline.camera.camera_motion import grid_centres
from raftline.camera.cholesky import BandedCholesky
from raftline.camera.mesh import centre_shift, mesh_shape, mesh_smoothness
from raftline.camera.revision import Revision, revision
from raftline.camera.vertex_motion import VertexMotion, mesh_weights
from raftline.kernels.compiled import compiled

_MEMORY_SECONDS, _MEMORY_FRAMES = 1.0, 20
"""Time constant of the exponential forgetting: a second, or 20 frames where a second holds fewer."""
_ROUNDS = 3
"""Of revising the first frames."""
_MIN_SIGMA_PX = 0.1
"""Sigma of a vertex's motion in one frame, at least: neighbouring cells of flow err together."""
_TYPICAL_DIFFERENCE, _TYPICAL_GAIN = 0.1, 1.0
"""Sigmas of the prior: of the difference of neighbouring gains, and of a gain."""
_MIN_EXPLAINED_SHARE, _MIN_PARALLAX_PX = 0.5, 0.3
"""A vertex supports parallax if its gain explains this share of its residual motion's square, and causes this rms of
motion a frame."""
_SUPPORT_ON, _SUPPORT_OFF = 0.25, 0.12
"""Share of supporting vertices at which the mesh comes, and below which it goes. Measured: 0.50 where a near layer
takes 42 % of the frame; at most 0.03 on four handheld clips, 0.12 on one of a bird, 0.17 on tennis; 0 with an object
that moves over 60 % of the frame."""
_CHANCE_FRAMES = 2.4
"""Over the frames seen, the share that must be explained in addition: chance explains much of few frames. Of 600
objects that shook as fast as the camera, 1 % passed a share of 0.5 of 12 frames within 3 s, and 2 % of 8."""
_MIN_FRAMES = 8.0
"""Frames seen, weighted, before a mesh may come; a vertex needs half of them."""
_EARLY_FRAMES = 25
"""First frames of a path that are looked at again once gains are known."""
_FADE_SECONDS = 0.3
"""Time over which a mesh comes and goes."""
_PLANE_GAIN = 0.1
"""Content of up to this gain belongs to the plane; trust falls to 0 over as much more."""
_OFF_PLANE_TRUST = 0.05
"""Trust left to cells off the plane in the next fit, so that a lost plane can be found again."""
_FAR_SHARE = 0.25
"""Share of the mesh that may lie behind the far plane."""
_FIXED_GAIN = -0.7
"""What moves by less than 0.3 of the plane's shift is fixed to the camera. It is no plane to measure movement by, and
supports no mesh: with a fit led astray by a passing car, the street before a fixed camera looks the same."""
_MIN_GAIN, _MAX_GAIN = -1.0, 3.0
"""-1 is fixed to the camera; 3 is four times as near as the plane."""
_DIGITS = 4
"""Of shifts that are told."""


class ParallaxField:
    """Learns the gains of a mesh from the frames of one path, in order."""

    def __init__(self, width: int, height: int, unseen_seconds: float = 0.0) -> None:
        """Begin a path.

        Args:
            width: Width of the frames, px.
            height: Height of the frames, px.
            unseen_seconds: Time from the path's start for which no frame of it is shown yet, so that a mesh that comes
                within it need not fade in.
        """
        self.width, self.height = width, height
        self._unseen_seconds = unseen_seconds
        self._early: list[VertexMotion] = []
        """The path's first frames, until a mesh comes."""
        self._learning = True
        self._moments = np.zeros((8, *mesh_shape(width, height)))
        """Weighted sums over frames: weight; camera x, y; rest x, y; squares of camera, both, rest."""
        self._supported, self._strength = False, 0.0
        self._gains = np.zeros(self._moments.shape[1:])

    @property
    def supported(self) -> bool:
        """The data support a mesh."""
        return self._supported

    @property
    def gains(self) -> np.ndarray | None:
        """(rows, columns) float64 of the mesh, fading in and out; None if the data support one plane alone."""
        return self._gains * self._strength if self._strength > 0.0 else None

    def trust(self, rows: int, columns: int) -> np.ndarray | None:
        """Return the trust in each cell for the next fit, so that it keeps to its plane where two are equally large.

        Returns:
            (rows, columns) on the 8 px grid: 1 in the plane, little off it; None trusts all alike.
        """
        if not self._supported:
            return None
        down, along = mesh_weights(*grid_centres(rows, columns), self.width, self.height)
        off = np.abs(down @ self._gains @ along.T) / _PLANE_GAIN
        return np.clip(2.0 - off, _OFF_PLANE_TRUST, 1.0)

    def add(
        self, index: int, seconds: float, flow_px: np.ndarray, matrix: np.ndarray, weights: np.ndarray
    ) -> list[Revision]:
        """Take the next frame.

        Args:
            index: Index of the frame.
            seconds: Time since the frame before.
            flow_px: (ceil(H/8), ceil(W/8), 2) float px: flow into the frame.
            matrix: (3, 3) px to px: the plane's motion into the frame.
            weights: (ceil(H/8), ceil(W/8)) >= 0: trust in the flow.

        Returns:
            The frames that turn out to have been fitted to another plane.
        """
        seen = VertexMotion.measure(index, seconds, flow_px, matrix, weights, (self.width, self.height))
        self._take(seen)
        self._learning = self._learning and len(self._early) < _EARLY_FRAMES
        self._early = [*self._early, seen] if self._learning else []
        self._supported = self._solve() >= (_SUPPORT_OFF if self._supported else _SUPPORT_ON)
        self._fade(seconds)
        return self._revise() if self._supported and self._early else []

    def lose(self, seconds: float) -> None:
        """Take a frame, `seconds` after the one before, whose plane is unknown: the next fit is to the whole image."""
        self._supported = False
        self._fade(seconds)

    def _fade(self, seconds: float) -> None:
        step = seconds / _FADE_SECONDS
        self._strength = float(np.clip(self._strength + (step if self._supported else -step), 0.0, 1.0))

    def _take(self, seen: VertexMotion) -> None:
        kept = np.exp(-min(seen.seconds / _MEMORY_SECONDS, 1.0 / _MEMORY_FRAMES))
        _add_moments(self._moments, kept, seen.shift, seen.rest, seen.counted)

    def _revise(self) -> list[Revision]:
        """Look at the first frames again, knowing the gains: before, each fit took one plane or the other."""
        early, self._early, self._learning = self._early, [], False
        revised = early
        for _ in range(_ROUNDS):
            revised = [seen.under(self._gains_of_usual_plane(early)) for seen in early]
            self._moments[:] = 0.0
            for seen in revised:
                self._take(seen)
            self._solve()
        if sum(seen.seconds for seen in early) < self._unseen_seconds:
            self._strength = 1.0
        pairs = zip(early, revised, strict=True)
        moved = [(seen.index, *np.round(now.shift - seen.shift, _DIGITS)) for seen, now in pairs]
        return [revision(index, shifted(np.eye(3), x, y)) for index, x, y in moved if x or y]

    def _gains_of_usual_plane(self, early: list[VertexMotion]) -> np.ndarray:
        """Return the gains relative to the plane that most frames were fitted to, weighted by the px they moved."""
        shifts = np.array([seen.shift_under(self._gains) for seen in early])
        moved = np.maximum((shifts**2).sum(axis=1), 1e-9)
        nearness = np.array([shift @ seen.shift for shift, seen in zip(shifts, early, strict=True)]) / moved
        order = np.argsort(nearness)
        cumulative = np.cumsum(moved[order])
        usual = nearness[order[np.searchsorted(cumulative, cumulative[-1] / 2)]]
        return (1.0 + self._gains) / max(float(usual), 1.0 + _FIXED_GAIN) - 1.0

    def _solve(self) -> float:
        """Take the gains from the moments, smooth over the mesh; return the share of vertices that support them."""
        gain, certain = np.empty((2, *self._gains.shape))
        _regress(self._moments, gain, certain)
        self._gains = np.clip(_smooth(gain, certain), _MIN_GAIN, _MAX_GAIN)
        return _supporting(self._moments, self._gains)

    def state(self) -> dict[str, Any]:
        """Return everything as JSON values: about 8 kB, up to 20 kB during a path's first frames.

        The moments go as base64 of float32: written as figures they would take half a ms of every frame.
        """
        return {
            "size": [self.width, self.height],
            "moments": base64.b64encode(self._moments.astype(np.float32).tobytes()).decode("ascii"),
            "supported": self._supported,
            "strength": self._strength,
            "unseen_seconds": min(self._unseen_seconds, 1e9),
            "learning": self._learning,
            "early": [seen.to_json() for seen in self._early],
        }

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> ParallaxField:
        """Return a field that goes on where `state` was taken."""
        width, height = state["size"]
        field = cls(width, height, state["unseen_seconds"])
        moments = np.frombuffer(base64.b64decode(state["moments"]), np.float32).astype(np.float64)
        field._moments = moments.reshape(field._moments.shape)
        field._supported, field._strength = state["supported"], state["strength"]
        field._learning = state["learning"]
        field._early = [VertexMotion.from_json(values, field._gains.shape) for values in state["early"]]
        field._solve()
        return field


def of_far_plane(matrix: np.ndarray, gains: np.ndarray, width: int, height: int) -> tuple[np.ndarray, np.ndarray]:
    """Express a plane's motion and the gains relative to the far plane, which most of the mesh lies in front of.

    Far content moves least: correcting it needs the least crop, and only the rim of what is nearer goes short.

    Args:
        matrix: (3, 3) px to px: the motion of the plane that the gains are relative to.
        gains: (rows, columns) of the mesh.
        width: Width of the frame, px.
        height: Height of the frame, px.

    Returns:
        The far plane's motion (3, 3), and the gains (rows, columns) relative to it.
    """
    moving = gains[gains > _FIXED_GAIN]
    far = float(np.quantile(moving, _FAR_SHARE)) if moving.size else 0.0
    return shifted(matrix, *(far * centre_shift(matrix, width, height))), (1.0 + gains) / (1.0 + far) - 1.0


def shifted(matrix: np.ndarray, x_px: float, y_px: float) -> np.ndarray:
    """Return the motion `matrix` (3, 3) followed by a shift, px."""
    return np.array([[1.0, 0.0, x_px], [0.0, 1.0, y_px], [0.0, 0.0, 1.0]]) @ matrix


def _smooth(gain: np.ndarray, certain: np.ndarray) -> np.ndarray:
    """Smooth gains (rows, columns) of precision `certain` (1 / variance) under the prior: a linear Gaussian model."""
    normal = mesh_smoothness(*gain.shape) / _TYPICAL_DIFFERENCE**2
    normal[-1] += certain.ravel() + _TYPICAL_GAIN**-2
    return BandedCholesky(normal).solve((certain * gain).ravel()).reshape(gain.shape)


@compiled
def _add_moments(moments: Any, kept: Any, shift: Any, rest: Any, counted: Any) -> None:
    """Add a frame to the moments (8, rows, columns), of which a part is kept; rounded as the state holds them."""
    x, y = shift[0], shift[1]
    for row in range(counted.shape[0]):
        for column in range(counted.shape[1]):
            u, v, weight = rest[0, row, column], rest[1, row, column], counted[row, column]
            added = (1.0, x, y, u, v, x * x + y * y, x * u + y * v, u * u + v * v)
            for k in range(8):
                moments[k, row, column] = np.float32(moments[k, row, column] * kept + weight * added[k])


@compiled
def _squares(m: Any) -> Any:
    """Return the weight of moments (8,), and the squares about their means: the camera's, both's and the rest's."""
    weight = max(m[0], 1e-9)
    camera = max(m[5] - (m[1] * m[1] + m[2] * m[2]) / weight, 1e-9)
    both = m[6] - (m[1] * m[3] + m[2] * m[4]) / weight
    rest = max(m[7] - (m[3] * m[3] + m[4] * m[4]) / weight, 1e-9)
    return weight, camera, both, rest


@compiled
def _regress(moments: Any, gain: Any, certain: Any) -> None:
    """Write the gains (rows, columns) that moments (8, rows, columns) tell, and their precision."""
    for row in range(gain.shape[0]):
        for column in range(gain.shape[1]):
            weight, camera, both, rest = _squares(moments[:, row, column])
            gain[row, column] = both / camera
            variance = max(rest - both / camera * both, 0.0) / weight / 2
            certain[row, column] = camera / max(variance, _MIN_SIGMA_PX * _MIN_SIGMA_PX)


@compiled
def _supporting(moments: Any, gains: Any) -> Any:
    """Return the share of vertices that support parallax by smooth gains (rows, columns); 0 of too few frames."""
    most, count = 0.0, 0
    for row in range(gains.shape[0]):
        for column in range(gains.shape[1]):
            weight, camera, both, rest = _squares(moments[:, row, column])
            explains = both / camera * both > (_MIN_EXPLAINED_SHARE + _CHANCE_FRAMES / weight) * rest
            moves = abs(gains[row, column]) * np.sqrt(camera / weight) > _MIN_PARALLAX_PX
            count += explains and weight > _MIN_FRAMES / 2 and moves and gains[row, column] > _FIXED_GAIN
            most = max(most, weight)
    return count / gains.size if most >= _MIN_FRAMES else 0.0

"""Parallax of a still scene before a camera that moves: how much farther parts of the picture go than its plane.

A camera that shifts moves content by as much as it is near. Beside the plane's motion, content at another depth so
moves by a gain times the plane's own shift, in the same direction and at the same time, and the gain changes slowly.
It is found by regression over a stretch of the past. What moves by itself is not in step with the camera and gets none.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy.linalg import solveh_banded

from raftline.camera.camera_motion import grid_centres
from raftline.camera.mesh import centre_shift, hat_weights, mesh_shape, mesh_smoothness
from raftline.camera.transforms import transform_points

_MEMORY_SECONDS, _MEMORY_FRAMES = 1.0, 20
"""What is older counts for less than a third: seconds, or frames where these are few."""
_SIDE_CELLS = 80
"""Along the longer side, that are looked at: five for a vertex."""
_FULL_TEXTURE = 4.0
"""Trusted cells with which a vertex counts fully."""
_FOLLOWS_PX, _ROUNDS = 1.0, 3
_LEAST_SIGMA_PX = 0.1
"""Of a vertex's motion in one frame: neighbouring cells of flow err together."""
_TYPICAL_DIFFERENCE, _TYPICAL_GAIN = 0.1, 1.0
"""Of the gains of neighbouring vertices, and of one, where the data do not say."""
_EXPLAINED, _SEEN_PX = 0.5, 0.3
"""To bear parallax out: share of a vertex's motion beside the plane that its gain explains; rms px of it a frame."""
_AREA_ON, _AREA_OFF = 0.25, 0.12
"""Share of the vertices that bear it out for the mesh to come, and to go. Measured: 0.50 where a near layer takes 42 %
of the frame; at most 0.03 on four handheld clips, 0.12 on one of a bird, 0.17 on tennis; 0 with a thing that moves over
60 % of the frame."""
_CHANCE = 2.4
"""By this over the frames seen, more must be explained: of few, chance explains much. Of 600 things that shook as fast
as the camera, 1 % passed a share of 0.5 of 12 frames within 3 s, and 2 % of 8."""
_LEAST_FRAMES = 8.0
_EARLY_FRAMES = 25
"""After the beginning of a path, that are looked at again once gains are known."""
_WRONG_PX = 1.0
"""By which a shift must be off to be told anew: what is found on the pictures themselves is finer than the mesh."""
_FADE_SECONDS = 0.3
_PLANE_GAIN = 0.1
"""Content of a larger gain lies beside the plane."""
_OFF_PLANE_TRUST = 0.05
_FAR_SHARE, _FARTHEST_GAIN = 0.25, -0.7
"""Share of the mesh that may lie behind the far plane. What hardly moves is no plane to tell movement by, and bears
out no mesh: beside a fit that a passing car led astray, the street of a fixed camera looks so."""
_LEAST_GAIN, _MOST_GAIN = -1.0, 3.0
_DIGITS = 4
"""To which moments are rounded as they are made, so that the state holds them exactly."""


@dataclass(frozen=True)
class _Seen:
    """What a frame shows."""

    index: int
    seconds: float
    shift: np.ndarray
    """(2,) px, of the plane."""
    rest: np.ndarray
    """(2, rows, columns) px, beside the plane."""
    counted: np.ndarray
    """(rows, columns) 0-1."""

    def shift_under(self, gains: np.ndarray) -> np.ndarray:
        """(2,) px: the shift of the plane whose gains these are, of which most vertices move as they should."""
        moved, near = self.rest + self.shift[:, None, None], 1.0 + gains
        weight, shift = self.counted, self.shift
        for _ in range(_ROUNDS * 3):
            shift = (weight * near * moved).sum(axis=(1, 2)) / max(float((weight * near**2).sum()), 1e-9)
            off = ((moved - near * shift[:, None, None]) ** 2).sum(axis=0)
            weight = self.counted / (1.0 + off / _FOLLOWS_PX**2) ** 2
        return shift

    def cells(self) -> str:
        """`rest` and `counted`, packed."""
        return base64.b64encode(np.stack([*self.rest, self.counted]).astype(np.float16).tobytes()).decode("ascii")

    def under(self, gains: np.ndarray) -> _Seen:
        """The same, told of the plane whose gains these are, where it was told of another."""
        shift = self.shift_under(gains)
        if np.hypot(*(shift - self.shift)) < _WRONG_PX:
            return self
        return replace(self, shift=shift, rest=self.rest + (self.shift - shift)[:, None, None])


class ParallaxField:
    """What the frames of one path, in order, say about the gains of a mesh."""

    def __init__(self, width: int, height: int, unseen_seconds: float = 0.0) -> None:
        """unseen_seconds: how long from its beginning nothing of the path is shown, so that a mesh may come at once."""
        self.width, self.height = width, height
        self._unseen_seconds = unseen_seconds
        self._early: list[_Seen] = []
        """The path's first frames, until a mesh comes."""
        self._learning = True
        self._moments = np.zeros((8, *mesh_shape(width, height)))
        """Sums over frames, each at its weight: weight; camera x, y; rest x, y; squares of camera, both, rest."""
        self._supported, self._strength = False, 0.0
        self._gains = np.zeros(self._moments.shape[1:])

    @property
    def gains(self) -> np.ndarray | None:
        """(rows, columns) float64; None where the data bear out one plane alone. Comes and goes smoothly."""
        return self._gains * self._strength if self._strength > 0.0 else None

    def plane_trust(self, rows: int, columns: int) -> np.ndarray | None:
        """(rows, columns) of the 8 px grid: 1 for cells of the plane, little for those beside it; None: all alike.

        A fit to these goes on with the plane it had, where two are as large as each other.
        """
        if not self._supported:
            return None
        down, across = self._hats(*grid_centres(rows, columns))
        off = np.abs(down @ self._gains @ across.T) / _PLANE_GAIN
        return np.clip(2.0 - off, _OFF_PLANE_TRUST, 1.0)

    def add(
        self, index: int, seconds: float, flow_px: np.ndarray, matrix: np.ndarray, weights: np.ndarray
    ) -> list[tuple[int, float, float]]:
        """Take the frame `index`, `seconds` after the one before.

        flow_px (h, w, 2), the plane's motion (3, 3), trust (h, w) >= 0. Returns (index, x px, y px) of frames whose
        plane turns out to have been another: their motion shifts by that much more.
        """
        rest, cells = self._beside_plane(flow_px, matrix, weights)
        shift = centre_shift(matrix, self.width, self.height)
        seen = _Seen(index, seconds, shift, _in_16_bits(rest), _in_16_bits(np.minimum(cells / _FULL_TEXTURE, 1.0)))
        self._take(seen)
        self._learning = self._learning and len(self._early) < _EARLY_FRAMES
        self._early = [*self._early, seen] if self._learning else []
        self._supported = self._decided() >= (_AREA_OFF if self._supported else _AREA_ON)
        self._fade(seconds)
        return self._revised() if self._supported and self._early else []

    def lose(self, seconds: float) -> None:
        """A frame whose plane could not be told: the next fit is to all of the picture again."""
        self._supported = False
        self._fade(seconds)

    def _fade(self, seconds: float) -> None:
        step = seconds / _FADE_SECONDS
        self._strength = float(np.clip(self._strength + (step if self._supported else -step), 0.0, 1.0))

    def _take(self, seen: _Seen) -> None:
        shift, rest, one = seen.shift[:, None, None], seen.rest, np.ones_like(seen.counted)
        sums = [one, *(shift * one), *rest, (shift**2).sum() * one, (shift * rest).sum(axis=0), (rest**2).sum(axis=0)]
        self._moments *= np.exp(-min(seen.seconds / _MEMORY_SECONDS, 1.0 / _MEMORY_FRAMES))
        self._moments = np.round(self._moments + seen.counted * np.stack(sums), _DIGITS)

    def _revised(self) -> list[tuple[int, float, float]]:
        """Look at the first frames again, knowing the gains: before, fits took one plane or the other."""
        early, self._early, self._learning = self._early, [], False
        told = early
        for _ in range(_ROUNDS):
            told = [seen.under(self._beside_usual_plane(early)) for seen in early]
            self._moments[:] = 0.0
            for seen in told:
                self._take(seen)
            self._decided()
        if sum(seen.seconds for seen in early) < self._unseen_seconds:
            self._strength = 1.0
        both = [(seen.index, *np.round(now.shift - seen.shift, _DIGITS)) for seen, now in zip(early, told, strict=True)]
        return [(index, float(x), float(y)) for index, x, y in both if x or y]

    def _beside_usual_plane(self, early: list[_Seen]) -> np.ndarray:
        """The gains beside the plane that most of the frames were told of, by the px that they moved."""
        shifts = np.array([seen.shift_under(self._gains) for seen in early])
        moved = np.maximum((shifts**2).sum(axis=1), 1e-9)
        nearness = np.array([shift @ seen.shift for shift, seen in zip(shifts, early, strict=True)]) / moved
        order = np.argsort(nearness)
        cumulative = np.cumsum(moved[order])
        usual = nearness[order[np.searchsorted(cumulative, cumulative[-1] / 2)]]
        return (1.0 + self._gains) / max(float(usual), 1.0 + _FARTHEST_GAIN) - 1.0

    def _hats(self, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        count = self._gains.shape
        return hat_weights(y, self.height, count[0]), hat_weights(x, self.width, count[1])

    def _beside_plane(
        self, flow_px: np.ndarray, matrix: np.ndarray, weights: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """What the plane leaves of the flow around each vertex, (2, rows, columns) px, and how many cells say so."""
        x, y = grid_centres(*flow_px.shape[:2])
        every = max(1, max(flow_px.shape) // _SIDE_CELLS)
        x, y, flow_px, weights = (each[every // 2 :: every] for each in (x, y, flow_px, weights))
        flow_px, weights = flow_px[:, every // 2 :: every], weights[:, every // 2 :: every]
        points = np.stack(np.meshgrid(x, y), axis=-1)
        finite = np.isfinite(flow_px[..., 0]) & np.isfinite(flow_px[..., 1])
        to = points + np.where(finite[..., None], flow_px, 0.0)
        rest = (to - transform_points(matrix, points.reshape(-1, 2)).reshape(points.shape)).transpose(2, 0, 1)
        trust = weights * (finite & ((to >= 0) & (to <= (self.width - 1, self.height - 1))).all(axis=-1))
        down, across = self._hats(x, y)
        robust, mean, seen = trust, np.zeros((2, *self._gains.shape)), np.zeros_like(self._gains)
        for _ in range(_ROUNDS):
            seen = down.T @ robust @ across
            mean = (down.T @ (robust * rest) @ across) / np.maximum(seen, 1e-6)
            far = ((rest - down @ mean @ across.T) ** 2).sum(axis=0)
            reach = max(_FOLLOWS_PX, 3.0 * float(np.median(np.sqrt(far))))
            robust = trust / (1.0 + far / reach**2) ** 2
        return mean, seen

    def _decided(self) -> float:
        """Take the gains that the moments say, smooth over the mesh; return the share of vertices bearing them out."""
        weight, moments = np.maximum(self._moments[0], 1e-9), self._moments
        camera = np.maximum(moments[5] - (moments[1:3] ** 2).sum(axis=0) / weight, 1e-9)
        both = moments[6] - (moments[1:3] * moments[3:5]).sum(axis=0) / weight
        rest = np.maximum(moments[7] - (moments[3:5] ** 2).sum(axis=0) / weight, 1e-9)
        gain = both / camera
        left_px2 = np.maximum(rest - gain * both, 0.0) / weight / 2
        smooth = _smooth(gain, camera / np.maximum(left_px2, _LEAST_SIGMA_PX**2))
        self._gains = np.clip(smooth, _LEAST_GAIN, _MOST_GAIN)
        seen_px = np.abs(self._gains) * np.sqrt(camera / weight)
        bears_out = (gain * both > (_EXPLAINED + _CHANCE / weight) * rest) & (weight > _LEAST_FRAMES / 2)
        bears_out &= (seen_px > _SEEN_PX) & (self._gains > _FARTHEST_GAIN)
        return float(bears_out.mean()) if weight.max() >= _LEAST_FRAMES else 0.0

    def state(self) -> dict[str, Any]:
        """As JSON values, about 12 kB; of a path's first frames up to 50."""
        return {
            "size": [self.width, self.height],
            "moments": self._moments.ravel().tolist(),
            "supported": self._supported,
            "strength": self._strength,
            "unseen_seconds": min(self._unseen_seconds, 1e9),
            "learning": self._learning,
            "early": [[seen.index, seen.seconds, seen.shift.tolist(), seen.cells()] for seen in self._early],
        }

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> ParallaxField:
        """A field that goes on where `state` was taken."""
        width, height = state["size"]
        field = cls(width, height, state["unseen_seconds"])
        field._moments = np.array(state["moments"]).reshape(field._moments.shape)
        field._supported, field._strength = state["supported"], state["strength"]
        field._learning = state["learning"]
        field._early = [
            _Seen(index, seconds, np.array(shift), *_from_cells(cells, field._gains.shape))
            for index, seconds, shift, cells in state["early"]
        ]
        field._decided()
        return field


def _in_16_bits(values: np.ndarray) -> np.ndarray:
    """Rounded so that 16 bits hold them exactly."""
    return values.astype(np.float16).astype(np.float64)


def _from_cells(packed: str, shape: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    values = np.frombuffer(base64.b64decode(packed), np.float16).astype(np.float64).reshape(3, *shape)
    return values[:2], values[2]


def of_far_plane(matrix: np.ndarray, gains: np.ndarray, width: int, height: int) -> tuple[np.ndarray, np.ndarray]:
    """A plane's motion (3, 3) and gains (rows, columns) beside it, told of the plane that most of the mesh lies before.

    Far content moves least: correcting it asks least of the crop, and what is nearer goes short at the rim alone.
    """
    moving = gains[gains > _FARTHEST_GAIN]
    far = float(np.quantile(moving, _FAR_SHARE)) if moving.size else 0.0
    return shifted(matrix, *(far * centre_shift(matrix, width, height))), (1.0 + gains) / (1.0 + far) - 1.0


def shifted(matrix: np.ndarray, x_px: float, y_px: float) -> np.ndarray:
    """A motion (3, 3) that shifts by so much more."""
    return np.array([[1.0, 0.0, x_px], [0.0, 1.0, y_px], [0.0, 0.0, 1.0]]) @ matrix


def _smooth(gain: np.ndarray, certain: np.ndarray) -> np.ndarray:
    """Gains (rows, columns) near those found, as `certain` (1 / variance) as they are, and near their neighbours'."""
    normal = mesh_smoothness(*gain.shape) / _TYPICAL_DIFFERENCE**2
    normal[-1] += certain.ravel() + _TYPICAL_GAIN**-2
    return solveh_banded(normal, (certain * gain).ravel(), overwrite_ab=True).reshape(gain.shape)

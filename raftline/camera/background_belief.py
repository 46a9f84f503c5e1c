"""Which parts of the frame are the world and which move by themselves, remembered from frame to frame.

The motion that fills most of a frame need not be the camera's: a person walks through, a car drives before the lens.
What was the world a moment ago still is, wherever its content went; what moved by itself may have stopped and moves on.
And of two motions the one whose outline moves along with it lies in front (the occluding edge belongs to what
occludes): the other is the world.

Constants without another reason were tuned by hand on the large movers of `python -m benchmarks.bench_stabilization
--parts known --only foreground,sweep,...` at several seeds.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np

from raftline.camera.camera_motion import grid_centres
from raftline.camera.layer_motion import Layers, layers_of
from raftline.camera.packed_maps import as_packed, packed_map, unpacked_map

_SIDE_CELLS = 40
"""Cells looked at along the longer side: bounds the time and the state."""
_LEAST_TRUST = 0.02
"""Trust left to what moves by itself, so that a frame filled by it still has a motion."""
_MOVER_SHARE = 0.4
"""Of its belief that content keeps in a frame in which it does not follow the camera."""
_ALONE_SHARE = 0.3
"""Of that, where no second motion is seen: single cells err."""
_WORLD_SHARE = 0.3
"""Of its disbelief that content loses in a frame in which it follows the camera and something else does not."""
_RETURN_SECONDS = 4.0
"""Time constant in which content that follows the camera is believed to be the world again: more than a stop lasts."""
_MOST_LOST = 5
"""Frames without a motion after which nothing is believed any more, and the world is found anew."""
_MOVES, _COVERED_SHARE = 0.5, 0.2
"""Belief below which content moves by itself; share of a cell from which such content covers it."""
_FORGOTTEN_SHARE = 0.03
"""Of a belief, lost in a frame whose motion is unknown."""
_CONTESTED = 0.9
"""Share of what is believed below which the camera's motion is sought on the frames themselves."""
_UNSEEN = 0.6
"""Belief in content of which nothing is known."""
_LEAST_APART_CELLS = 1.0
"""Cells of the coarse grid by which two layers must have moved apart until their outlines are compared."""
_MEMORY_SECONDS = 1.5
"""Age at which an outline is given up."""
_RIM_SHARE = 0.3
"""Weight of what holds the frame's rim, in that of the outline that moves along."""
_TURNED, _SURE, _MOST = -0.8, 1.2, 3.0
"""Evidence at which the layers change places; from which the past is settled; and at most."""
_UNDISPUTED_SECONDS, _UNDISPUTED_MOST = 0.5, 1.0
"""Time in which all the frame follows one motion, and the evidence for it grows by 1, and how far at most: what moves
by itself may have stood all the while, so that settles nothing."""
_CORRECTED_SHARE = 0.5
"""Of its belief that content gives up in a frame for what is known from elsewhere."""
_MOST_REVISED = 150
"""Frames that are put right at most once the layers change places."""


class BackgroundBelief:
    """Belief, cell by cell, that the content of the last frame is the world; for the frames of one path, in order."""

    def __init__(self, width: int, height: int) -> None:
        """Begin a path of frames of `width` x `height` px."""
        self.width, self.height = width, height
        self._belief: np.ndarray | None = None
        """(h, w) float32, 0-1, on the coarse grid."""
        self._outline: np.ndarray | None = None
        """(h, w) float32, -1 (camera) to 1 (the other layer), a moment ago; 0: neither."""
        self._since = np.eye(3)
        """The camera's motion since then; the other layer moved by `_apart` px, and `_age` s went by."""
        self._apart, self._age = np.zeros(2), 0.0
        self._believed = 1.0
        """Share of the texture of the last frame that is believed to be the world."""
        self._lost = 0
        """Frames without a motion, up to the last one."""
        self._evidence = 0.0
        """That the camera's layer is the one behind."""
        self._open: list[tuple[int, float, float]] = []
        """Index of the frames in doubt, and px that the other layer moved in them, relative to the camera's."""

    def trust(self, rows: int, columns: int) -> np.ndarray | None:
        """Return the trust (rows, columns) in each 8 px cell for the next fit; None trusts all alike."""
        if self._belief is None:
            return None
        fine = cv2.resize(self._belief, (columns, rows), interpolation=cv2.INTER_LINEAR)
        return np.clip(fine**2, _LEAST_TRUST, 1.0)

    def cells(self, rows: int, columns: int) -> np.ndarray:
        """Return the belief (rows, columns) in each 8 px cell of the last frame."""
        if self._belief is None:
            return np.ones((rows, columns), np.float32)
        return cv2.resize(self._belief, (columns, rows), interpolation=cv2.INTER_LINEAR)

    @staticmethod
    def shape(flow_px: np.ndarray) -> tuple[int, int]:
        """Return the (rows, columns) of the coarse grid under flow (h, w, 2)."""
        every = _every(flow_px)
        rows, columns = (len(range(every // 2, length, every)) for length in flow_px.shape[:2])
        return rows, columns

    @property
    def contested(self) -> bool:
        """Much of what has texture in the last frame moves by itself."""
        return self._believed < _CONTESTED

    def lose(self, flow_px: np.ndarray) -> None:
        """Take a frame whose motion is unknown; `flow_px` as in `add`."""
        self._lost += 1
        if self._belief is None or self._lost > _MOST_LOST:
            self.__init__(self.width, self.height)
            return
        every = _every(flow_px)
        pick = (slice(every // 2, None, every),) * 2
        carried = _carried(self._belief, np.nan_to_num(flow_px[pick]).astype(np.float32), 8 * every)
        self._belief = as_packed(carried + _FORGOTTEN_SHARE * (_UNSEEN - carried))
        self._outline = None

    def add(
        self,
        index: int,
        seconds: float,
        flow_px: np.ndarray,
        matrix: np.ndarray,
        weights: np.ndarray,
        settled: bool,
        agrees: np.ndarray | None = None,
    ) -> list[tuple[int, float, float]]:
        """Take the next frame.

        Args:
            index: Index of the frame.
            seconds: Time since the frame before.
            flow_px: (ceil(H/8), ceil(W/8), 2) float px: flow into the frame.
            matrix: (3, 3) px to px: what was taken for the camera's motion into the frame.
            weights: (ceil(H/8), ceil(W/8)) >= 0: trust in the flow.
            agrees: `shape` 0-1: where the two frames agree under `matrix`; None: where the flow does.
            settled: Which layer is the world is known from elsewhere.

        Returns:
            (index, x px, y px) of frames whose motion turns out to be that of what lies in front: it is to be shifted
            by so much.
        """
        self._lost, every = 0, _every(flow_px)
        pick = (slice(every // 2, None, every),) * 2
        x, y = (each[every // 2 :: every] for each in grid_centres(*flow_px.shape[:2]))
        layers = layers_of(flow_px[pick].astype(np.float32), weights[pick], x, y, matrix, self.width)
        if self._belief is None:
            self._belief = np.full(layers.label.shape, 1.0, np.float32)
        self._learn(layers, seconds, agrees)
        self._belief = as_packed(_carried(self._belief, layers.flow_px, 8 * every))
        return [] if settled else self._compare(index, seconds, layers, matrix, x, y)

    def _learn(self, layers: Layers, seconds: float, agrees: np.ndarray | None) -> None:
        assert self._belief is not None
        sure = np.clip(layers.weight * 4.0, 0.0, 1.0)
        moves, stays = sure * np.maximum(1.0 - 2.0 * layers.follows, 0.0), sure * layers.follows
        if layers.apart_px is None:  # what moves by itself may stand, and follow the camera like all else
            stays *= min(seconds / _RETURN_SECONDS, 1.0)
            moves *= _ALONE_SHARE
        else:
            stays = _WORLD_SHARE * np.maximum(-layers.label, 0.0)
        if agrees is not None:
            moves = moves * (1.0 - agrees)
        belief = self._belief * (1.0 - (1.0 - _MOVER_SHARE) * moves)
        self._belief = belief + stays * (1.0 - belief)
        self._believed = float((self._belief * layers.weight).sum() / max(float(layers.weight.sum()), 1e-6))

    def _compare(
        self, index: int, seconds: float, layers: Layers, matrix: np.ndarray, x: np.ndarray, y: np.ndarray
    ) -> list[tuple[int, float, float]]:
        """Gather evidence of which layer lies in front; if it is the camera's, let them change places."""
        turned = False
        if layers.apart_px is not None:
            self._open = [*self._open, (index, *(round(float(px), 4) for px in layers.apart_px))][-_MOST_REVISED:]
            turned = self._weigh(layers, x, y)
        elif self._belief is not None and not self.contested:
            gained = min(self._evidence + seconds / _UNDISPUTED_SECONDS, _UNDISPUTED_MOST)
            self._evidence = max(self._evidence, gained)
        if self._evidence > _SURE:
            self._open = []
        revised = self._turned(layers) if turned else []
        self._since, self._age = matrix @ self._since, self._age + seconds
        if layers.apart_px is not None:
            self._apart = self._apart + layers.apart_px
        return revised

    def _weigh(self, layers: Layers, x: np.ndarray, y: np.ndarray) -> bool:
        """Gather evidence from the outlines; return whether it says that the camera's layer lies in front."""
        if self._outline is None or self._age > _MEMORY_SECONDS:
            self._remember(layers)
        elif float(np.linalg.norm(self._apart)) >= _LEAST_APART_CELLS * (x[1] - x[0] if len(x) > 1 else np.inf):
            found = self._in_front(layers, x, y) + _RIM_SHARE * layers.rim
            self._evidence = float(np.clip(self._evidence + found, -_MOST, _MOST))
            self._remember(layers)
        return self._evidence < _TURNED

    def _remember(self, layers: Layers) -> None:
        """Keep the outline in the earlier frame; the motion from there on is to be added up."""
        self._outline, self._since = as_packed(layers.label), np.eye(3)
        self._apart, self._age = np.zeros(2), 0.0

    def _in_front(self, layers: Layers, x: np.ndarray, y: np.ndarray) -> float:
        """Return 1 if the outline moved with the other layer, which then lies in front, -1 if with the camera's."""
        assert self._outline is not None
        points = np.stack(np.meshgrid(x, y), axis=-1).reshape(-1, 2)
        off = []
        for apart in (np.zeros(2), self._apart):
            back = np.linalg.inv(self._since)
            source = (points - apart) @ back[:2, :2].T + back[:2, 2]
            places = (source - (x[0], y[0])) / (x[1] - x[0])
            map_x, map_y = (places[:, k].reshape(layers.label.shape).astype(np.float32) for k in (0, 1))
            was = cv2.remap(self._outline, map_x, map_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT)
            both = np.minimum(np.abs(was), np.abs(layers.label))
            off.append(float((both * (was - layers.label) ** 2).sum()))
        total = off[0] + off[1]
        return (off[0] - off[1]) / (total + 8.0)

    def _turned(self, layers: Layers) -> list[tuple[int, float, float]]:
        revised, self._open = self._open, []
        label, sure = layers.label, np.abs(layers.label)
        self._belief = as_packed((1 - sure) * _UNSEEN + sure * (label > 0))
        self._outline, self._evidence = None, 0.3
        return revised

    def correct(self, known: np.ndarray, agrees: np.ndarray) -> None:
        """Take what is known from elsewhere of the last frame.

        Args:
            known: (rows, columns) 0-1, of any grid: how far a cell is known.
            agrees: (rows, columns) 0-1: it shows the world.
        """
        if self._belief is None:
            return
        self._lost = 0
        known, agrees = (
            cv2.resize(each.astype(np.float32), self._belief.shape[::-1], interpolation=cv2.INTER_AREA)
            for each in (known, agrees)
        )
        self._belief = as_packed(self._belief + known * _CORRECTED_SHARE * (agrees - self._belief))

    def state(self) -> dict[str, Any]:
        """Return everything as JSON values, some kB."""
        return {
            "size": [self.width, self.height],
            "belief": packed_map(self._belief),
            "outline": packed_map(self._outline),
            "since": self._since.ravel().tolist(),
            "apart": self._apart.tolist(),
            "age": self._age,
            "evidence": self._evidence,
            "lost": self._lost,
            "believed": self._believed,
            "open": self._open,
        }

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> BackgroundBelief:
        """Return a belief that goes on where `state` was taken."""
        found = cls(*state["size"])
        found._belief, found._outline = unpacked_map(state["belief"]), unpacked_map(state["outline"])
        found._since = np.array(state["since"]).reshape(3, 3)
        found._apart, found._age = np.array(state["apart"]), state["age"]
        found._evidence, found._lost, found._believed = state["evidence"], state["lost"], state["believed"]
        found._open = [(index, x, y) for index, x, y in state["open"]]
        return found


def _every(flow_px: np.ndarray) -> int:
    """Return how many 8 px cells a cell of the coarse grid spans."""
    return max(1, -(-max(flow_px.shape) // _SIDE_CELLS))


def _carried(belief: np.ndarray, flow_px: np.ndarray, step_px: int) -> np.ndarray:
    """Carry the belief (h, w) along with the content, by flow (h, w, 2) px on a grid of `step_px`.

    What moves by itself covers what it comes to.
    """
    rows, columns = belief.shape
    at_y, at_x = np.mgrid[:rows, :columns].astype(np.float32)
    cells = flow_px / np.float32(step_px)
    back_x, back_y = at_x - cells[..., 0], at_y - cells[..., 1]
    carried = cv2.remap(belief, back_x, back_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    moves = belief < _MOVES
    to_x, to_y = (at_x + cells[..., 0])[moves], (at_y + cells[..., 1])[moves]
    for x, along in ((np.floor(to_x), 1 - to_x % 1), (np.floor(to_x) + 1, to_x % 1)):
        for y, down in ((np.floor(to_y), 1 - to_y % 1), (np.floor(to_y) + 1, to_y % 1)):
            inside = (x >= 0) & (x < columns) & (y >= 0) & (y < rows) & (along * down > _COVERED_SHARE)
            place = y[inside].astype(int), x[inside].astype(int)
            np.minimum.at(carried, place, belief[moves][inside])
    return carried

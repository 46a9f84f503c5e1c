"""Which parts of the frame are the world and which move by themselves, remembered from frame to frame.

The motion that fills most of a frame need not be the camera's: a person walks through, a car drives before the lens.
What was the world a moment ago still is, wherever its content went; what moved by itself may have stopped and moves on.
Which of two motions is the world's, `layer_order` tells.

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
from raftline.kernels.compiled import compiled

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
_CORRECTED_SHARE = 0.5
"""Of its belief that content gives up in a frame for what is known from elsewhere."""


class BackgroundBelief:
    """Belief, cell by cell, that the content of the last frame is the world; for the frames of one path, in order."""

    def __init__(self, width: int, height: int) -> None:
        """Begin a path of frames of `width` x `height` px."""
        self.width, self.height = width, height
        self._belief: np.ndarray | None = None
        """(h, w) float32, 0-1, on the coarse grid."""
        self._believed = 1.0
        """Share of the texture of the last frame that is believed to be the world."""
        self._lost = 0
        """Frames without a motion, up to the last one."""

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

    def add(
        self,
        seconds: float,
        flow_px: np.ndarray,
        matrix: np.ndarray,
        weights: np.ndarray,
        agrees: np.ndarray | None = None,
    ) -> Layers:
        """Take the next frame, and return its flow, divided.

        Args:
            seconds: Time since the frame before.
            flow_px: (ceil(H/8), ceil(W/8), 2) float px: flow into the frame.
            matrix: (3, 3) px to px: what was taken for the camera's motion into the frame.
            weights: (ceil(H/8), ceil(W/8)) >= 0: trust in the flow.
            agrees: `shape` 0-1: where the two frames agree under `matrix`; None: where the flow does.
        """
        self._lost, every = 0, _every(flow_px)
        pick = (slice(every // 2, None, every),) * 2
        x, y = (each[every // 2 :: every] for each in grid_centres(*flow_px.shape[:2]))
        layers = layers_of(flow_px[pick].astype(np.float32), weights[pick], x, y, matrix, self.width)
        if self._belief is None:
            self._belief = np.full(layers.label.shape, 1.0, np.float32)
        self._learn(layers, seconds, agrees)
        self._belief = as_packed(_carried(self._belief, layers.flow_px, 8 * every))
        return layers

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

    def turn(self, layers: Layers) -> None:
        """Take it that the layer that was taken for the world lies in front of it, in the last frame."""
        assert self._belief is not None
        if layers.apart_px is None:
            self._belief = as_packed(1.0 - self._belief)
            return
        label, sure = layers.label, np.abs(layers.label)
        self._belief = as_packed((1 - sure) * _UNSEEN + sure * (label > 0))

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
            "lost": self._lost,
            "believed": self._believed,
        }

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> BackgroundBelief:
        """Return a belief that goes on where `state` was taken."""
        found = cls(*state["size"])
        found._belief = unpacked_map(state["belief"])
        found._lost, found._believed = state["lost"], state["believed"]
        return found


def _every(flow_px: np.ndarray) -> int:
    """Return how many 8 px cells a cell of the coarse grid spans."""
    return max(1, -(-max(flow_px.shape) // _SIDE_CELLS))


def _carried(belief: np.ndarray, flow_px: np.ndarray, step_px: int) -> np.ndarray:
    """Carry the belief (h, w) along with the content, by flow (h, w, 2) px on a grid of `step_px`.

    What moves by itself covers what it comes to.
    """
    back, onto = np.empty((2, *belief.shape), np.float32), np.empty((2, *belief.shape), np.float32)
    _trace(flow_px, np.float32(step_px), back, onto)
    carried = cv2.remap(belief, back[0], back[1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    _cover(belief, onto, carried)
    return carried


@compiled
def _trace(flow_px: Any, step_px: Any, back: Any, onto: Any) -> None:
    """Write where cells come from and go to, x and y (2, h, w), by flow float32 (h, w, 2)."""
    for i in range(flow_px.shape[0]):
        for j in range(flow_px.shape[1]):
            u, v = flow_px[i, j, 0] / step_px, flow_px[i, j, 1] / step_px
            back[0, i, j], back[1, i, j] = np.float32(j) - u, np.float32(i) - v
            onto[0, i, j], onto[1, i, j] = np.float32(j) + u, np.float32(i) + v


@compiled
def _cover(belief: Any, onto: Any, carried: Any) -> None:
    """Let what moves by itself cover what it comes to."""
    rows, columns = belief.shape
    for i in range(rows):
        for j in range(columns):
            if not belief[i, j] < _MOVES:
                continue
            left, top = np.floor(onto[0, i, j]), np.floor(onto[1, i, j])
            along, down = onto[0, i, j] - left, onto[1, i, j] - top
            for right in range(2):
                for below in range(2):
                    x, y = left + right, top + below
                    share = (along if right else 1 - along) * (down if below else 1 - down)
                    if x >= 0 and x < columns and y >= 0 and y < rows and share > _COVERED_SHARE:
                        carried[int(y), int(x)] = min(carried[int(y), int(x)], belief[i, j])

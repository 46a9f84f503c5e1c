"""What stops under a camera that moves stays for a while: flow carries along where it was.

Under a camera that stands the background shows what stopped. Under one that moves it may not be known there: what was
seen to move has to do, for at most as long as it was seen to.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np

from raftline.camera.working_grid import WorkingGrid
from raftline.kernels.cell import CELL_PX
from raftline.masks.foreground import grown, surroundings

_GOES_ON_SHARE = 0.5
"""Of a part of the mask: where as much of it still moves, that alone is its outline. Chosen by hand;
`python -m benchmarks.bench_motion_masks` shows its effect."""
_GOES_ON_POINTS = 4
"""Of the mask, what lies so near to what moves goes on with it. Chosen by hand, in the same way."""


class StoppedObjects:
    """For how long yet each point of the mask may stand, for the frames of one size."""

    def __init__(self, grid: WorkingGrid, stopped_seconds: float) -> None:
        """Begin with nothing. stopped_seconds: what stops stays for so long at most."""
        self._grid = grid
        self._most_seconds = stopped_seconds
        self._left: np.ndarray | None = None
        """float32 (h, w), s, in the last frame: 0 outside of the mask. None: nothing is shown."""
        self._carried: np.ndarray | None = None
        """The same where the flow brings it in this frame."""

    def forget(self) -> None:
        """The next frame does not follow from the last one."""
        self._left = self._carried = None

    def found(self, moves: np.ndarray, grid_px: np.ndarray, step_seconds: float) -> np.ndarray | None:
        """Find what moved and does not go on.

        Args:
            moves: bool (h, w) on the working grid, what moves in this frame.
            grid_px: float32 (ceil(H/8), ceil(W/8), 2), flow from the last frame, px.
            step_seconds: Time since then.

        Returns:
            bool (h, w); None: nothing.
        """
        self._carried = None if self._left is None else self._along(self._left, grid_px)
        if self._carried is None:
            return None
        place = surroundings(self._carried > 0, _GOES_ON_POINTS)
        there = self._carried[place] > step_seconds / 2  # a sum of steps is rounded
        count, components = cv2.connectedComponents(there.view(np.uint8), connectivity=8)
        labels = np.asarray(components, np.intp)
        sizes, covered = (np.bincount(labels[part], minlength=count) for part in (there, there & moves[place]))
        stops = covered < _GOES_ON_SHARE * sizes
        if not stops.any():
            return None
        found = np.zeros(moves.shape, bool)
        found[place] = stops[labels]
        return found

    def take(self, shown: np.ndarray, moves: np.ndarray, step_seconds: float) -> None:
        """Take what of this frame is shown, bool (h, w), and what moves, without what was `found`."""
        if not shown.any():
            self.forget()
            return
        place = surroundings(shown, _GOES_ON_POINTS)
        near = grown(moves[place], _GOES_ON_POINTS)
        before = np.float32(0) if self._carried is None else self._carried[place]
        after = before + np.where(near, np.float32(step_seconds), np.float32(-step_seconds))
        self._left = np.zeros(shown.shape, np.float32)
        self._left[place] = np.clip(after, 0, np.float32(self._most_seconds)) * shown[place]

    def full_state(self) -> Any:
        """All of it between two frames."""
        return self._left

    def restore_full(self, state: Any) -> None:
        """Go on exactly where `full_state` was taken."""
        self._left = state

    def _along(self, values: np.ndarray, grid_px: np.ndarray) -> np.ndarray:
        """float32 (h, w): values (h, w) where the flow brings them."""
        place, step = surroundings(values > 0, _GOES_ON_POINTS), self._grid.step_px
        part, (top, left) = values[place], (place[0].start, place[1].start)
        per_point, first = step / CELL_PX, (self._grid.first_px - (CELL_PX - 1) / 2) / CELL_PX
        to_cells = np.array([[per_point, 0, per_point * left + first], [0, per_point, per_point * top + first]])
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        flow = cv2.warpAffine(grid_px, to_cells, part.shape[::-1], flags=flags, borderMode=cv2.BORDER_REPLICATE)
        rows, columns = np.nonzero(part)
        steps = np.rint(flow[rows, columns] / step).astype(np.intp)
        to_row, to_column = rows + top + steps[:, 1], columns + left + steps[:, 0]
        inside = (to_row >= 0) & (to_row < values.shape[0]) & (to_column >= 0) & (to_column < values.shape[1])
        reached = np.zeros_like(values)
        reached[to_row[inside], to_column[inside]] = part[rows[inside], columns[inside]]
        place = surroundings(reached > 0, _GOES_ON_POINTS)
        reached[place] = cv2.morphologyEx(reached[place], cv2.MORPH_CLOSE, np.ones((3, 3), np.uint8))
        return reached

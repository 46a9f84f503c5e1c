"""Whether frames show more of the camera's motion than a similarity: perspective, or the shear of a rolling shutter.

A similarity has four parameters, which every frame determines to hundredths of a px. A hand that turns a wide-angle
camera also tilts the image plane, and a rolling shutter shears it: up to 1 px at the corners in each frame, which a
similarity leaves there. A homography takes both, but where there are none it adds noise of its own. It is used where,
over about a second, it moves the corners by far more than its expected error.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from raftline.camera.direct_alignment import Alignment
from raftline.camera.plane_models import ModelName
from raftline.camera.transforms import frame_corners, transform_points

_MEMORY_FRAMES = 20
"""Of the mean of the ratios. Chosen by hand."""
_RATIO_ON, _RATIO_OFF = 6.0, 4.0
"""Mean ratio of how far the corners are bent to their expected error, from which a homography is used, and below which
it is not. Medians over clips: 9 to 25 on four handheld ones; 1.2 to 1.9 on rendered ones that move by similarities, 2
to 4.6 with something moving over half of the frame."""
_MOST_RATIO = 20.0
"""Counted of a frame at most: something that moves by itself bends single frames."""
_LEAST_ERROR_SHARE = 3e-5
"""Of the width: expected error at least. Interpolation errs by as much, 0.02 px of 640, whatever the noise."""
_MOST_ERROR_PX = 0.25
"""Expected error of the corners up to which a homography is believed: half of what is tolerated of a similarity."""
_TRIED_EACH = 4
"""While none is used, one frame in so many tells; the first ones all do."""


class RicherPlane:
    """Decides for the frames of one path, in order."""

    def __init__(self) -> None:
        """Begin with a similarity."""
        self._ratio, self._seen, self._used, self._since = 0.0, 0, False, 0

    @property
    def model(self) -> ModelName:
        """The model of the next frame."""
        return "homography" if self._used else "similarity"

    def tries(self, contested: bool) -> bool:
        """Tell whether a homography is to be tried on the next frame, beside the similarity.

        Args:
            contested: Much of the last frame moves by itself.
        """
        often = self._seen < _MEMORY_FRAMES or self._since + 1 >= _TRIED_EACH
        self._since += 1
        return not self._used and not contested and often

    def take(self, found: Alignment, width: int, height: int) -> bool:
        """Take an alignment by a homography; return whether it is to be used.

        Args:
            found: Of a frame of which little moves by itself.
            width: Width of the frame, px.
            height: Height of the frame, px.
        """
        if not found.better or found.error_px > _MOST_ERROR_PX:
            return False
        ratio = bent_px(found.matrix, width, height) / np.hypot(found.error_px, _LEAST_ERROR_SHARE * width)
        self._seen, self._since = min(self._seen + 1, _MEMORY_FRAMES), 0
        self._ratio += (min(float(ratio), _MOST_RATIO) - self._ratio) / (self._seen + 1)
        self._used = self._ratio > (_RATIO_OFF if self._used else _RATIO_ON)
        return self._used

    def state(self) -> list[Any]:
        """Return everything as JSON values."""
        return [self._ratio, self._seen, self._used, self._since]

    @classmethod
    def from_state(cls, state: list[Any]) -> RicherPlane:
        """Return a decision that goes on where `state` was taken."""
        found = cls()
        found._ratio, found._seen, found._used, found._since = state
        return found


def bent_px(matrix: np.ndarray, width: int, height: int) -> float:
    """Return how far, rms, `matrix` (3, 3) moves the corners of a frame from where the nearest similarity would."""
    corners = frame_corners(width, height)
    start, end = (each @ (1.0, 1.0j) for each in (corners, transform_points(matrix, corners)))
    start, end = start - start.mean(), end - end.mean()
    turn = (start.conj() @ end) / (start.conj() @ start)
    return float(np.sqrt((np.abs(end - turn * start) ** 2).mean()))

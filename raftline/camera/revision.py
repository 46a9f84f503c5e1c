"""What puts the motion into a frame right once later frames have been seen."""

from __future__ import annotations

import numpy as np

Revision = tuple[int, tuple[float, ...]]
"""Index of a frame; a matrix 3x3, row-major, px of the frame to px: by what its content moved more than its motion
says."""
_DIGITS = 9
"""Of the matrix: hundredths of a px at the corners need 1e-7 where perspective is meant."""


def revision(index: int, correction: np.ndarray) -> Revision:
    """Make a revision of the motion into frame `index` by a correction (3, 3)."""
    return index, tuple(round(float(value), _DIGITS) for value in correction.ravel())


def revised(matrix: np.ndarray, correction: tuple[float, ...]) -> np.ndarray:
    """Return a motion (3, 3) put right."""
    found = np.array(correction).reshape(3, 3) @ matrix
    return found / found[2, 2]

"""Plane transforms as matrices, and as vectors that may be added, averaged and smoothed.

A motion vector is the matrix logarithm in coordinates with the frame's centre as origin and half its diagonal as
unit, times that half diagonal: 8 numbers, each about the px by which a corner moves because of it. For a translation
only entries 2 and 5 are not zero, and hold it in px.
"""

from __future__ import annotations

from typing import Any

import numpy as np

VECTOR_LENGTH = 8
SHIFTS = (2, 5)
"""Entries of a motion vector: along x and y."""
_SQUARE_ROOTS = 4
_SERIES_TERMS = 12
_SQUARINGS = 4
_SIMILAR = 1e-13
"""How far from a shift, turn and scale a matrix may be by rounding."""
_FEW = 1e-3
"""Of a turn and scale: with less, their series are exact after six terms, and their closed forms are not."""
_CONVERGED = 1e-12
"""A step of an iteration that converges quadratically: what is left is its square."""


def frame_corners(width: int, height: int) -> np.ndarray:
    """Centres of the four corner pixels, (4, 2) float64 px, clockwise from the top left."""
    right, bottom = width - 1.0, height - 1.0
    return np.array([[0.0, 0.0], [right, 0.0], [right, bottom], [0.0, bottom]])


def transform_points(matrix: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Points (..., 2) px through `matrix` (3, 3), or through each of (N, 3, 3) where points are (P, 2): (N, P, 2)."""
    moved = points @ np.swapaxes(matrix[..., :, :2], -1, -2) + matrix[..., None, :, 2]
    return moved[..., :2] / moved[..., 2:]


def transform_xy(matrix: np.ndarray, x: Any, y: Any) -> tuple[Any, Any]:
    """Coordinates through a plane transform, where x and y are arrays of their own.

    Unlike `transform_points` it multiplies element by element: dtypes are kept, and the result does not depend on the
    order in which a matrix product sums.

    Args:
        matrix: (3, 3); of float32 where the coordinates are.
        x: Columns, a number or an array that broadcasts with `y`.
        y: Rows.
    """
    depth = matrix[2, 0] * x + matrix[2, 1] * y + matrix[2, 2]
    to_x = (matrix[0, 0] * x + matrix[0, 1] * y + matrix[0, 2]) / depth
    return to_x, (matrix[1, 0] * x + matrix[1, 1] * y + matrix[1, 2]) / depth


def centred(width: int, height: int) -> tuple[np.ndarray, float]:
    """Matrix (3, 3) from px to coordinates about the frame's centre in half diagonals, and that half diagonal in px."""
    half_diagonal = max(0.5 * float(np.hypot(width - 1.0, height - 1.0)), 0.5)
    scale = 1.0 / half_diagonal
    to_centred = np.array(
        [[scale, 0.0, -scale * (width - 1) / 2], [0.0, scale, -scale * (height - 1) / 2], [0.0, 0.0, 1.0]]
    )
    return to_centred, half_diagonal


def motion_vectors(matrices: np.ndarray, width: int, height: int) -> np.ndarray:
    """Matrices (N, 3, 3) as motion vectors (N, 8), px.

    Raises ValueError for a matrix that has no real logarithm (a mirror, a singular matrix): it is no camera motion.
    """
    to_centred, half_diagonal = centred(width, height)
    normal = to_centred @ np.asarray(matrices, np.float64) @ np.linalg.inv(to_centred)
    if not np.all(np.isfinite(normal)) or np.any(np.linalg.det(normal) <= 0):
        raise ValueError("no logarithm: a camera motion needs finite entries and a positive determinant")
    normal = normal / normal[:, 2:, 2:]
    logarithm = _logarithm(normal) if (turns := _turns(normal, 1.0)) is None else _of_turns(*_turns_logarithm(*turns))
    logarithm -= logarithm[:, 2:, 2:] * np.eye(3)
    return logarithm.reshape(-1, 9)[:, :VECTOR_LENGTH] * half_diagonal


def motion_matrices(vectors: np.ndarray, width: int, height: int) -> np.ndarray:
    """Motion vectors (N, 8) px as matrices (N, 3, 3) with 1 at the lower right: the inverse of `motion_vectors`."""
    to_centred, half_diagonal = centred(width, height)
    generators = np.zeros((len(vectors), 9))
    generators[:, :VECTOR_LENGTH] = np.asarray(vectors, np.float64) / half_diagonal
    if not len(generators):
        return np.empty((0, 3, 3))
    generators = generators.reshape(-1, 3, 3)
    turns = _turns(generators, 0.0)
    whole = _exponential(generators) if turns is None else _of_turns(*_turns_exponential(*turns), 1.0)
    matrices = np.linalg.inv(to_centred) @ whole @ to_centred
    return matrices / matrices[:, 2:, 2:]


def _turns(matrices: np.ndarray, corner: float) -> tuple[np.ndarray, np.ndarray] | None:
    """Matrices (N, 3, 3) that hold nothing but z -> turn z + shift of the complex plane: turn and shift (N,).

    corner: what stands at their lower right. None where one holds more.
    """
    flat = matrices.reshape(-1, 9)
    beside = (flat[:, 0] - flat[:, 4], flat[:, 1] + flat[:, 3], flat[:, 6], flat[:, 7], flat[:, 8] - corner)
    if not max(float(np.abs(each).max(initial=0.0)) for each in beside) < _SIMILAR:
        return None
    return flat[:, 0] + 1j * flat[:, 3], flat[:, 2] + 1j * flat[:, 5]


def _of_turns(turn: np.ndarray, shift: np.ndarray, corner: float = 0.0) -> np.ndarray:
    """Matrices (N, 3, 3) of what `_turns` gives."""
    matrices = np.zeros((len(turn), 3, 3))
    matrices[:, 0, 0] = matrices[:, 1, 1] = np.real(turn)
    matrices[:, 1, 0], matrices[:, 0, 1] = np.imag(turn), -np.imag(turn)
    matrices[:, 0, 2], matrices[:, 1, 2], matrices[:, 2, 2] = np.real(shift), np.imag(shift), corner
    return matrices


def _turns_exponential(turn: np.ndarray, shift: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    few, series = np.abs(turn) < _FEW, np.zeros_like(turn)
    for term in range(6, 0, -1):
        series = (series * turn + 1.0) / term  # ends as 1 + turn / 2 + turn^2 / 6 + ...
    share = np.where(few, series, np.expm1(turn) / np.where(few, 1.0, turn))
    return 1.0 + share * turn, share * shift


def _turns_logarithm(turn: np.ndarray, shift: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    beyond = turn - 1.0
    few, series = np.abs(beyond) < _FEW, np.zeros_like(turn)
    for term in range(6, 0, -1):
        series = 1.0 / term - series * beyond  # ends as 1 - beyond / 2 + beyond^2 / 3 - ...
    share = np.where(few, series, np.log(turn) / np.where(few, 1.0, beyond))
    return share * beyond, share * shift


def _exponential(generators: np.ndarray) -> np.ndarray:
    """Exponentials of (N, 3, 3): the series of a fraction, squared until it is the whole."""
    fraction = generators / 2.0**_SQUARINGS
    total, power = np.eye(3) + fraction, fraction
    for term in range(2, _SERIES_TERMS + 1):
        power = power @ fraction / term
        total = total + power
    for _ in range(_SQUARINGS):
        total = total @ total
    return total


def _logarithm(matrices: np.ndarray) -> np.ndarray:
    """Logarithms of (N, 3, 3): repeated square roots until close to identity, then the series."""
    root = matrices
    for _ in range(_SQUARE_ROOTS):
        root = _square_root(root)
    step = root - np.eye(3)
    if np.max(np.abs(step), initial=0.0) > 0.5:
        raise ValueError("no logarithm: the transform is too far from identity to be a camera motion")
    logarithm, power = np.zeros_like(step), np.eye(3)
    for term in range(1, _SERIES_TERMS + 1):
        power = power @ step
        logarithm += power * ((-1.0) ** (term + 1) / term)
    return logarithm * 2.0**_SQUARE_ROOTS


def _square_root(matrices: np.ndarray) -> np.ndarray:
    """Principal square roots of (N, 3, 3) by the iteration of Denman and Beavers (1976)."""
    both = np.stack([matrices, np.broadcast_to(np.eye(3), matrices.shape)])
    for _ in range(10):
        try:
            better = (both + np.linalg.inv(both[::-1])) / 2
        except np.linalg.LinAlgError as error:
            raise ValueError("no logarithm: a square root of the transform does not exist") from error
        converged = np.abs(better - both).max(initial=0.0) < _CONVERGED
        both = better
        if converged:
            break
    return both[0]

"""Plane transforms as matrices, and as vectors that can be added, averaged and smoothed.

A motion vector is the matrix logarithm in centred coordinates (see `centred`) times the half diagonal: 8 numbers in
px, each about the distance by which it moves a corner. A translation is in entries 2 and 5, in px; all others are 0.
"""

from __future__ import annotations

from typing import Any

import numpy as np

VECTOR_LENGTH = 8
"""Of a motion vector: a plane transform has eight degrees of freedom."""
SHIFTS = (2, 5)
"""Entries of a motion vector that hold the shift along x and y."""
_SQUARE_ROOTS = _SQUARINGS = 4
_SERIES_TERMS = 12
"""The linear part of a camera motion is within 0.35 of identity (see `camera_motion`). Four square roots bring that
under 0.03, where twelve terms of either series leave less than rounding does."""
_SIMILAR = 1e-13
"""Rounding may take a similarity this far from its exact form."""
_SERIES_LIMIT = 1e-3
"""Below it six terms of the series of a complex logarithm or exponential are exact, and the closed forms are not."""
_CONVERGED = 1e-12
"""Last step of an iteration that converges quadratically: the error left is its square."""
_MAX_ROOT_STEP = 0.5
"""Farthest from identity that a fourth root may be: the logarithm's series converges slowly beyond."""
_ROOT_ITERATIONS = 10
"""At most; quadratic convergence needs about six."""


def frame_corners(width: int, height: int) -> np.ndarray:
    """Return the centres of the four corner pixels, (4, 2) float64 px, clockwise from the top left."""
    right, bottom = width - 1.0, height - 1.0
    return np.array([[0.0, 0.0], [right, 0.0], [right, bottom], [0.0, bottom]])


def transform_points(matrix: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Apply plane transforms to points.

    For coordinates in arrays of their own see `transform_xy`, which sums in another order: the last bit may differ.

    Args:
        matrix: (3, 3), or (N, 3, 3).
        points: (..., 2) px for one matrix; (P, 2) px for several.

    Returns:
        (..., 2) px for one matrix; (N, P, 2) px for several.
    """
    moved = points @ np.swapaxes(matrix[..., :, :2], -1, -2) + matrix[..., None, :, 2]
    return moved[..., :2] / moved[..., 2:]


def transform_xy(matrix: np.ndarray, x: Any, y: Any) -> tuple[Any, Any]:
    """Apply a plane transform to coordinates that lie in arrays of their own.

    Compiled kernels spell this out: `direct_alignment` does.

    Args:
        matrix: (3, 3), of the dtype to calculate in: float32 to keep float32 coordinates so.
        x: Numbers, or an array that broadcasts with `y`.
        y: The same.

    Returns:
        The transformed x and y.
    """
    depth = matrix[2, 0] * x + matrix[2, 1] * y + matrix[2, 2]
    return (
        (matrix[0, 0] * x + matrix[0, 1] * y + matrix[0, 2]) / depth,
        (matrix[1, 0] * x + matrix[1, 1] * y + matrix[1, 2]) / depth,
    )


def centred(width: int, height: int) -> tuple[np.ndarray, float]:
    """Return the matrix from px to centred coordinates, and their unit.

    Centred coordinates have the frame's centre as origin and half its diagonal as unit, so that a fit in them is well
    conditioned whatever the frame's size.

    Args:
        width: Width of the frame, px.
        height: Height of the frame, px.

    Returns:
        The matrix (3, 3) float64, and the half diagonal in px, at least 0.5.
    """
    half_diagonal = max(0.5 * float(np.hypot(width - 1.0, height - 1.0)), 0.5)
    scale = 1.0 / half_diagonal
    to_centred = np.array(
        [[scale, 0.0, -scale * (width - 1) / 2], [0.0, scale, -scale * (height - 1) / 2], [0.0, 0.0, 1.0]]
    )
    return to_centred, half_diagonal


def centred_points(points: np.ndarray, width: int, height: int) -> np.ndarray:
    """Return points (2, N) px of a frame of `width` x `height` px in centred coordinates."""
    to_centred, _ = centred(width, height)
    return points * to_centred[0, 0] + to_centred[:2, 2:]


def motion_vectors(matrices: np.ndarray, width: int, height: int) -> np.ndarray:
    """Turn matrices into motion vectors.

    Args:
        matrices: (N, 3, 3) px to px.
        width: Width of the frame, px.
        height: Height of the frame, px.

    Returns:
        (N, 8) float64 px.

    Raises:
        ValueError: A matrix has no real logarithm (a mirror, a singular matrix): it is no camera motion.
    """
    to_centred, half_diagonal = centred(width, height)
    normal = to_centred @ np.asarray(matrices, np.float64) @ np.linalg.inv(to_centred)
    if not np.all(np.isfinite(normal)) or np.any(np.linalg.det(normal) <= 0):
        raise ValueError("no logarithm: a camera motion needs finite entries and a positive determinant")
    normal = normal / normal[:, 2:, 2:]
    similar = _as_complex(normal, 1.0)
    logarithm = _logarithm(normal) if similar is None else _from_complex(*_complex_logarithm(*similar))
    logarithm -= logarithm[:, 2:, 2:] * np.eye(3)
    return logarithm.reshape(-1, 9)[:, :VECTOR_LENGTH] * half_diagonal


def motion_matrices(vectors: np.ndarray, width: int, height: int) -> np.ndarray:
    """Turn motion vectors into matrices: the inverse of `motion_vectors`.

    Args:
        vectors: (N, 8) px.
        width: Width of the frame, px.
        height: Height of the frame, px.

    Returns:
        (N, 3, 3) float64 px to px, 1 at the lower right.
    """
    to_centred, half_diagonal = centred(width, height)
    generators = np.zeros((len(vectors), 9))
    generators[:, :VECTOR_LENGTH] = np.asarray(vectors, np.float64) / half_diagonal
    if not len(generators):
        return np.empty((0, 3, 3))
    generators = generators.reshape(-1, 3, 3)
    similar = _as_complex(generators, 0.0)
    whole = _exponential(generators) if similar is None else _from_complex(*_complex_exponential(*similar), 1.0)
    matrices = np.linalg.inv(to_centred) @ whole @ to_centred
    return matrices / matrices[:, 2:, 2:]


def _as_complex(matrices: np.ndarray, corner: float) -> tuple[np.ndarray, np.ndarray] | None:
    """Read similarities (N, 3, 3) as z -> turn z + shift of the complex plane: turn and shift (N,).

    `corner` is the entry at their lower right. None if one of them is no similarity.
    """
    flat = matrices.reshape(-1, 9)
    beside = (flat[:, 0] - flat[:, 4], flat[:, 1] + flat[:, 3], flat[:, 6], flat[:, 7], flat[:, 8] - corner)
    if not max(float(np.abs(each).max(initial=0.0)) for each in beside) < _SIMILAR:
        return None
    return flat[:, 0] + 1j * flat[:, 3], flat[:, 2] + 1j * flat[:, 5]


def _from_complex(turn: np.ndarray, shift: np.ndarray, corner: float = 0.0) -> np.ndarray:
    """Return matrices (N, 3, 3): the inverse of `_as_complex`."""
    matrices = np.zeros((len(turn), 3, 3))
    matrices[:, 0, 0] = matrices[:, 1, 1] = np.real(turn)
    matrices[:, 1, 0], matrices[:, 0, 1] = np.imag(turn), -np.imag(turn)
    matrices[:, 0, 2], matrices[:, 1, 2], matrices[:, 2, 2] = np.real(shift), np.imag(shift), corner
    return matrices


def _complex_exponential(turn: np.ndarray, shift: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    few, series = np.abs(turn) < _SERIES_LIMIT, np.zeros_like(turn)
    for term in range(6, 0, -1):
        series = (series * turn + 1.0) / term  # ends as 1 + turn / 2 + turn^2 / 6 + ...
    share = np.where(few, series, np.expm1(turn) / np.where(few, 1.0, turn))
    return 1.0 + share * turn, share * shift


def _complex_logarithm(turn: np.ndarray, shift: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    beyond = turn - 1.0
    few, series = np.abs(beyond) < _SERIES_LIMIT, np.zeros_like(turn)
    for term in range(6, 0, -1):
        series = 1.0 / term - series * beyond  # ends as 1 - beyond / 2 + beyond^2 / 3 - ...
    share = np.where(few, series, np.log(turn) / np.where(few, 1.0, beyond))
    return share * beyond, share * shift


def _exponential(generators: np.ndarray) -> np.ndarray:
    """Return the exponentials of (N, 3, 3) by scaling and squaring."""
    fraction = generators / 2.0**_SQUARINGS
    total, power = np.eye(3) + fraction, fraction
    for term in range(2, _SERIES_TERMS + 1):
        power = power @ fraction / term
        total = total + power
    for _ in range(_SQUARINGS):
        total = total @ total
    return total


def _logarithm(matrices: np.ndarray) -> np.ndarray:
    """Return the logarithms of (N, 3, 3) by inverse scaling and squaring."""
    root = matrices
    for _ in range(_SQUARE_ROOTS):
        root = _square_root(root)
    step = root - np.eye(3)
    if np.max(np.abs(step), initial=0.0) > _MAX_ROOT_STEP:
        raise ValueError("no logarithm: the transform is too far from identity to be a camera motion")
    logarithm, power = np.zeros_like(step), np.eye(3)
    for term in range(1, _SERIES_TERMS + 1):
        power = power @ step
        logarithm += power * ((-1.0) ** (term + 1) / term)
    return logarithm * 2.0**_SQUARE_ROOTS


def _square_root(matrices: np.ndarray) -> np.ndarray:
    """Return the principal square roots of (N, 3, 3) by the iteration of Denman and Beavers (1976)."""
    both = np.stack([matrices, np.broadcast_to(np.eye(3), matrices.shape)])
    for _ in range(_ROOT_ITERATIONS):
        try:
            better = (both + np.linalg.inv(both[::-1])) / 2
        except np.linalg.LinAlgError as error:
            raise ValueError("no logarithm: a square root of the transform does not exist") from error
        converged = np.abs(better - both).max(initial=0.0) < _CONVERGED
        both = better
        if converged:
            break
    return both[0]

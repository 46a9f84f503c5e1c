"""Where a frame lies on the background: the camera's motion added up, and corrected by the picture itself."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

_BLOCK = 12
_LEAST_GRADIENT = 3.0
"""Grey levels per point: less is no texture to align by."""
_LEAST_POINTS = 40
_MAX_POINTS = 1500
_ITERATIONS = 4
_TUKEY = 4.685
_MIN_SIGMA = 1.0
_DONE = 0.01
_WELL_ALIGNED = 0.4
_LIKE_ITSELF = 0.35
"""Of the landmarks' own contrast: a picture that differs by more is another one."""
_LIKE_NOISE = 10.0
_NOISE_SIGMA = 3.0
"""Grey levels of misfit, after smoothing, that noise and coding explain: noise of sigma 12 leaves that."""
_FITS_BETTER = 0.6
"""Share of the misfit that is left: of a camera that moves under 0.2, of coding and noise over 0.75."""


@dataclass(frozen=True)
class Keypoints:
    """Points of the background that a frame can be aligned by."""

    x: np.ndarray
    """(N,) float32 columns"""
    y: np.ndarray
    """(N,) float32 rows"""
    luma: np.ndarray
    """(N,) float32"""
    gradient: np.ndarray
    """(N, 2) float32 grey levels per point, along x and y"""


def keypoints(luma: np.ndarray, known: np.ndarray) -> Keypoints | None:
    """The point of the steepest luma in each block of 12; None where there are too few. luma: float32 (h, w)."""
    smooth = _smooth(luma)
    along_x = cv2.Sobel(smooth, cv2.CV_32F, 1, 0, scale=1 / 8)
    along_y = cv2.Sobel(smooth, cv2.CV_32F, 0, 1, scale=1 / 8)
    steep = cv2.magnitude(along_x, along_y)
    steep[cv2.erode(known.astype(np.uint8), np.ones((5, 5), np.uint8), borderValue=0) == 0] = 0.0
    rows, columns = (size // _BLOCK for size in luma.shape)
    if not rows or not columns:
        return None
    blocks = steep[: rows * _BLOCK, : columns * _BLOCK].reshape(rows, _BLOCK, columns, _BLOCK)
    flat = blocks.transpose(0, 2, 1, 3).reshape(rows * columns, _BLOCK * _BLOCK)
    best = flat.argmax(axis=1)
    chosen = np.flatnonzero(flat[np.arange(len(flat)), best] >= _LEAST_GRADIENT)
    if len(chosen) < _LEAST_POINTS:
        return None
    chosen = chosen[:: -(-len(chosen) // _MAX_POINTS)]
    y = chosen // columns * _BLOCK + best[chosen] // _BLOCK
    x = chosen % columns * _BLOCK + best[chosen] % _BLOCK
    gradient = np.stack([along_x[y, x], along_y[y, x]], axis=1)
    return Keypoints(x.astype(np.float32), y.astype(np.float32), smooth[y, x], gradient)


def register(
    luma: np.ndarray, template: Keypoints, guess: np.ndarray, perspective: bool = False
) -> tuple[np.ndarray, bool]:
    """Where the background lies in a frame: (3, 3), points of the background to points of the frame; and if it fits.

    luma: uint8 (h, w) of the frame. guess: (3, 3), wrong by a few points at most. Inverse compositional alignment
    (Baker and Matthews 2004) of an affine correction, robust, with a brightness offset. turns: of a plane transform,
    for a camera that turns: what flow gets wrong in perspective would add up from frame to frame.
    """
    smooth = _smooth(luma)
    steps = _steps(template, luma.shape)[:, : 8 if perspective else 6]
    contrast = max(_LIKE_NOISE, float(template.luma.std()))
    matrix, fits = guess, False
    for _ in range(_ITERATIONS):
        error, inside = _error(smooth, template, matrix)
        if np.count_nonzero(inside) < _LEAST_POINTS:
            return guess, False
        sigma = _sigma(error[inside])
        weight = np.where(inside, np.maximum(1 - (error / (_TUKEY * sigma)) ** 2, 0) ** 2, 0).astype(np.float32)
        weighted = steps * weight[:, None]
        normal = weighted.T @ steps + np.eye(steps.shape[1], dtype=np.float32) * 1e-3
        change = np.linalg.solve(normal.astype(np.float64), (weighted.T @ error).astype(np.float64))
        fits = float(weight.sum()) > _WELL_ALIGNED * np.count_nonzero(inside) and sigma < _LIKE_ITSELF * contrast
        matrix = matrix @ np.linalg.inv(_projective(change, luma.shape))
        if np.abs(change).max() < _DONE:
            break
    return (matrix / matrix[2, 2], True) if fits else (guess, False)


def fits_in_place(luma: np.ndarray, template: Keypoints, found: np.ndarray) -> bool:
    """Whether a frame fits the landmarks where they are, and hardly better at `found`.

    Coding and noise pull a frame of little contrast by several points at the corners, to where it does not fit any
    better. luma: uint8 (h, w). found: (3, 3), as `aligned` returns it.
    """
    smooth = _smooth(luma)
    there, inside = _error(smooth, template, found)
    here, _ = _error(smooth, template, np.eye(3))
    if not inside.any() or _sigma(here[inside]) > _NOISE_SIGMA:
        return False
    most = (_TUKEY * _sigma(there[inside])) ** 2
    left, had = (float(np.minimum(error[inside] ** 2, most).mean()) for error in (there, here))
    return left > _FITS_BETTER * had


def farthest(matrix: np.ndarray, shape: tuple[int, ...]) -> float:
    """How far `matrix` (3, 3) moves a corner of (rows, columns), in points."""
    corners = np.array([[0, 0], [shape[1] - 1, 0], [0, shape[0] - 1], [shape[1] - 1, shape[0] - 1]], np.float32)
    x, y = _through(matrix, corners[:, 0], corners[:, 1])
    return float(np.hypot(x - corners[:, 0], y - corners[:, 1]).max())


def _smooth(luma: np.ndarray) -> np.ndarray:
    return cv2.GaussianBlur(luma, (5, 5), 1.2)


def _error(smooth: np.ndarray, template: Keypoints, matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Of each landmark, without what all share, float32 (N,) grey levels; and which lie in the frame, bool (N,)."""
    x, y = _through(matrix, template.x, template.y)
    inside = (x >= 2) & (x <= smooth.shape[1] - 3) & (y >= 2) & (y <= smooth.shape[0] - 3)
    there = cv2.remap(smooth, x[None], y[None], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)[0]
    error = there.astype(np.float32) - template.luma
    return (error - np.median(error[inside]) if inside.any() else error), inside


def _sigma(error: np.ndarray) -> float:
    return max(_MIN_SIGMA, 1.4826 * float(np.median(np.abs(error))))


def _steps(template: Keypoints, shape: tuple[int, ...]) -> np.ndarray:
    """(N, 8): what each parameter, a point's displacement half the width from the centre, does to a landmark's luma.

    The first six are affine, the other two tilt the plane.
    """
    half = shape[1] / 2
    u, v = (template.x - shape[1] / 2) / half, (template.y - shape[0] / 2) / half
    along_x, along_y = template.gradient[:, 0], template.gradient[:, 1]
    away = -(along_x * u + along_y * v)
    steps = [along_x * u, along_x * v, along_x, along_y * u, along_y * v, along_y, away * u, away * v]
    return np.stack(steps, axis=1)


def _projective(change: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    half = shape[1] / 2
    centre = np.array([[1 / half, 0, -1.0], [0, 1 / half, -shape[0] / (2 * half)], [0, 0, 1]])
    step = np.eye(3)
    step.flat[: len(change)] += change / half
    return np.linalg.inv(centre) @ step @ centre


def _through(matrix: np.ndarray, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    m = matrix.astype(np.float32)
    depth = m[2, 0] * x + m[2, 1] * y + m[2, 2]
    return (m[0, 0] * x + m[0, 1] * y + m[0, 2]) / depth, (m[1, 0] * x + m[1, 1] * y + m[1, 2]) / depth

"""Frame to background: where a frame lies on a background that the camera's motion, added up, has drifted from.

Inverse compositional alignment (Baker and Matthews 2004) of an affine or plane transform by keypoints, with Tukey's
weights. `direct_alignment` says what it shares with alignment from frame to frame, and why it has a loop of its own.

Coordinates are points of the grid that the caller works on (see `working_grid`), x right, y down; a point is its px.
Constants without another reason were chosen by hand; `python -m benchmarks.bench_motion_masks` shows their effect.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from raftline.camera.plane_models import PLANE_MODELS, PlaneModel
from raftline.camera.robust_weights import TUKEY_SIGMAS, tukey_weights
from raftline.camera.transforms import frame_corners, transform_xy

_BLOCK = 12
"""Side of the blocks of which each gives one keypoint, points: spreads them over the frame."""
_BLUR_SIGMA = 1.2
"""Points: gradients then hold over the few points by which a guess is wrong."""
_MIN_GRADIENT = 3.0
"""Grey levels per point: less is no texture to align by."""
_MIN_KEYPOINTS = 40
"""Five for each parameter of a plane transform."""
_MAX_KEYPOINTS = 1500
"""Bounds the time; a grid of 640 x 360 points has 1590 blocks."""
_ITERATIONS = 4
"""A guess is wrong by a few points at most."""
_MIN_SIGMA = 1.0
"""Grey levels: smoothed noise of a camera leaves as much."""
_SIGMA_OF_MEDIAN = 1.4826
"""Sigma of a Gaussian, in the median of its absolute values."""
_DAMPING = 1e-3
"""Added to the normal matrix, which then has an inverse whatever the keypoints."""
_CONVERGED = 0.01
"""Points: step at which iterations end."""
_MIN_FITTING_SHARE = 0.4
"""Weight that the keypoints in the frame must have on average to fit."""
_MAX_RELATIVE_SIGMA = 0.35
"""Residual's sigma up to which a frame fits, in the keypoints' own contrast: what differs by more is another scene."""
_MIN_CONTRAST = 10.0
"""Grey levels of contrast, at least: less is like noise."""
_NOISE_SIGMA = 3.0
"""Grey levels of residual, after smoothing, that noise and coding explain: noise of sigma 12 leaves as much."""
_REMAINING_SHARE = 0.6
"""Share of the residual's square that a true motion leaves at most: a camera that moves leaves under 0.2, coding and
noise over 0.75."""
_RIM = 2
"""Points from the frame's edge inside of which a keypoint counts: the reach of the smoothing."""


@dataclass(frozen=True)
class Keypoints:
    """Points of a background that a frame can be registered by."""

    x: np.ndarray
    """(N,) float32 columns."""
    y: np.ndarray
    """(N,) float32 rows."""
    luma: np.ndarray
    """(N,) float32 grey levels, smoothed."""
    gradient: np.ndarray
    """(N, 2) float32 grey levels per point, along x and y."""


def keypoints(luma: np.ndarray, known: np.ndarray) -> Keypoints | None:
    """Pick the point of steepest luma in each block of 12 x 12 points.

    Args:
        luma: (h, w) float32 grey levels of the background.
        known: (h, w) bool: where there is a background.

    Returns:
        At most about 1500 keypoints; None if there are too few to register by.
    """
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
    chosen = np.flatnonzero(flat[np.arange(len(flat)), best] >= _MIN_GRADIENT)
    if len(chosen) < _MIN_KEYPOINTS:
        return None
    chosen = chosen[:: -(-len(chosen) // _MAX_KEYPOINTS)]
    y = chosen // columns * _BLOCK + best[chosen] // _BLOCK
    x = chosen % columns * _BLOCK + best[chosen] % _BLOCK
    gradient = np.stack([along_x[y, x], along_y[y, x]], axis=1)
    return Keypoints(x.astype(np.float32), y.astype(np.float32), smooth[y, x], gradient)


def register(
    luma: np.ndarray, template: Keypoints, guess: np.ndarray, perspective: bool = False
) -> tuple[np.ndarray, bool]:
    """Find where a background lies in a frame.

    Args:
        luma: (h, w) uint8 grey levels of the frame.
        template: The background's keypoints.
        guess: (3, 3) points of the background to points of the frame, wrong by a few points at most.
        perspective: Correct the guess by a plane transform instead of an affine one, for a camera that turns: errors
            in perspective would add up from frame to frame.

    Returns:
        The corrected transform (3, 3) and True, or the guess and False if the frame does not fit the background.
    """
    smooth = _smooth(luma)
    model = PLANE_MODELS["homography" if perspective else "affine"]
    design = _design(template, luma.shape)[:, : model.parameters]
    contrast = max(_MIN_CONTRAST, float(template.luma.std()))
    matrix, fits = guess, False
    for _ in range(_ITERATIONS):
        error, inside = _error(smooth, template, matrix)
        if np.count_nonzero(inside) < _MIN_KEYPOINTS:
            return guess, False
        sigma = _sigma(error[inside])
        weight = np.where(inside, tukey_weights(error, sigma), 0).astype(np.float32)
        weighted = design * weight[:, None]
        normal = weighted.T @ design + np.eye(design.shape[1], dtype=np.float32) * _DAMPING
        change = np.linalg.solve(normal.astype(np.float64), (weighted.T @ error).astype(np.float64))
        fits = float(weight.sum()) > _MIN_FITTING_SHARE * np.count_nonzero(inside)
        fits = fits and sigma < _MAX_RELATIVE_SIGMA * contrast
        matrix = matrix @ np.linalg.inv(_step(model, change, luma.shape))
        if np.abs(change).max() < _CONVERGED:
            break
    return (matrix / matrix[2, 2], True) if fits else (guess, False)


def fits_in_place(luma: np.ndarray, template: Keypoints, found: np.ndarray) -> bool:
    """Tell whether a frame fits the background where it is, and hardly better at `found`.

    Coding and noise pull a frame of little contrast by several points at the corners, to where it fits no better.

    Args:
        luma: (h, w) uint8 grey levels of the frame.
        template: The background's keypoints.
        found: (3, 3), as `register` returns it.
    """
    smooth = _smooth(luma)
    there, inside = _error(smooth, template, found)
    here, _ = _error(smooth, template, np.eye(3))
    if not inside.any() or _sigma(here[inside]) > _NOISE_SIGMA:
        return False
    most = (TUKEY_SIGMAS * _sigma(there[inside])) ** 2
    left, had = (float(np.minimum(error[inside] ** 2, most).mean()) for error in (there, here))
    return left > _REMAINING_SHARE * had


def farthest(matrix: np.ndarray, shape: tuple[int, ...]) -> float:
    """Return how far `matrix` (3, 3) moves a corner of a frame of (rows, columns) at most, in points."""
    x, y = frame_corners(shape[1], shape[0]).astype(np.float32).T
    to_x, to_y = transform_xy(matrix.astype(np.float32), x, y)
    return float(np.hypot(to_x - x, to_y - y).max())


def _smooth(luma: np.ndarray) -> np.ndarray:
    return cv2.GaussianBlur(luma, (5, 5), _BLUR_SIGMA)


def _error(smooth: np.ndarray, template: Keypoints, matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return each keypoint's residual less their median, float32 (N,) grey levels; and which are in the frame, bool."""
    x, y = transform_xy(matrix.astype(np.float32), template.x, template.y)
    height, width = smooth.shape
    inside = (x >= _RIM) & (x <= width - 1 - _RIM) & (y >= _RIM) & (y <= height - 1 - _RIM)
    there = cv2.remap(smooth, x[None], y[None], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)[0]
    error = there.astype(np.float32) - template.luma
    return (error - np.median(error[inside]) if inside.any() else error), inside


def _sigma(error: np.ndarray) -> float:
    return max(_MIN_SIGMA, _SIGMA_OF_MEDIAN * float(np.median(np.abs(error))))


def _design(template: Keypoints, shape: tuple[int, ...]) -> np.ndarray:
    """Return (N, 8) float32: the change of a keypoint's luma by each parameter of a homography.

    The same columns as `PlaneModel.design` times the gradient, in half widths about (w / 2, h / 2).
    """
    half = shape[1] / 2
    u, v = (template.x - shape[1] / 2) / half, (template.y - shape[0] / 2) / half
    along_x, along_y = template.gradient[:, 0], template.gradient[:, 1]
    away = -(along_x * u + along_y * v)
    columns = [along_x * u, along_x * v, along_x, along_y * u, along_y * v, along_y, away * u, away * v]
    return np.stack(columns, axis=1)


def _step(model: PlaneModel, change: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Return the transform (3, 3), points to points, of a change of the parameters."""
    half = shape[1] / 2
    centre = np.array([[1 / half, 0, -1.0], [0, 1 / half, -shape[0] / (2 * half)], [0, 0, 1]])
    return np.linalg.inv(centre) @ model.matrix(change, half) @ centre

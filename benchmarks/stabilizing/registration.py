"""Outputs measured: their markers registered to those of the base path, and how unsteady the result is."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import cv2
import numpy as np
from scipy.signal import butter, sosfiltfilt

from benchmarks.stabilizing.clips import FPS, HEIGHT, WIDTH, Clip
from raftline.camera.transforms import frame_corners, transform_points

_GRID_PX = 32
"""Distance of the points that are tracked."""
_RIM_PX, _INSIDE_PX = 12, 8
"""Distance from the frame's edge of points in the base frame, and in the output: half a window, about."""
_WINDOW_PX = 21
"""Side of the window that is tracked: OpenCV's default."""
_MIN_POINTS = 12
_ROUNDS = 4
_CONVERGED_PX = 1.0
"""Rounds go on until no corner moves by more: points that are so close are found to 0.02 px."""
_CUTOFF_HZ = 1.0
"""Movement above this is jitter: the base path has none above 0.5 Hz, shake begins at 1 Hz."""
_LOST_PX = 60.0
"""A step of a corner by more is a wrong match."""
CORNERS = frame_corners(WIDTH, HEIGHT)


@dataclass(frozen=True)
class Steadiness:
    """How far an output's path is from the base path."""

    jitter_px: float
    """J: rms above 1 Hz of the corners' displacement from the base path."""
    slow_error: float
    """Largest displacement below 1 Hz from its own mean, as a share of the width."""
    kept: float
    """Share of the base frame's width that the output shows, at the median frame: what the zoom leaves."""


def steadiness(clip: Clip, outputs: np.ndarray) -> Steadiness:
    """Measure output markers (N, H, W) uint8; of a clip with layers, their mean square counts."""
    layers = clip.layers or (np.full((HEIGHT, WIDTH), 255, np.uint8),)
    measured = [_of_path(clip, corner_path(clip.base_markers, outputs, layer, clip.cuts)) for layer in layers]
    jitter = float(np.sqrt(np.mean([each.jitter_px**2 for each in measured])))
    return Steadiness(jitter, max(each.slow_error for each in measured), min(each.kept for each in measured))


def corner_path(
    base_markers: np.ndarray, outputs: np.ndarray, layer: np.ndarray, cuts: tuple[int, ...] = ()
) -> np.ndarray:
    """Return where each output shows the base frame's corners, less those corners, (N, 4, 2) px."""
    guess = np.eye(3)
    paths = []
    for at, (base, output) in enumerate(zip(base_markers, outputs, strict=True)):
        if at == 0 or at in cuts:
            guess = _coarse(base, output)
        guess = _registered(base, output, guess, layer)
        paths.append(transform_points(guess, CORNERS) - CORNERS)
    return np.stack(paths)


def _of_path(clip: Clip, path: np.ndarray) -> Steadiness:
    """Measure a corner path, filtered shot by shot on an even grid of times."""
    fast, slow_error = [], 0.0
    bounds = (0, *clip.cuts, len(path))
    for first, last in itertools.pairwise(bounds):
        own = ~clip.duplicates[first:last]  # a duplicate shows the frame before once more, at no time of its own
        times = clip.seconds[first:last][own]
        even = np.arange(times[0], times[-1] + 1e-9, 1 / FPS)
        flat = path[first:last][own].reshape(-1, 8)
        flat = np.stack([np.interp(even, times, column) for column in flat.T], axis=1)
        high = sosfiltfilt(butter(4, _CUTOFF_HZ, "highpass", fs=FPS, output="sos"), flat, axis=0)
        low = flat - high
        fast.append((high.reshape(-1, 4, 2) ** 2).sum(axis=-1).mean(axis=-1))
        slow_error = max(slow_error, float(np.abs(low - low.mean(axis=0)).max()) / WIDTH)
    sides = (CORNERS + path).std(axis=1).sum(axis=1) / CORNERS.std(axis=0).sum()
    return Steadiness(float(np.sqrt(np.concatenate(fast).mean())), slow_error, 1.0 / float(np.median(sides)))


def _registered(base: np.ndarray, output: np.ndarray, guess: np.ndarray, layer: np.ndarray) -> np.ndarray:
    """Return the similarity (3, 3) from base to output, by points all over the layer."""
    points = np.mgrid[_RIM_PX : WIDTH - _RIM_PX : _GRID_PX, _RIM_PX : HEIGHT - _RIM_PX : _GRID_PX]
    points = points.reshape(2, -1).T.astype(np.float32)
    points = points[layer[points[:, 1].astype(int), points[:, 0].astype(int)] > 0]
    for _ in range(_ROUNDS):
        back = cv2.warpPerspective(output, guess, (WIDTH, HEIGHT), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP)
        inside = transform_points(guess, points)
        inside = ((inside > _INSIDE_PX) & (inside < (WIDTH - 1 - _INSIDE_PX, HEIGHT - 1 - _INSIDE_PX))).all(axis=1)
        here = points[inside].reshape(-1, 1, 2)
        moved, found, _ = cv2.calcOpticalFlowPyrLK(
            base, back, here, here.copy(), winSize=(_WINDOW_PX, _WINDOW_PX), maxLevel=2
        )
        good = found.ravel() > 0
        if good.sum() < _MIN_POINTS:
            return guess
        step, _ = cv2.estimateAffinePartial2D(here[good], moved[good], method=cv2.RANSAC, ransacReprojThreshold=0.7)
        if step is None:
            return guess
        step = np.vstack([step, [0, 0, 1]])
        if np.abs(transform_points(step, CORNERS) - CORNERS).max() > _LOST_PX:
            return guess
        guess = guess @ step
        if np.abs(transform_points(step, CORNERS) - CORNERS).max() < _CONVERGED_PX:
            break
    return guess


def _coarse(base: np.ndarray, output: np.ndarray) -> np.ndarray:
    """Return a first guess by features, for zooms and offsets that tracked points cannot follow."""
    sift = cv2.SIFT.create(1500)
    (points, named), (points_out, named_out) = sift.detectAndCompute(base, None), sift.detectAndCompute(output, None)
    pairs = cv2.BFMatcher(cv2.NORM_L2, crossCheck=True).match(named, named_out)
    here = np.array([points[pair.queryIdx].pt for pair in pairs], np.float32)
    there = np.array([points_out[pair.trainIdx].pt for pair in pairs], np.float32)
    found, _ = cv2.estimateAffinePartial2D(here, there, method=cv2.RANSAC, ransacReprojThreshold=3.0)
    return np.eye(3) if found is None else np.vstack([found, [0, 0, 1]])

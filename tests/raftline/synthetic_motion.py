"""Motion of known truth: shake, paths, flow fields, textured pictures."""

from __future__ import annotations

import cv2
import numpy as np

from raftline.camera.camera_motion import grid_centres
from raftline.camera.transforms import transform_points

WIDTH, HEIGHT = 320, 180


def similarity(x_px: float, y_px: float, degrees: float = 0.0, scale: float = 1.0) -> np.ndarray:
    """(3, 3): turn and scale about the frame's centre, then shift."""
    angle = np.deg2rad(degrees)
    turn = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    centre = np.array([(WIDTH - 1) / 2, (HEIGHT - 1) / 2])
    matrix = np.eye(3)
    matrix[:2, :2] = turn
    matrix[:2, 2] = centre - turn @ centre + (x_px, y_px)
    return matrix


def grid_flow(matrix: np.ndarray, width: int = WIDTH, height: int = HEIGHT) -> np.ndarray:
    """The flow that `matrix` causes, float32 (ceil(H/8), ceil(W/8), 2)."""
    rows, columns = -(-height // 8), -(-width // 8)
    points = np.stack(np.meshgrid(*grid_centres(rows, columns)), axis=-1)
    moved = transform_points(matrix, points.reshape(-1, 2)).reshape(points.shape)
    return (moved - points).astype(np.float32)


def band(times: np.ndarray, low_hz: float, high_hz: float, sigma: float, seed: int) -> np.ndarray:
    """(N,) a sum of 12 sines between two frequencies, with the standard deviation asked for."""
    rng = np.random.default_rng(seed)
    hz, phase = rng.uniform(low_hz, high_hz, 12), rng.uniform(0, 2 * np.pi, 12)
    wave = np.sin(2 * np.pi * hz[:, None] * times + phase[:, None]).sum(axis=0)
    return wave * sigma / wave.std()


def shaken_path(times: np.ndarray, sigma_px: float = 3.0, pan_px_s: float = 30.0) -> tuple[np.ndarray, np.ndarray]:
    """Base path with nothing above 0.5 Hz, and the same with shake of 1-8 Hz: (N, 8) px motion vectors each."""
    base = np.zeros((len(times), 8))
    base[:, 2] = pan_px_s * times + band(times, 0.05, 0.5, 8.0, 1)
    base[:, 5] = band(times, 0.05, 0.5, 5.0, 2)
    shake = np.zeros_like(base)
    shake[:, 2], shake[:, 5] = band(times, 1, 8, sigma_px, 3), band(times, 1, 8, sigma_px, 4)
    turn = band(times, 1, 8, sigma_px / 4, 5)
    shake[:, 1], shake[:, 3] = -turn, turn
    return base - base[0], base + shake - (base + shake)[0]


def jitter_px(path: np.ndarray, rate_hz: float = 30.0) -> float:
    """Rms of the two translations above 1 Hz, of a path (N, 8) at an even rate."""
    spectrum = np.fft.rfft(path[:, [2, 5]] * np.hanning(len(path))[:, None], axis=0)
    slow = np.fft.rfftfreq(len(path), 1 / rate_hz) < 1.0
    spectrum[slow] = 0.0
    return float(np.sqrt((np.fft.irfft(spectrum, len(path), axis=0) ** 2).sum(axis=1).mean()))


def textured(width: int, height: int, seed: int = 0) -> np.ndarray:
    """uint8 (height, width): noise at several scales, so that motion shows everywhere."""
    rng = np.random.default_rng(seed)
    picture = np.zeros((height, width), np.float32)
    for cell, strength in ((4, 20.0), (12, 30.0), (40, 30.0)):
        coarse = rng.normal(0, strength, (height // cell + 2, width // cell + 2)).astype(np.float32)
        picture += cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
    return np.clip(picture + 128, 16, 235).astype(np.uint8)

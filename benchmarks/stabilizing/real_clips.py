"""Handheld clips without known truth, scored as DIFRINT's authors score: stability, distortion, cropping; and itf.

Definitions after Choi and Kweon (2020) and their `metrics.py`, with ORB for SURF; rotation is the angle of the
homography (they take atan2 of its two scales), cropping 1 / its scale in every frame (they invert every second one).
"""

from __future__ import annotations

import itertools
from dataclasses import asdict, dataclass

import av
import cv2
import numpy as np

from benchmarks.data import needed_data
from benchmarks.stabilizing.clips import Clip

NAMES = ("meshflow-2.m4v", "meshflow-3.m4v", "meshflow-8.m4v", "meshflow-9.m4v", "cockatoo.mp4")
_WIDTH = 640
_LOW = 5
"""Lowest frequencies, without the mean, that count as wanted movement."""


@dataclass(frozen=True)
class Scores:
    """Of one output; all but itf between 0 and 1, and more is better."""

    stability: float
    distortion: float
    cropping: float
    itf_db: float
    black_pixels: int

    def to_json(self) -> dict[str, float]:
        return {name: round(value, 4) for name, value in asdict(self).items()}


def read_clip(name: str, frames: int) -> Clip:
    """The first frames, at most 640 px wide; its markers are its own luma."""
    pictures, seconds = [], []
    with av.open(str(needed_data() / "video" / "shaky" / name)) as container:
        for frame in container.decode(video=0):
            picture = frame.to_ndarray(format="bgr24")
            scale = _WIDTH / picture.shape[1]
            size = (_WIDTH, round(picture.shape[0] * scale))
            pictures.append(cv2.resize(picture, size, interpolation=cv2.INTER_AREA) if scale < 1 else picture)
            seconds.append(frame.time if frame.time is not None else np.nan)
            if len(pictures) == frames:
                break
    lumas = np.stack([cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY) for picture in pictures])
    times = np.array(seconds, np.float64)
    step = float(np.nanmedian(np.diff(times)))
    times = np.arange(len(times)) * (step if step > 0 else 1 / 30)
    return Clip(name, times, np.stack(pictures), lumas, lumas, np.zeros(len(lumas), bool))


def scores(inputs: np.ndarray, outputs: np.ndarray) -> Scores:
    """Of output lumas (N, H, W) uint8 made from inputs of the same shape."""
    features = [_features(output) for output in outputs]
    crops, distortions, path, last = [], [], [np.eye(3)], np.eye(3)
    for at, output in enumerate(features):
        matrix = _homography(_features(inputs[at]), output)
        if matrix is not None:
            crops.append(1 / np.sqrt(abs(np.linalg.det(matrix[:2, :2]))))
            sizes = np.sort(np.abs(np.linalg.eigvals(matrix[:2, :2])))
            distortions.append(float(sizes[0] / sizes[1]))
        if at:
            step = _homography(features[at - 1], output)
            last = last if step is None else step
            path.append(path[-1] @ last)
    shift = np.array([np.hypot(matrix[0, 2], matrix[1, 2]) for matrix in path[1:]])
    angle = np.array([np.arctan2(matrix[1, 0], matrix[0, 0]) for matrix in path[1:]])
    noise = [np.mean((a.astype(np.float32) - b) ** 2) for a, b in itertools.pairwise(outputs)]
    itf = float(np.mean([10 * np.log10(255**2 / max(each, 1e-2)) for each in noise]))
    black = int(sum((output[[0, -1]] == 0).sum() + (output[:, [0, -1]] == 0).sum() for output in outputs))
    return Scores(
        (_low_share(shift) + _low_share(angle)) / 2, min(distortions), min(float(np.mean(crops)), 1.0), itf, black
    )


def _low_share(signal: np.ndarray) -> float:
    energy = np.abs(np.fft.fft(signal))[1 : len(signal) // 2] ** 2
    return float(energy[:_LOW].sum() / energy.sum())


def _features(luma: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
    points, named = cv2.ORB.create(1500, fastThreshold=8).detectAndCompute(luma, None)  # type: ignore[arg-type]
    return np.array([point.pt for point in points], np.float32), named


def _homography(one: tuple, other: tuple) -> np.ndarray | None:
    if one[1] is None or other[1] is None or min(len(one[0]), len(other[0])) < 12:
        return None
    pairs = cv2.BFMatcher(cv2.NORM_HAMMING, crossCheck=True).match(one[1], other[1])
    if len(pairs) < 12:
        return None
    here = one[0][[pair.queryIdx for pair in pairs]]
    there = other[0][[pair.trainIdx for pair in pairs]]
    return cv2.findHomography(here, there, cv2.RANSAC, 3.0)[0]

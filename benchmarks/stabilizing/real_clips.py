"""Handheld clips without known truth, scored as DIFRINT's authors score: stability, distortion, cropping; and itf.

After `metrics.py` of Choi and Kweon (2020), quirks included: paths are homographies multiplied up, turn is the arc
tangent of their two scales, distortion is the ratio of eigenvalues that sorts lowest where some of them are complex.
SIFT stands in for SURF, which OpenCV's wheels lack; cropping is 1 / scale in every frame, where they invert every
second one; where too few features match, the last homography of its own kind stays.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass

import av
import cv2
import numpy as np

from benchmarks.data import needed_data
from benchmarks.stabilizing.clips import Clip

NAMES = ("meshflow-2.m4v", "meshflow-3.m4v", "meshflow-8.m4v", "meshflow-9.m4v", "cockatoo.mp4")
_WIDTH = 640
_LOW = 5
"""Lowest frequencies, without the mean, that count as intended movement: as in `metrics.py`."""
_MOST_FEATURES = 1000
"""Of a frame; all of them, about 2000, take twice the time."""
_RATIO, _MIN_MATCHES, _RANSAC_PX = 0.7, 10, 5.0
"""As in `metrics.py`."""
Features = tuple[np.ndarray, np.ndarray | None]
"""Places (N, 2) px and descriptors (N, 128) float32."""


@dataclass(frozen=True)
class Scores:
    """Scores of one output; all but the last three between 0 and 1, and more is better."""

    stability: float
    """Mean of the two that follow."""
    stability_shift: float
    stability_turn: float
    distortion: float
    cropping: float
    itf_db: float
    black_pixels: int
    frames: int

    def to_json(self) -> dict[str, float]:
        return {name: round(value, 4) for name, value in asdict(self).items()}


def read_clip(name: str, frames: int) -> Clip:
    """Read the first frames of a clip, 0 for all, at most 640 px wide; its markers are its own luma."""
    images, seconds = [], []
    with av.open(str(needed_data() / "video" / "shaky" / name)) as container:
        for frame in container.decode(video=0):
            image = frame.to_ndarray(format="bgr24")
            scale = _WIDTH / image.shape[1]
            size = (_WIDTH, round(image.shape[0] * scale))
            images.append(cv2.resize(image, size, interpolation=cv2.INTER_AREA) if scale < 1 else image)
            seconds.append(frame.time if frame.time is not None else np.nan)
            if len(images) == frames:
                break
    lumas = np.stack([cv2.cvtColor(image, cv2.COLOR_BGR2GRAY) for image in images])
    times = np.array(seconds, np.float64)
    step = float(np.nanmedian(np.diff(times)))
    times = np.arange(len(times)) * (step if step > 0 else 1 / 30)
    return Clip(name, times, np.stack(images), lumas, lumas, np.zeros(len(lumas), bool))


def clip_features(lumas: np.ndarray) -> list[Features]:
    """Find the features of each of lumas (N, H, W) uint8."""
    with ThreadPoolExecutor() as threads:
        return list(threads.map(_features, lumas))


def scores(inputs: list[Features], outputs: np.ndarray) -> Scores:
    """Score output lumas (N, H, W) uint8, made from frames with these features."""
    features = clip_features(outputs)
    across, steps = _homographies(zip(inputs, features, strict=True)), _homographies(itertools.pairwise(features))
    path = list(itertools.accumulate(steps, np.matmul))
    shift = _low_share(np.array([np.hypot(matrix[0, 2], matrix[1, 2]) for matrix in path]))
    turn = _low_share(np.array([np.arctan2(matrix[0, 0], matrix[1, 1]) for matrix in path]))
    noise = [np.mean((a.astype(np.float32) - b) ** 2) for a, b in itertools.pairwise(outputs)]
    itf = float(np.mean([10 * np.log10(255**2 / max(each, 1e-2)) for each in noise]))
    black = int(sum((output[[0, -1]] == 0).sum() + (output[:, [0, -1]] == 0).sum() for output in outputs))
    crop = float(np.mean([1 / np.sqrt(abs(matrix[0, 0] * matrix[1, 1])) for matrix in across]))
    return Scores((shift + turn) / 2, shift, turn, _distortion(across), min(crop, 1.0), itf, black, len(outputs))


def _distortion(across: list[np.ndarray]) -> float:
    sizes = [np.sort(np.linalg.eigvals(matrix[:2, :2])) for matrix in across]
    return float(np.abs(np.min([low / high for low, high in sizes])))


def _low_share(signal: np.ndarray) -> float:
    energy = np.abs(np.fft.fft(signal))[1:] ** 2
    energy = energy[: len(energy) // 2]
    return float(energy[:_LOW].sum() / energy.sum())


def _features(luma: np.ndarray) -> Features:
    points, named = cv2.SIFT.create(_MOST_FEATURES).detectAndCompute(luma, None)  # type: ignore[arg-type]
    return np.array([point.pt for point in points], np.float32), named


def _homographies(pairs: Iterable[tuple[Features, Features]]) -> list[np.ndarray]:
    """Return the homography of each pair, or the one before if they cannot be matched."""
    with ThreadPoolExecutor() as threads:
        found = threads.map(lambda pair: _homography(*pair), list(pairs))
    last, every = np.eye(3), []
    for matrix in found:
        last = last if matrix is None else matrix
        every.append(last)
    return every


def _homography(one: Features, other: Features) -> np.ndarray | None:
    if one[1] is None or other[1] is None or min(len(one[0]), len(other[0])) <= _MIN_MATCHES:
        return None
    nearest = cv2.BFMatcher().knnMatch(one[1], other[1], k=2)
    good = [best for best, second in nearest if best.distance < _RATIO * second.distance]
    if len(good) <= _MIN_MATCHES:
        return None
    here = one[0][[pair.queryIdx for pair in good]]
    there = other[0][[pair.trainIdx for pair in good]]
    return cv2.findHomography(here, there, cv2.RANSAC, _RANSAC_PX)[0]

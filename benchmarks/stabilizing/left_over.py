"""What shake is left in handheld clips, by corners that are tracked through the output to hundredths of a px.

    python -m benchmarks.stabilizing.left_over [--clips meshflow-8.m4v,...] [--frames 150] [--map]

Features matched one by one err by a px at the frame's corners, more than what is left. Here corners are tracked from
frame to frame (Lucas and Kanade), a similarity is fitted to them, robustly, and added up; what is above 1 Hz counts.
`--map` shows the same for parts of the frame: what moves by itself, or lies at another depth, stands out.
"""

from __future__ import annotations

import argparse
import itertools
from collections.abc import Iterator

import cv2
import numpy as np
from scipy.signal import butter, sosfiltfilt

from benchmarks.stabilizing.clips import Clip
from benchmarks.stabilizing.ours import measured_flows, stabilized_markers
from benchmarks.stabilizing.peers import PEERS
from benchmarks.stabilizing.real_clips import NAMES, read_clip
from raftline.camera.robust_weights import tukey_weights

_PARTS = (5, 8)
"""Rows and columns of parts of the frame, each with its own corners and motion."""
_CORNERS_EACH, _LEAST_EACH = 6, 3
"""Corners tracked in a part; and that have to be found again for it to have a motion."""
_THERE_AND_BACK_PX = 0.3
_ROUNDS, _RAYLEIGH_MEDIAN = 12, 1.1774
"""Of the robust fit; median length of a two-dimensional Gaussian residual, in sigmas of one axis."""
_ORDER = 8
"""Of the filter: movement below 0.8 Hz, which may be intended, does not count."""
_WINDOW_PX, _LEVELS, _STEPS, _CONVERGED_PX = 15, 3, 30, 0.003
"""Of the tracking."""
_LEAST_SIGMA_PX = 0.05
"""Corners are tracked no more exactly."""


def left_over(lumas: np.ndarray, rate_hz: float) -> tuple[float, np.ndarray]:
    """Return the px above 1 Hz, rms: of the frame's corners, and of the middle of each part (rows, columns).

    Args:
        lumas: (N, H, W) uint8.
        rate_hz: Frames per second.
    """
    whole, parts = [np.zeros(4)], [np.zeros((*_PARTS, 2))]
    for before, after in itertools.pairwise(lumas):
        at, moved = _tracked(before, after)
        whole.append(_similarity(at, moved, lumas.shape[:0:-1]))
        parts.append(_by_part(at, moved, lumas.shape[:0:-1]))
    fast, by_part = (_above_1_hz(np.cumsum(each, axis=0), rate_hz) for each in (whole, parts))
    return float(np.sqrt((fast**2).sum(axis=1).mean())), np.sqrt((by_part**2).sum(axis=-1).mean(axis=0))


def _tracked(before: np.ndarray, after: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return corners (N, 2) px of the frame before, and how far each went (N, 2) px."""
    rows, columns = (
        np.linspace(0, side, count + 1).astype(int) for side, count in zip(before.shape, _PARTS, strict=True)
    )
    found = []
    for top, bottom in itertools.pairwise(rows):
        for left, right in itertools.pairwise(columns):
            corners = cv2.goodFeaturesToTrack(before[top:bottom, left:right], _CORNERS_EACH, 0.03, 6)
            if corners is not None:
                found.append(corners + np.array((left, top), np.float32))
    there = np.concatenate(found).astype(np.float32)
    gone, seen = _followed(before, after, there)
    back, seen_back = _followed(after, before, gone)
    sure = seen & seen_back
    sure &= np.linalg.norm((there - back)[:, 0], axis=1) < _THERE_AND_BACK_PX
    return there[sure, 0].astype(np.float64), (gone - there)[sure, 0].astype(np.float64)


def _followed(before: np.ndarray, after: np.ndarray, there: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return where corners (N, 1, 2) px went, and (N,) bool: they were found."""
    criteria = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, _STEPS, _CONVERGED_PX)
    guess, window = np.empty_like(there), (_WINDOW_PX, _WINDOW_PX)
    gone, seen, _ = cv2.calcOpticalFlowPyrLK(before, after, there, guess, None, None, window, _LEVELS, criteria)
    return gone, seen[:, 0] > 0


def _similarity(at: np.ndarray, moved: np.ndarray, size: tuple[int, ...]) -> np.ndarray:
    """Return (4,) px: shift along x and y, turn and scale at the frame's corners."""
    half = (np.array(size) - 1) / 2
    x, y = ((at - half) / np.hypot(*half)).T
    one, zero = np.ones_like(x), np.zeros_like(x)
    design = np.concatenate([np.stack([one, zero, -y, x], axis=1), np.stack([zero, one, x, y], axis=1)])
    target, weights, found = moved.T.ravel(), np.ones(len(at)), np.zeros(4)
    for _ in range(_ROUNDS):
        root = np.sqrt(np.tile(weights, 2))
        found = np.linalg.lstsq(design * root[:, None], target * root, rcond=None)[0]
        off = np.hypot(*(target - design @ found).reshape(2, -1))
        weights = tukey_weights(off, max(float(np.median(off)) / _RAYLEIGH_MEDIAN, _LEAST_SIGMA_PX))
    return found


def _by_part(at: np.ndarray, moved: np.ndarray, size: tuple[int, ...]) -> np.ndarray:
    """Return the median motion (rows, columns, 2) px of the corners in each part; 0 where too few are found."""
    column, row = (at * np.array(_PARTS[::-1]) / np.array(size)).astype(int).T
    motion = np.zeros((*_PARTS, 2))
    for place in np.ndindex(*_PARTS):
        inside = (row == place[0]) & (column == place[1])
        if inside.sum() >= _LEAST_EACH:
            motion[place] = np.median(moved[inside], axis=0)
    return motion


def _above_1_hz(path: np.ndarray, rate_hz: float) -> np.ndarray:
    return sosfiltfilt(butter(_ORDER, 1.0 / (rate_hz / 2), "high", output="sos"), path, axis=0)


def _outputs(clip: Clip, rate_hz: float) -> Iterator[tuple[str, np.ndarray]]:
    yield "input", clip.markers
    yield "ffmpeg vidstab", PEERS["ffmpeg vidstab"](clip.markers, clip.markers, rate_hz)
    flows = measured_flows(clip, "dis")
    for model in ("similarity", "auto"):
        yield f"raftline, {model}", stabilized_markers(clip, flows, {"model": model})[0]
    yield "raftline, readout auto", stabilized_markers(clip, flows, {"readout_ms": "auto"})[0]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", default=",".join(NAMES))
    parser.add_argument("--frames", type=int, default=150)
    parser.add_argument("--map", action="store_true", help="show the parts of the frame, too")
    arguments = parser.parse_args()
    for name in arguments.clips.split(","):
        clip = read_clip(name, arguments.frames)
        rate_hz = 1.0 / float(np.median(np.diff(clip.seconds)))
        for system, lumas in _outputs(clip, rate_hz):
            corners_px, by_part = left_over(lumas, rate_hz)
            median_px = float(np.median(by_part))
            print(f"{name:16} {system:24} {corners_px:7.3f} px; median of parts {median_px:.3f} px", flush=True)
            if arguments.map:
                print(np.round(by_part, 2))


if __name__ == "__main__":
    main()

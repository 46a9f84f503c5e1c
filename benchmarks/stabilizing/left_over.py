"""What shake is left in handheld clips, by corners that are tracked through the output to hundredths of a px.

    python -m benchmarks.stabilizing.left_over [--clips meshflow-8.m4v,...] [--pieces] [--bands] [--map]

Features matched one by one err by a px at the frame's corners, more than what is left. Here corners are tracked from
frame to frame (Lucas and Kanade), a similarity is fitted to them, robustly, and added up; what is above 1 Hz counts.
`--pieces` takes the first, middle and last 100 frames of each clip for clips of their own; `--bands` shows at which
frequencies the movement is; `--map` shows the same for parts of the frame: what moves by itself, or lies at another
depth, stands out.
"""

from __future__ import annotations

import argparse
import itertools
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

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
"""Of the filter: movement below 0.8 Hz, which may be intended, does not count. In a piece of 100 frames 4 % of what is
at 0.6 Hz does, and 11 % of what is at 0.8; of a whole clip 2 and 5 %."""
_PIECE_FRAMES = 100
_BANDS_HZ = (0.05, 0.3, 0.6, 1.0, 1.5, 3.0, 8.0, 15.0)
"""Bounds of the bands of `by_band`."""
_WINDOW_PX, _LEVELS, _STEPS, _CONVERGED_PX = 15, 3, 30, 0.003
"""Of the tracking."""
_LEAST_SIGMA_PX = 0.05
"""Corners are tracked no more exactly."""
OURS: dict[str, dict[str, Any]] = {
    "raftline, similarity": {"model": "similarity"},
    "raftline": {},
    "raftline, readout auto": {"readout_ms": "auto"},
}
"""Options of the stage."""


@dataclass(frozen=True)
class LeftOver:
    """Movement of an output, px rms."""

    corners_px: float
    """Of the frame's corners above 1 Hz."""
    by_part: np.ndarray
    """(rows, columns) of `_PARTS`: of the middle of each part above 1 Hz."""
    by_band: np.ndarray
    """Of the frame's corners between each two of `_BANDS_HZ`."""


def left_over(lumas: np.ndarray, rate_hz: float) -> LeftOver:
    """Measure output lumas (N, H, W) uint8 of `rate_hz` frames per second."""
    whole, parts = [np.zeros(4)], [np.zeros((*_PARTS, 2))]
    for before, after in itertools.pairwise(lumas):
        at, moved = _tracked(before, after)
        whole.append(_similarity(at, moved, lumas.shape[:0:-1]))
        parts.append(_by_part(at, moved, lumas.shape[:0:-1]))
    path, part_path = np.cumsum(whole, axis=0), np.cumsum(parts, axis=0)
    fast, by_part = _above_1_hz(path, rate_hz), _above_1_hz(part_path, rate_hz)
    return LeftOver(
        float(np.sqrt((fast**2).sum(axis=1).mean())),
        np.sqrt((by_part**2).sum(axis=-1).mean(axis=0)),
        by_band(path, rate_hz),
    )


def by_band(path: np.ndarray, rate_hz: float) -> np.ndarray:
    """Return the px of a path (N, D) between each two of `_BANDS_HZ`, rms, by a Hann window, without its line."""
    times = np.arange(len(path))
    line = np.stack([np.polyval(np.polyfit(times, column, 1), times) for column in path.T], axis=1)
    window = np.hanning(len(path))
    spectrum = np.fft.rfft((path - line) * window[:, None], axis=0)
    power = 2.0 * (np.abs(spectrum) ** 2).sum(axis=1) / (len(path) * (window**2).sum())
    hz = np.fft.rfftfreq(len(path), 1 / rate_hz)
    return np.sqrt([power[(hz >= low) & (hz < high)].sum() for low, high in itertools.pairwise(_BANDS_HZ)])


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
    for name, options in OURS.items():
        output, context = stabilized_markers(clip, flows, options)
        yield f"{name} ({context.said['cutoff_hz']} Hz, zoom {context.said['zoom']:.3f})", output


def _pieces(clip: Clip) -> Iterator[Clip]:
    middle = (len(clip.seconds) - _PIECE_FRAMES) // 2
    for name, first in {"first": 0, "middle": middle, "last": len(clip.seconds) - _PIECE_FRAMES}.items():
        own = slice(max(first, 0), max(first, 0) + _PIECE_FRAMES)
        yield replace(
            clip, name=f"{clip.name}, {name}", seconds=clip.seconds[own], frames=clip.frames[own],
            markers=clip.markers[own], base_markers=clip.base_markers[own], duplicates=clip.duplicates[own],
        )  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", default=",".join(NAMES))
    parser.add_argument("--frames", type=int, default=0, help="of each clip, from its beginning; 0: all")
    parser.add_argument("--pieces", action="store_true", help="first, middle and last 100 of these frames alone")
    parser.add_argument("--bands", action="store_true", help="show the bands of frequency, too")
    parser.add_argument("--map", action="store_true", help="show the parts of the frame, too")
    arguments = parser.parse_args()
    for name in arguments.clips.split(","):
        whole = read_clip(name, arguments.frames)
        rate_hz = 1.0 / float(np.median(np.diff(whole.seconds)))
        for clip in _pieces(whole) if arguments.pieces else [whole]:
            for system, lumas in _outputs(clip, rate_hz):
                found = left_over(lumas, rate_hz)
                parts_px = np.median(found.by_part)
                print(
                    f"{clip.name:24} {system:44} {found.corners_px:7.3f} px; median of parts {parts_px:.3f} px",
                    flush=True,
                )
                if arguments.bands:
                    print(
                        "  px between",
                        *(
                            f"{low:g}-{high:g} Hz {px:.2f}"
                            for (low, high), px in zip(itertools.pairwise(_BANDS_HZ), found.by_band, strict=True)
                        ),
                    )
                if arguments.map:
                    print(np.round(found.by_part, 2))


if __name__ == "__main__":
    main()

"""The time of stabilizing a frame of 1280x720, flow aside."""

from __future__ import annotations

import time
from collections.abc import Callable

import cv2
import numpy as np

from benchmarks.data import needed_data
from raftline.camera.camera_motion import CameraMotion, fit_camera_motion
from raftline.camera.direct_alignment import refined_motion
from raftline.camera.luma_pyramid import LumaPyramid
from raftline.camera.parallax import ParallaxField
from raftline.camera.texture import texture_weights
from raftline.stabilize.path.look_ahead import LookAheadSmoother
from raftline.stabilize.path.path_smoothing import PathLimits, camera_path, smooth_clip
from raftline.stabilize.warp.warp import warp_yuv420

WIDTH, HEIGHT = 1280, 720
_REPEATS = 40
"""Runs of each part, of which the fastest counts."""


def milliseconds() -> dict[str, float]:
    """Return the ms of each part per frame, on as many threads as OpenCV takes, and the frames per second."""
    photograph = cv2.imread(str(needed_data() / "textures" / "pop-os_jad-limcaco-183877.jpg"), cv2.IMREAD_GRAYSCALE)
    assert photograph is not None, "the photograph is not there; RAFTLINE_DATA names the folder of the test data"
    luma = cv2.resize(photograph, (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA).astype(np.uint8, copy=False)
    planes = (luma, luma[::2, ::2].copy(), luma[1::2, ::2].copy())
    turn = np.array([[1.05, -0.01, -30.0], [0.01, 1.05, -20.0], [0.0, 0.0, 1.0]])
    rows, columns = HEIGHT // 8, WIDTH // 8
    rng = np.random.default_rng(0)
    flow = rng.normal(0, 0.2, (rows, columns, 2)).astype(np.float32) + (3.0, -2.0)
    steps = np.tile(np.eye(3), (300, 1, 1))
    steps[1:, :2, 2] = rng.normal(0, 4, (299, 2))
    times = np.arange(300) / 30
    path = camera_path(steps, times, np.zeros(300, bool), WIDTH, HEIGHT)
    before, shaken = LumaPyramid.of(luma), np.roll(luma, (2, 3), (0, 1))
    after = LumaPyramid.of(shaken)
    shift = CameraMotion(np.array([[1.0, 0, 3], [0, 1.0, 2], [0, 0, 1]]), "similarity", 1.0, 1.0, 0.2)
    moved = np.full((rows, columns, 2), (3.0, 2.0), np.float32)
    trust, parallax = np.ones((rows, columns)), ParallaxField(WIDTH, HEIGHT)
    found = {
        "align_prepare": _least(lambda: LumaPyramid.of(luma)),
        "align": _least(lambda: refined_motion(shift, before, after, moved, "similarity")),
        "texture": _least(lambda: texture_weights(luma)),
        "fit": _least(lambda: fit_camera_motion(flow, WIDTH, HEIGHT, "similarity", trust)),
        "watch_parallax": _least(lambda: parallax.add(1, 1 / 30, moved, shift.matrix, trust)),
        "smooth_offline": _least(lambda: smooth_clip([path], PathLimits(0.6, max_zoom=1.15)), 3) / 300,
        "smooth_online": _least(lambda: _online(steps, times), 3) / 300,
        "warp_cubic": _least(lambda: warp_yuv420(planes, turn)),
    }
    for mode in ("offline", "online"):
        parts = ("texture", "fit", "align_prepare", "align", "watch_parallax", f"smooth_{mode}", "warp_cubic")
        found[f"fps_{mode}"] = 1000 / sum(found[part] for part in parts)
    return {name: round(value, 3) for name, value in found.items()}


def _online(steps: np.ndarray, times: np.ndarray) -> None:
    smoother = LookAheadSmoother(WIDTH, HEIGHT, 0.6, 0.5, 1.15)
    for time_seconds, step in zip(times, steps, strict=True):
        smoother.push(float(time_seconds), step)


def _least(call: Callable[[], object], repeats: int = _REPEATS) -> float:
    best = np.inf
    for _ in range(repeats):
        begin = time.perf_counter()
        call()
        best = min(best, time.perf_counter() - begin)
    return 1000 * float(best)

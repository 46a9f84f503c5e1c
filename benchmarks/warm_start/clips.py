"""Clips on which starts are compared, from a fixed camera to a violent one, with the exact flow where it is known."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from benchmarks.data import needed_data
from stages.synthetic.scene import SyntheticScene

Frame = npt.NDArray[np.uint8]
Flow = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Clip:
    """Consecutive frames, RGB, and how each pixel of the one before went."""

    frames: list[Frame]
    truth: list[Flow | None] | None = None
    """The exact flow to each frame, None for the first and after a cut; None where it is not known at all."""


def _video(path: str, first: int, step: int = 1, size: tuple[int, int] | None = None) -> Callable[[int], Clip]:
    """Every step-th frame: what a slower camera, or one that moves faster, would give."""

    def read(count: int) -> Clip:
        capture = cv2.VideoCapture(str(needed_data() / "video" / path))
        frames: list[Frame] = []
        number = 0
        while len(frames) < count:
            found, frame = capture.read()
            if not found:
                break
            if number >= first and (number - first) % step == 0:
                frames.append(_rgb(frame if size is None else cv2.resize(frame, size, interpolation=cv2.INTER_AREA)))
            number += 1
        capture.release()
        return Clip(frames)

    return read


def _tennis(first: int) -> Callable[[int], Clip]:
    def read(count: int) -> Clip:
        paths = sorted((needed_data() / "masks" / "tennis").iterdir())
        return Clip([_image(path) for path in paths[first : first + count]])

    return read


def _sintel(count: int) -> Clip:
    folder = needed_data() / "flow" / "sintel" / "training"
    frames = [_image(path) for path in sorted((folder / "clean" / "alley_2").iterdir())[:count]]
    truth = [_flo(path) for path in sorted((folder / "flow" / "alley_2").iterdir())[: len(frames) - 1]]
    return Clip(frames, [None, *truth])


def _synthetic(count: int) -> Clip:
    """A shaking camera of which all is known; halfway a cut to another landscape."""
    scenes = [SyntheticScene(640, 360, seed=seed, shake_px=17.0) for seed in (1, 5)]
    frames: list[Frame] = []
    truth: list[Flow | None] = []
    for index in range(count):
        scene = scenes[0] if index < count // 2 else scenes[1]
        frames.append(scene.rgb(index + 1))
        truth.append(None if index in (0, count // 2) else scene.flow(index + 1)[0])
    return Clip(frames, truth)


CLIPS: dict[str, tuple[str, Callable[[int], Clip]]] = {
    "pan": ("DAVIS tennis 45-, 432x240: smooth pan", _tennis(45)),
    "fast pan": ("DAVIS tennis 10-, 432x240: pan that speeds up", _tennis(10)),
    "shake": ("meshflow-8, 640x360, every 3rd frame: hand", _video("shaky/meshflow-8.m4v", 200, 3)),
    "strong shake": ("meshflow-2, 640x360, every 4th frame: hand", _video("shaky/meshflow-2.m4v", 60, 4)),
    "walk": ("meshflow-3, 640x360: camera that walks", _video("shaky/meshflow-3.m4v", 205)),
    "slow": ("meshflow-9, 640x360: hand, slow", _video("shaky/meshflow-9.m4v", 30)),
    "near": ("cockatoo, 640x360: near things, all directions", _video("shaky/cockatoo.mp4", 128, size=(640, 360))),
    "street": ("bikes, 640x272: follows traffic, blurred", _video("odd/bikes.mp4", 62)),
    "fixed": ("traffic camera, 640x360", _video("static/traffic_camera.mp4", 340, size=(640, 360))),
    "Sintel": ("alley_2, 1024x436, slow, exact flow", _sintel),
    "synthetic": ("640x360, 17 px shake, a cut, exact flow", _synthetic),
}


def _image(path: Path) -> Frame:
    found = cv2.imread(str(path))
    if found is None:
        raise OSError(f"{path}: expected an image, found one that cannot be read")
    return _rgb(found)


def _rgb(bgr: npt.NDArray[np.generic]) -> Frame:
    return np.ascontiguousarray(bgr[:, :, ::-1]).astype(np.uint8)


def _flo(path: Path) -> Flow:
    """Middlebury's format: a magic number, width, height, then (u, v) of each pixel."""
    numbers = np.fromfile(path, np.float32)
    width, height = numbers[1:3].view(np.int32)
    return numbers[3:].reshape(int(height), int(width), 2)

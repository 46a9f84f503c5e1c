"""Small clips of which something large moves by itself, and how many of their frames the camera's motion is lost in.

    python -m benchmarks.stabilizing.foregrounds [--kinds sweep,...] [--worlds half_plain,...] [--sizes 320,640]

Worlds differ in what there is to hold on to beside the thing: a photograph; the same with one half plain, as before a
wall or sky; a photograph in the dark, with noise.
"""

from __future__ import annotations

import argparse
import itertools
import json
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from benchmarks.data import needed_data
from benchmarks.stabilizing.clips import Clip
from benchmarks.stabilizing.movers import KINDS, movers_of, with_movers
from benchmarks.stabilizing.ours import measured_flows
from pipeline.testing import TestContext
from raftline.camera.transforms import frame_corners, motion_matrices, transform_points
from raftline.stabilize.path.path_smoothing import CameraPath
from stages.stabilization.measurement import Measurement
from stages.stabilization.options import StabilizationOptions
from stages.stabilization.whole_clip import measured_path

WORLDS = ("textured", "half_plain", "dark")
FPS = 30.0
_PHOTOGRAPHS = (
    "pop-os_jad-limcaco-183877.jpg", "pop-os_sean-afnan-244576.jpg", "pop-os_nasa-89127.jpg",
    "elementary_ashim_dsilva.jpg", "elementary_morskie_oko.jpg", "pop-os_samuel-zeller-337041.jpg",
    "elementary_photo_by_spacex.jpg", "elementary_snow-capped_mountain.jpg",
)  # fmt: skip
"""Those with texture almost everywhere: mean `texture_weights` of a quarter and more."""
_LOST_SHARE = 0.003
"""Of the width: a step of the path whose corners err by more, rms, is lost. 1 px of 320, 2 of 640."""
_SHAKE = (0.0094, 0.0094, 0.0087, 0.004)
"""Sigma along x and y, in the width; of the turn, in radians; of the scale: as in `clips`."""


@dataclass(frozen=True)
class Foreground:
    """A clip and its true motions."""

    clip: Clip
    motions: np.ndarray
    """(N, 3, 3) px of the frame before to px of this one; identity for the first."""


def make(kind: str, world: str, width: int = 320, frames: int = 75, seed: int = 0) -> Foreground:
    """Make a clip of 16:9; the same arguments make the same clip."""
    rng = np.random.default_rng([seed, KINDS.index(kind), WORLDS.index(world)])
    height = width * 9 // 16
    poses = _poses(frames, width, rng)
    behind, picture = (_photograph(name, 2 * width) for name in rng.permutation(_PHOTOGRAPHS)[:2])
    if world == "half_plain":
        _make_half_plain(behind, rng)
    movers = movers_of(kind, frames / FPS, seed)
    centre = np.array([(width - 1) / 2, (height - 1) / 2])
    to_frame = np.array([[1.0, 0, -width / 2], [0, 1.0, (height - behind.shape[0]) / 2], [0, 0, 1]])
    shown, matrices = [], [_similarity(pose, centre) for pose in poses]
    dark = world == "dark"
    for at, matrix in enumerate(matrices):
        image = cv2.warpPerspective(
            behind, matrix @ to_frame, (width, height), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT
        ).astype(np.float32)
        image = with_movers(image, movers, picture, at / FPS, lambda placed, matrix=matrix: matrix @ placed)
        noise = rng.standard_normal(image.shape, np.float32) * (5.0 if dark else 2.0)
        shown.append(np.clip(image * (0.4 if dark else 1.0) + noise, 0, 255).astype(np.uint8))
    motions = [np.eye(3), *(b @ np.linalg.inv(a) for a, b in itertools.pairwise(matrices))]
    lumas = np.stack([cv2.cvtColor(image, cv2.COLOR_BGR2GRAY) for image in shown])
    clip = Clip(
        f"{kind} {world}", np.arange(frames) / FPS, np.stack(shown), lumas, lumas, np.zeros(frames, bool)
    )  # fmt: skip
    return Foreground(clip, np.stack(motions))


def lost_frames(made: Foreground, estimator: str = "dis") -> tuple[np.ndarray, np.ndarray]:
    """Return (N,) bool twice: the frames into which the measured path errs, and those into which it has no motion."""
    flows = measured_flows(made.clip, estimator)
    measure = Measurement(StabilizationOptions.model_validate({}), TestContext(), float("inf"))
    return lost_in(measured_path([measure(flow) for flow in flows])[0], made)


def lost_in(run: CameraPath, made: Foreground) -> tuple[np.ndarray, np.ndarray]:
    """Return what `lost_frames` does, of a measured path; its steps lead over frames that have no motion."""
    corners = frame_corners(run.width, run.height)
    unmeasured = np.zeros(len(run.times), bool) if run.unmeasured is None else run.unmeasured
    found, off_px, since = motion_matrices(run.motions, run.width, run.height), np.zeros(len(run.times)), np.eye(3)
    for at in range(1, len(run.times)):
        since = made.motions[at] @ since
        if not unmeasured[at]:
            off = transform_points(found[at], corners) - transform_points(since, corners)
            off_px[at], since = np.sqrt((off**2).sum(axis=-1).mean()), np.eye(3)
    return off_px > _LOST_SHARE * run.width, unmeasured


def _poses(frames: int, width: int, rng: np.random.Generator) -> np.ndarray:
    """Return (N, 4): x px, y px, angle, logarithm of the scale; 1-8 Hz."""
    times = np.arange(frames) / FPS
    waves = []
    for sigma in (_SHAKE[0] * width, _SHAKE[1] * width, *_SHAKE[2:]):
        hz, phase = rng.uniform(1, 8, 12), rng.uniform(0, 2 * np.pi, 12)
        wave = np.sin(2 * np.pi * hz * times[:, None] + phase).sum(axis=1)
        waves.append(sigma * wave / wave.std())
    return np.stack(waves, axis=1)


def _similarity(pose: np.ndarray, centre: np.ndarray) -> np.ndarray:
    x, y, angle, log_scale = pose
    turn = np.exp(log_scale) * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    matrix = np.eye(3)
    matrix[:2, :2] = turn
    matrix[:2, 2] = centre - turn @ centre + (x, y)
    return matrix


def _photograph(name: str, width: int) -> np.ndarray:
    file = needed_data() / "textures" / name
    image = cv2.imread(str(file))
    if image is None:
        raise FileNotFoundError(f"{file} is not there; RAFTLINE_DATA names the folder of the test data")
    scale = width / image.shape[1]
    return cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)


def _make_half_plain(image: np.ndarray, rng: np.random.Generator) -> None:
    """Paint one half, left, right or above, in one color with a little shade."""
    rows, columns = image.shape[:2]
    half = (np.s_[:, : columns // 2], np.s_[:, columns // 2 :], np.s_[: rows // 2])[rng.integers(3)]
    shade = np.linspace(0, 12, columns, dtype=np.float32)[None, :, None] + np.full((rows, 1, 3), 150, np.float32)
    image[half] = shade[half].astype(np.uint8)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kinds", default=",".join(KINDS))
    parser.add_argument("--worlds", default=",".join(WORLDS))
    parser.add_argument("--sizes", default="320")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    result: dict[str, list[int]] = {}
    for size in arguments.sizes.split(","):
        for world in arguments.worlds.split(","):
            for kind in arguments.kinds.split(","):
                lost = [lost_frames(make(kind, world, int(size), seed=seed)) for seed in range(arguments.seeds)]
                row = result[f"{size} {world} {kind}"] = [int((wrong | none).sum()) for wrong, none in lost]
                without = sum(int(none.sum()) for _, none in lost)
                print(f"{size:4} {world:10} {kind:12} lost of 75: {row}, {without} of them without motion", flush=True)
    print("lost in all:", sum(map(sum, result.values())), "of", 75 * sum(map(len, result.values())))
    if arguments.json:
        arguments.json.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()

"""Rendered clips that shake as hand-held ones do, and what is left of it above 1 Hz.

    python -m benchmarks.stabilizing.handheld [--kinds shutter,...] [--frames 150] [--seeds 2]

The spectrum is that of four handheld clips: it falls without a gap, so that no frequency tells what was meant. Outputs
are measured by `left_over` on a texture that moved as the world did and that no stabilizer sees.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable

import cv2
import numpy as np

from benchmarks.data import needed_data
from benchmarks.stabilizing.clips import FPS, HEIGHT, WIDTH, Clip, similarity
from benchmarks.stabilizing.left_over import left_over
from benchmarks.stabilizing.movers import Mover, movers_of, with_movers
from benchmarks.stabilizing.ours import measured_flows, stabilized_markers
from benchmarks.stabilizing.peers import PEERS

KINDS = ("stand", "walk", "people", "pan_and_stop", "breathing", "shutter", "depth", "blur", "dim", "everything")
_PHOTOGRAPHS = (
    "pop-os_jad-limcaco-183877.jpg", "pop-os_sean-afnan-244576.jpg", "pop-os_nasa-89127.jpg",
    "elementary_ashim_dsilva.jpg", "elementary_morskie_oko.jpg", "pop-os_samuel-zeller-337041.jpg",
)  # fmt: skip
_STEP_HZ = 0.05
_HZ = np.arange(0.1, 14.0, _STEP_HZ)
_PX_AT_HALF_HZ, _BEND_HZ, _WALK_PX = 9.0, 2.0, 5.0
"""px per root of Hz at 0.5 Hz, which falls with the frequency and with its cube above the bend; of a walker's steps: as
meshflow-2, -3, -8 and -9 at 640 px have, about."""
_TURN, _SCALE = 0.4, 0.03
"""px at the corners for each px of shift."""
_READOUT_SECONDS = (0.01, 0.03)
_NEARNESS, _NEAR_FROM = 1.5, 0.6
"""Shift of what is near for each px of what is far, and the share of the height below which it lies."""
_EXPOSED, _EXPOSURES = 0.5, 5
"""Share of the time between two frames in which one is exposed, with blur; and pictures that make it up."""
_WORLD_SCALE = 2.2
"""Width of the world in that of the frame."""
Poses = Callable[[np.ndarray], np.ndarray]
"""Times (N,) s to (N, 4): as `clips.similarity` takes them."""


def make(kind: str, frames: int = 150, seed: int = 0) -> Clip:
    """Make a clip; the same arguments make the same clip.

    Raises:
        ValueError: The kind is not among `KINDS`.
    """
    if kind not in KINDS:
        raise ValueError(f"kind: expected one of {', '.join(KINDS)}, found {kind!r}")
    rng = np.random.default_rng([seed, KINDS.index(kind)])
    has = {kind} if kind != "everything" else {"walk", "people", "pan_and_stop", "shutter", "depth", "blur"}
    far, near = (_photograph(name) for name in rng.permutation(_PHOTOGRAPHS)[:2])
    texture = _texture(far.shape[:2], rng)
    poses = _poses(has, frames / FPS, rng)
    readout_seconds = float(rng.choice((-1, 1)) * rng.uniform(*_READOUT_SECONDS)) if "shutter" in has else 0.0
    movers = movers_of("two_people", frames / FPS, seed) if "people" in has else []
    shown, markers = [], []
    for time in np.arange(frames) / FPS:
        exposures = np.linspace(0, _EXPOSED / FPS, _EXPOSURES) if "blur" in has else np.zeros(1)
        maps = [_maps(poses, time + exposure, readout_seconds, "depth" in has) for exposure in exposures]
        image = np.mean([_seen(far, near, each) for each in maps], axis=0)
        image = _with_people(image, movers, near, float(time), poses)
        noise = rng.standard_normal(image.shape, np.float32) * (10.0 if "dim" in has else 2.0)
        shown.append(np.clip(image * (0.4 if "dim" in has else 1.0) + noise, 0, 255).astype(np.uint8))
        markers.append(_seen(texture, texture, maps[len(maps) // 2]).astype(np.uint8))
    stacked = np.stack(markers)
    return Clip(kind, np.arange(frames) / FPS, np.stack(shown), stacked, stacked, np.zeros(frames, bool))


def _poses(has: set[str], seconds: float, rng: np.random.Generator) -> Poses:
    density = _PX_AT_HALF_HZ * (0.5 / _HZ) * np.minimum(1.0, (_BEND_HZ / _HZ) ** 2)
    corner_px = np.hypot(WIDTH, HEIGHT) / 2
    size = np.outer((1.0, 1.0, _TURN / corner_px, _SCALE / corner_px), density * np.sqrt(2.0 * _STEP_HZ))
    size = size * rng.rayleigh(1 / np.sqrt(2), size.shape)
    phase = rng.uniform(0, 2 * np.pi, size.shape)
    hz = _HZ * rng.uniform(0.98, 1.02, _HZ.shape)
    step_hz, steps_px = rng.uniform(1.6, 2.0), _WALK_PX * rng.uniform(0.7, 1.4, 2) * ("walk" in has)
    stops = np.sort(rng.uniform(0.1, 0.9, 4)) * seconds
    speed_px_s = rng.uniform(40, 90) * rng.choice((-1, 1)) * ("pan_and_stop" in has)

    def path(times: np.ndarray) -> np.ndarray:
        times = np.atleast_1d(times)
        found = np.stack(
            [np.sin(2 * np.pi * np.outer(times, hz) + at) @ px for at, px in zip(phase, size, strict=True)]
        )
        found[0] += steps_px[0] * np.sin(np.pi * step_hz * times) + speed_px_s * _panned(times, stops)
        found[1] += steps_px[1] * np.sin(2 * np.pi * step_hz * times)
        if "breathing" in has:
            found[3] += 0.02 * np.sin(2 * np.pi * 0.25 * times) + 0.006 * np.sin(2 * np.pi * 1.1 * times)
        return found.T

    return path


def _panned(times: np.ndarray, stops: np.ndarray) -> np.ndarray:
    """Return the seconds (N,) for which a pan has gone on that sets out and stops twice, there and back."""
    there, back = (np.clip(times, *stops[at : at + 2]) - stops[at] for at in (0, 2))
    return there - back


def _maps(poses: Poses, time: float, readout_seconds: float, deep: bool) -> list[np.ndarray]:
    """Return where in the far world, and in the near one if there is one, each pixel (H, W, 2) lies."""
    rows = time + readout_seconds * ((np.arange(HEIGHT) + 0.5) / HEIGHT - 0.5)
    when = poses(rows if readout_seconds else np.array([time]))
    return [_map(when * (nearness, nearness, 1.0, 1.0)) for nearness in ((1.0, _NEARNESS) if deep else (1.0,))]


def _map(when: np.ndarray) -> np.ndarray:
    to_world = np.array(
        [[1.0, 0, (_WORLD_SCALE - 1) / 2 * WIDTH], [0, 1.0, (_WORLD_SCALE - 1) / 2 * HEIGHT], [0, 0, 1]]
    )
    inverse = to_world @ np.linalg.inv(np.stack([similarity(pose) for pose in when]))
    x, y = np.arange(WIDTH), np.arange(HEIGHT)[:, None]
    a = inverse[:, :2, :, None, None]
    each = [a[:, axis, 0, :, 0] * x + a[:, axis, 1, :, 0] * y + a[:, axis, 2, :, 0] for axis in (0, 1)]
    return np.stack(each, axis=-1).astype(np.float32)


def _seen(far: np.ndarray, near: np.ndarray, maps: list[np.ndarray]) -> np.ndarray:
    images = [cv2.remap(each, at, np.empty(0), cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT)
              for each, at in zip((far, near), maps, strict=False)]  # fmt: skip
    if len(images) == 1:
        return images[0]
    edge = _WORLD_SCALE * HEIGHT / 2 + HEIGHT * (_NEAR_FROM - 0.5) + 12 * np.sin(maps[1][..., 0] / 40)
    front = np.clip(maps[1][..., 1] - edge, 0, 1).reshape(HEIGHT, WIDTH, *(1,) * (far.ndim - 2))
    return images[0] * (1 - front) + images[1] * front


def _with_people(image: np.ndarray, movers: list[Mover], picture: np.ndarray, time: float, poses: Poses) -> np.ndarray:
    shaken = similarity(poses(np.array([time]))[0] * (0.0, 1.0, 1.0, 1.0))  # a pan would leave them behind
    return with_movers(image.astype(np.float32), movers, picture, time, lambda placed: shaken @ placed)


def _photograph(name: str) -> np.ndarray:
    image = cv2.imread(str(needed_data() / "textures" / name))
    if image is None:
        raise FileNotFoundError(f"{name} is not among the textures; RAFTLINE_DATA names the folder of the test data")
    return cv2.resize(image, (round(_WORLD_SCALE * WIDTH), round(_WORLD_SCALE * HEIGHT)), interpolation=cv2.INTER_AREA)


def _texture(shape: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
    noise = rng.standard_normal(shape).astype(np.float32)
    marker = cv2.GaussianBlur(noise, (0, 0), 2.5) * 4 + cv2.GaussianBlur(noise[::-1], (0, 0), 8.0) * 12
    return np.clip(128 + 40 * marker / marker.std(), 0, 255).astype(np.uint8)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kinds", default=",".join(KINDS))
    parser.add_argument("--frames", type=int, default=150)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--first-seed", type=int, default=0)
    arguments = parser.parse_args()
    for kind in arguments.kinds.split(","):
        for seed in range(arguments.first_seed, arguments.first_seed + arguments.seeds):
            clip = make(kind, arguments.frames, seed)
            lumas = np.stack([cv2.cvtColor(image, cv2.COLOR_BGR2GRAY) for image in clip.frames])
            output, context = stabilized_markers(clip, measured_flows(clip, "dis"), {})
            outputs = clip.markers, PEERS["ffmpeg vidstab"](lumas, clip.markers, FPS), output
            before, vidstab, ours = (left_over(each, FPS).corners_px for each in outputs)
            print(
                f"{kind:13} seed {seed}: input {before:6.2f} px, ffmpeg vidstab {vidstab:.2f}, raftline {ours:.2f} "
                f"({context.said['cutoff_hz']} Hz, zoom {context.said['zoom']:.3f})",
                flush=True,
            )


if __name__ == "__main__":
    main()

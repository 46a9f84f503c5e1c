"""Clips whose camera path is known: a photograph seen along a smooth base path, plus shake.

Base: nothing above 0.5 Hz. Shake: 1-8 Hz, sigma 6 px along each axis, 0.5 degrees, 0.4 %.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache

import cv2
import numpy as np

from benchmarks.data import needed_data
from benchmarks.stabilizing.movers import KINDS, Mover, movers_of, with_movers

WIDTH, HEIGHT, FPS = 640, 360, 30.0
READOUT_SECONDS = 0.02
"""Between the exposure of the first row and that after the last, in `row_shear`: a common phone's."""
VARIANTS = (
    "static", "pan", "zoom", "foreground", "blank_wall", "two_layers", "low_light", "duplicates", "cut",
    "variable_rate", "row_shear", "violent", *KINDS,
)  # fmt: skip
_VIOLENT = 2.5
"""Shake of the variant of that name, in that of the others: somebody runs with the camera."""
_CENTRE = np.array([(WIDTH - 1) / 2, (HEIGHT - 1) / 2])
_WORLD_WIDTH = 1280
"""Width of the photographs, px: twice the frame, so that pans and shake stay inside."""
_NEARNESS = 1.8
"""Motion of the near layer, in that of the far one."""
_NEAR_FROM = 0.58
"""Share of the height at which the near layer begins: it takes 42 % of the frame."""
_OBJECT_SHARE = 0.775
"""Share of the frame's sides that the moving object takes: 60 % of the area."""
_LAYER_GUARD_PX = 45
"""Distance from the layers' edge from which a layer is measured: more than shake and the edge's waves."""

Path4 = Callable[[np.ndarray], np.ndarray]
"""Times (N,) to (N, 4): x px, y px, angle in radians, logarithm of the scale."""


@dataclass(frozen=True)
class Clip:
    """A shaken clip and its ground truth."""

    name: str
    """Variant or file."""
    seconds: np.ndarray
    """(N,) presentation times."""
    frames: np.ndarray
    """uint8 (N, H, W, 3) BGR: what a stabilizer sees."""
    markers: np.ndarray
    """uint8 (N, H, W): dense texture that moved as the world did. Outputs are measured on it; no estimator sees it."""
    base_markers: np.ndarray
    """uint8 (N, H, W): markers along the base path, without shake."""
    duplicates: np.ndarray
    """(N,) bool: the frame repeats the one before."""
    cuts: tuple[int, ...] = ()
    """First frames of new shots."""
    layers: tuple[np.ndarray, ...] = ()
    """uint8 (H, W) masks of the base frame, on each of which outputs are measured; none: the whole frame."""
    readout_seconds: float = 0.0
    """As `READOUT_SECONDS`; 0: all rows at once."""


@dataclass(frozen=True)
class _World:
    image: np.ndarray
    marker: np.ndarray
    to_frame: np.ndarray = field(default_factory=lambda: np.eye(3))


def make_clip(variant: str, frames: int = 300, seed: int = 0) -> Clip:
    """Make a clip; the same seed makes the same clip.

    Raises:
        ValueError: The name is not among `VARIANTS`.
        FileNotFoundError: The photographs are not there.
    """
    if variant not in VARIANTS:
        raise ValueError(f"variant: expected one of {', '.join(VARIANTS)}, found {variant!r}")
    rng = np.random.default_rng(seed)
    seconds = _times(variant, frames, rng)
    duplicates = np.zeros(frames, bool)
    if variant == "duplicates":
        duplicates[5::6] = True
    shown = np.where(duplicates, np.roll(seconds, 1), seconds)
    base, shake = _base_path(variant, frames, rng), _shake(frames, rng, _VIOLENT if variant == "violent" else 1.0)
    cuts = (frames // 2,) if variant == "cut" else ()
    worlds = [_world("pop-os_jad-limcaco-183877.jpg", 0), _world("pop-os_sean-afnan-244576.jpg", 1)]
    if variant == "blank_wall":
        worlds[0] = _blank(worlds[0])
    movers = movers_of(variant, frames / FPS, seed) if variant in KINDS else []
    shown_frames, markers, base_markers = [], [], []
    for at, time in enumerate(shown):
        world = worlds[1 if cuts and at >= cuts[0] else 0]
        frame, marker, base_marker = _frame(variant, world, base, shake, float(time), rng, movers)
        if duplicates[at]:
            frame, marker = shown_frames[-1], markers[-1]
        shown_frames.append(frame)
        markers.append(marker)
        base_markers.append(base_marker)
    return Clip(
        variant, seconds, np.stack(shown_frames), np.stack(markers), np.stack(base_markers), duplicates, cuts,
        _layers() if variant == "two_layers" else (), READOUT_SECONDS if variant == "row_shear" else 0.0,
    )  # fmt: skip


def similarity(pose: np.ndarray) -> np.ndarray:
    """Return the transform (3, 3) of x px, y px, angle and logarithm of the scale, about the frame's centre."""
    x, y, angle, log_scale = pose
    turn = np.exp(log_scale) * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    matrix = np.eye(3)
    matrix[:2, :2] = turn
    matrix[:2, 2] = _CENTRE - turn @ _CENTRE + (x, y)
    return matrix


def _times(variant: str, frames: int, rng: np.random.Generator) -> np.ndarray:
    if variant != "variable_rate":
        return np.arange(frames) / FPS
    steps = rng.choice([0.5, 1.0, 1.0, 1.5, 2.0], frames - 1) / FPS
    return np.concatenate([[0.0], np.cumsum(steps)])


def _band(low_hz: float, high_hz: float, sigma: float, frames: int, rng: np.random.Generator) -> Callable:
    """Return a sum of 12 sines between two frequencies, of this standard deviation over the clip."""
    hz, phase = rng.uniform(low_hz, high_hz, 12), rng.uniform(0, 2 * np.pi, 12)

    def wave(times: np.ndarray) -> np.ndarray:
        return np.sin(2 * np.pi * hz * np.asarray(times)[..., None] + phase).sum(axis=-1)

    factor = sigma / wave(np.arange(frames) / FPS).std()
    return lambda times: factor * wave(times)


def _shake(frames: int, rng: np.random.Generator, times_usual: float) -> Path4:
    sigmas = (6.0, 6.0, np.deg2rad(0.5), 0.004)
    waves = [_band(1, 8, times_usual * sigma, frames, rng) for sigma in sigmas]
    return lambda times: np.stack([wave(times) for wave in waves], axis=-1)


def _base_path(variant: str, frames: int, rng: np.random.Generator) -> Path4:
    length = frames / FPS
    sway = _band(0.05, 0.5, 10, frames, rng), _band(0.05, 0.5, 8, frames, rng)

    def path(times: np.ndarray) -> np.ndarray:
        times = np.asarray(times)
        still = np.zeros_like(times)
        if variant in ("pan", "variable_rate", "duplicates", "cut"):
            return np.stack([30.0 * (times - length / 2) + sway[0](times), sway[1](times), still, still], axis=-1)
        if variant == "two_layers":
            return np.stack([8.0 * (times - length / 2), still, still, still], axis=-1)
        if variant == "zoom":
            return np.stack([still, still, still, 0.3 * np.sin(np.pi * times / length / 2) ** 2], axis=-1)
        return np.stack([still] * 4, axis=-1)

    return path


def _frame(
    variant: str, world: _World, base: Path4, shake: Path4, time: float, rng: np.random.Generator, movers: list[Mover]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return frame, marker and base marker at a time."""
    pose, shaken = base(np.array(time)), base(np.array(time)) + shake(np.array(time))
    if variant == "two_layers":
        near = _world("pop-os_nasa-45068.jpg", 2)
        image, marker = _layered(world, near, shaken)
        base_marker = _layered(world, near, pose)[1]
    elif variant == "row_shear":
        poses = _row_poses(base, shake, time)
        image, marker = _sheared(world.image, world, poses), _sheared(world.marker, world, poses)
        base_marker = _seen(world.marker, world, pose)
    else:
        image, marker = _seen(world.image, world, shaken), _seen(world.marker, world, shaken)
        base_marker = _seen(world.marker, world, pose)
    if variant == "foreground":
        image = _with_object(image, shaken, time)
    if movers:
        things = _world("elementary_morskie_oko.jpg", 3).image
        image = with_movers(image, movers, things, time, lambda placed: similarity(shaken) @ placed)
    dark = variant == "low_light"
    noise = rng.standard_normal(image.shape, np.float32) * (15.0 if dark else 2.0)
    return np.clip(image * (0.35 if dark else 1.0) + noise, 0, 255).astype(np.uint8), marker, base_marker


def _seen(image: np.ndarray, world: _World, pose: np.ndarray) -> np.ndarray:
    matrix = similarity(pose) @ world.to_frame
    return cv2.warpPerspective(image, matrix, (WIDTH, HEIGHT), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT)


def _row_poses(base: Path4, shake: Path4, time: float) -> np.ndarray:
    """Return the pose (H, 4) when each row is exposed; the middle row is at the frame's time."""
    times = time + READOUT_SECONDS * ((np.arange(HEIGHT) + 0.5) / HEIGHT - 0.5)
    return base(times) + shake(times)


def _sheared(image: np.ndarray, world: _World, poses: np.ndarray) -> np.ndarray:
    x = np.arange(WIDTH)
    sources = np.empty((HEIGHT, WIDTH, 2), np.float32)
    for row, pose in enumerate(poses):
        inverse = np.linalg.inv(similarity(pose) @ world.to_frame)
        sources[row] = np.stack([inverse[i, 0] * x + inverse[i, 1] * row + inverse[i, 2] for i in (0, 1)], axis=-1)
    return cv2.remap(image, sources, np.empty(0), cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT)


def _layered(far: _World, near: _World, pose: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return image and marker of a far world with a near one in front of its lower part."""
    nearer = pose * (_NEARNESS, _NEARNESS, 1.0, 1.0)
    mask = _seen(_near_mask(), near, nearer).astype(np.float32)[..., None] / 255
    image = _seen(far.image, far, pose) * (1 - mask) + _seen(near.image, near, nearer) * mask
    marker = _seen(far.marker, far, pose) * (1 - mask[..., 0]) + _seen(near.marker, near, nearer) * mask[..., 0]
    return image, marker.astype(np.uint8)


@lru_cache(maxsize=1)
def _near_mask() -> np.ndarray:
    """Return uint8 of the world's size: the near layer, with a wavy upper edge."""
    world = _world("pop-os_nasa-45068.jpg", 2)
    rows, columns = world.marker.shape
    edge = HEIGHT * _NEAR_FROM - world.to_frame[1, 2] + 12 * np.sin(np.arange(columns) / 40)
    return ((np.arange(rows)[:, None] > edge) * 255).astype(np.uint8)


def _layers() -> tuple[np.ndarray, np.ndarray]:
    """Return where the base frame shows the far and the near layer at all times."""
    far, near = np.zeros((HEIGHT, WIDTH), np.uint8), np.zeros((HEIGHT, WIDTH), np.uint8)
    edge = int(HEIGHT * _NEAR_FROM)
    far[: edge - _LAYER_GUARD_PX], near[edge + _LAYER_GUARD_PX :] = 255, 255
    return far, near


def _with_object(image: np.ndarray, shaken: np.ndarray, time: float) -> np.ndarray:
    """Draw an object that moves by itself, unsteadily (0.3-4 Hz), over 60 % of the image."""
    own = _object_path()(np.array(time))
    pose = shaken + own
    thing = _world("elementary_morskie_oko.jpg", 3).image
    scale = _OBJECT_SHARE * WIDTH / thing.shape[1]
    placed = np.array(
        [[scale, 0, _CENTRE[0] * (1 - _OBJECT_SHARE)], [0, scale, _CENTRE[1] * (1 - _OBJECT_SHARE)], [0, 0, 1]]
    )
    thing = thing[: int(_OBJECT_SHARE * HEIGHT / scale)]
    matrix = similarity(pose) @ placed
    cover = cv2.warpPerspective(np.ones(thing.shape[:2], np.float32), matrix, (WIDTH, HEIGHT))[..., None]
    moved = cv2.warpPerspective(thing, matrix, (WIDTH, HEIGHT), flags=cv2.INTER_LINEAR)
    return image * (1 - cover) + moved * cover


@lru_cache(maxsize=1)
def _object_path() -> Path4:
    rng = np.random.default_rng(9)
    waves = [_band(0.3, 4, sigma, 300, rng) for sigma in (8.0, 6.0, np.deg2rad(0.7), 0.004)]
    return lambda times: np.stack([wave(times) for wave in waves], axis=-1)


@lru_cache(maxsize=8)
def _world(photograph: str, seed: int) -> _World:
    file = needed_data() / "textures" / photograph
    image = cv2.imread(str(file))
    if image is None:
        raise FileNotFoundError(f"{file} is not there; RAFTLINE_DATA names the folder of the test data")
    image = cv2.resize(image, None, fx=(s := _WORLD_WIDTH / image.shape[1]), fy=s, interpolation=cv2.INTER_AREA)
    rows, columns = image.shape[:2]
    noise = np.random.default_rng(100 + seed).standard_normal((rows, columns)).astype(np.float32)
    marker = cv2.GaussianBlur(noise, (0, 0), 2.5) * 4 + cv2.GaussianBlur(noise[::-1], (0, 0), 8.0) * 12
    marker = np.clip(128 + 60 * marker / marker.std() / 1.5, 0, 255).astype(np.uint8)
    to_frame = np.array([[1.0, 0, -(columns - WIDTH) / 2], [0, 1.0, -(rows - HEIGHT) / 2], [0, 0, 1.0]])
    return _World(image, marker, to_frame)


def _blank(world: _World) -> _World:
    """Return a wall without texture but for 150 x 120 px near the middle."""
    image = np.full_like(world.image, 150)
    rows, columns = image.shape[:2]
    patch = np.s_[rows // 2 - 60 : rows // 2 + 60, columns // 2 - 90 : columns // 2 + 60]
    image[patch] = world.image[patch]
    return _World(image, world.marker, world.to_frame)

"""Square tiles that layers are painted with: cut from photographs at three scales, and procedural.

The distributions were chosen by hand.
"""

import itertools
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from raftline.synthetic.photographs import read_photographs

_SCALES = (1.0, 0.5, 0.25)
"""A photograph gives fine detail and whole objects."""
_BARE_GRADIENT = 5.0
"""Mean absolute gradient of a nearly bare tile, grey levels/px, across and down together. Chosen by hand."""
Tile = npt.NDArray[np.uint8]


def texture_tiles(source: Path | None, tile_px: int, procedural: int, seed: int) -> Tensor:
    """(N, 3, tile_px, tile_px) uint8 RGB, photographs first.

    Args:
        source: see `read_photographs`; None for procedural tiles alone.
        procedural: how many are made by formula.

    Raises:
        TexturesError: nothing usable in `source`.
    """
    tiles: list[Tile] = []
    if source is not None:
        for photograph in read_photographs(source):
            tiles += _cut(photograph, tile_px)
        tiles = _mostly_textured(tiles)
    random = np.random.Generator(np.random.PCG64([seed, 0x7E87]))
    tiles += [_PROCEDURES[number % len(_PROCEDURES)](random, tile_px) for number in range(procedural)]
    return torch.from_numpy(np.stack(tiles)).permute(0, 3, 1, 2).contiguous()


def _cut(photograph: Tile, size: int) -> list[Tile]:
    tiles = []
    for scale in _SCALES:
        height, width = (round(side * scale) for side in photograph.shape[:2])
        enlarge = size / min(height, width)
        if enlarge > 1:
            if scale < 1 and enlarge > 2:
                continue  # what is seen of a photograph enlarged that far are its own pixels
            height, width = max(size, round(height * enlarge)), max(size, round(width * enlarge))
        interpolation = cv2.INTER_AREA if width <= photograph.shape[1] else cv2.INTER_CUBIC
        scaled = cv2.resize(photograph, (width, height), interpolation=interpolation)
        corners = itertools.product(range(0, height - size + 1, size), range(0, width - size + 1, size))
        tiles += [scaled[y : y + size, x : x + size] for y, x in corners]
    return tiles


def _mostly_textured(tiles: list[Tile]) -> list[Tile]:
    """Skies and walls fill photographs: of the tiles with hardly any texture, keep every sixth."""
    kept, bare = [], 0
    for tile in tiles:
        grey = cv2.cvtColor(tile, cv2.COLOR_RGB2GRAY).astype(np.float32)
        gradient = np.abs(np.diff(grey, axis=0)).mean() + np.abs(np.diff(grey, axis=1)).mean()
        bare += gradient < _BARE_GRADIENT
        if gradient >= _BARE_GRADIENT or bare % 6 == 1:
            kept.append(tile)
    return kept


def _colors(random: np.random.Generator, count: int) -> npt.NDArray[np.float32]:
    return random.uniform(0, 255, (count, 3)).astype(np.float32)


def _field(random: np.random.Generator, size: int, cells: int) -> npt.NDArray[np.float32]:
    """(size, size), smooth, 0 to 1, about `cells` bumps across."""
    coarse = random.random((cells + 3, cells + 3), np.float32)
    margin = size * 3 // (2 * cells) if cells < size // 4 else 2
    fine = cv2.resize(coarse, (size + 2 * margin, size + 2 * margin), interpolation=cv2.INTER_CUBIC)
    return np.clip(fine[margin : margin + size, margin : margin + size], 0, 1).astype(np.float32, copy=False)


def _clouds(random: np.random.Generator, size: int) -> Tile:
    """Octaves of noise between two colors: foliage, plaster, clouds."""
    roughness = random.uniform(0.35, 0.85)
    field = np.zeros((size, size), np.float32)
    for octave in range(7):
        cells = min(2 << octave, size // 2)
        field += roughness**octave * (_field(random, size, cells) - 0.5)
    field = np.clip(0.5 + field * random.uniform(0.8, 2.0), 0, 1)[..., None]
    low, high = _colors(random, 2)
    return (low + (high - low) * field).astype(np.uint8)


def _stripes(random: np.random.Generator, size: int) -> Tile:
    """Waves in one or two directions: fences, tiles, bricks, blinds; a slow field keeps them from repeating."""
    y, x = np.mgrid[:size, :size].astype(np.float32)
    pattern = np.ones((size, size), np.float32)
    for _ in range(random.integers(1, 3)):
        angle = random.uniform(0, np.pi)
        wavelength = random.uniform(6, size / 4)
        phase = 2 * np.pi * (np.cos(angle) * x + np.sin(angle) * y) / wavelength
        sharpness = random.choice([0.5, 4.0])
        pattern *= np.clip(0.5 + sharpness * np.sin(phase), 0, 1)
    shade = 0.6 + 0.8 * (_field(random, size, 6) - 0.5) + 0.3 * (_field(random, size, size // 4) - 0.5)
    low, high = _colors(random, 2)
    return np.clip((low + (high - low) * pattern[..., None]) * shade[..., None] * 1.4, 0, 255).astype(np.uint8)


def _flat(random: np.random.Generator, size: int) -> Tile:
    """Hardly any texture: walls, sky, asphalt."""
    low, high = _colors(random, 2)
    field = _field(random, size, int(random.integers(2, 8)))[..., None]
    grain = random.normal(0, random.uniform(0, 4), (size, size, 1))
    return np.clip(low + 0.25 * (high - low) * field + grain, 0, 255).astype(np.uint8)


def _figures(random: np.random.Generator, size: int) -> Tile:
    """Rectangles, discs and lines over each other: signs, windows, writing."""
    image = np.broadcast_to(_colors(random, 1), (size, size, 3)).copy()
    largest = random.uniform(0.03, 0.3)
    for color in _colors(random, int(random.integers(20, 160))):
        x, y = (int(v) for v in random.uniform(0, size, 2))
        w, h = (int(v) + 1 for v in random.uniform(0, largest * size, 2))
        kind = random.integers(3)
        if kind == 0:
            cv2.rectangle(image, (x, y), (x + w, y + h), color.tolist(), cv2.FILLED, cv2.LINE_AA)
        elif kind == 1:
            cv2.ellipse(image, (x, y), (w, h), 0, 0, 360, color.tolist(), cv2.FILLED, cv2.LINE_AA)
        else:
            cv2.line(image, (x, y), (x + w, y + h), color.tolist(), int(random.integers(1, 5)), cv2.LINE_AA)
    return np.clip(image, 0, 255).astype(np.uint8)


_PROCEDURES = (_clouds, _stripes, _flat, _figures)

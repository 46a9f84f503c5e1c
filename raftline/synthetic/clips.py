"""The synthetic data set: clip after clip, each a function of the seed and its number alone."""

import copy
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch

from raftline.synthetic.clip_batch import ClipBatch
from raftline.synthetic.degradations import DegradationOptions, degrade, draw_degradations
from raftline.synthetic.render import render
from raftline.synthetic.scene import SceneOptions, Stock, draw_scene
from raftline.synthetic.shapes import shape_maps
from raftline.synthetic.textures import texture_tiles

_PROCEDURAL_TILES = 120
"""Thirty of each of the four procedures. Chosen by hand; 256 px tiles of 120 take 24 MB."""
_SHAPES = 120
"""Twenty-four of each of the five kinds. Chosen by hand."""


@dataclass(frozen=True)
class SyntheticOptions:
    """Settings of `SyntheticClips`.

    Raises:
        ValueError: a size that is no multiple of 8, or under 128 px.
    """

    height: int
    width: int
    textures: Path | None = None
    """Folder of photographs, or a packed file; None: procedural textures only."""
    tile_px: int = 256
    """Side of a texture tile. Larger frames show tiles mirrored; memory grows with the square."""
    scenes: SceneOptions = field(default_factory=SceneOptions)
    degradations: DegradationOptions = field(default_factory=DegradationOptions)

    def __post_init__(self) -> None:
        for name, side in (("height", self.height), ("width", self.width)):
            if side < 128 or side % 8:
                raise ValueError(f"{name}: expected a multiple of 8, at least 128 px; found {side}")


class SyntheticClips:
    """Clips of three frames with exact flow, rendered on `device` on demand.

    Raises:
        TexturesError: no usable photograph in `options.textures`.
    """

    def __init__(self, options: SyntheticOptions, seed: int, device: torch.device | str = "cpu") -> None:
        self.options = options
        self.seed = seed
        tiles = texture_tiles(options.textures, options.tile_px, _PROCEDURAL_TILES, seed)
        photographs = len(tiles) - _PROCEDURAL_TILES
        self._tiles = tiles.to(device)
        self._shapes = shape_maps(_SHAPES, seed).to(device)
        self._stock = Stock(photographs, len(self._tiles), _SHAPES, options.tile_px)

    def with_seed(self, seed: int) -> "SyntheticClips":
        """Make other scenes from the same textures and shapes, which are not copied."""
        other = copy.copy(self)
        other.seed = seed
        return other

    @torch.no_grad()
    def batch(self, numbers: Sequence[int]) -> ClipBatch:
        """Make the clips of these numbers. A clip is the same in every batch, except for its noise."""
        options = self.options
        scenes, degradations = [], []
        for number in numbers:
            random = np.random.Generator(np.random.PCG64([self.seed, number]))
            scenes.append(draw_scene(random, options.height, options.width, self._stock, options.scenes))
            degradations.append(draw_degradations(random, options.degradations))
        rendered = render(scenes, options.height, options.width, self._tiles, self._shapes)
        frames = degrade(rendered.frames, rendered.flows, degradations, hash((self.seed, *numbers)) & (2**62 - 1))
        valid = torch.ones_like(rendered.visible)
        names = tuple(f"synthetic seed {self.seed} number {number}" for number in numbers)
        return ClipBatch(frames, rendered.flows, valid, rendered.visible, names)

"""How large the inputs of the convolutions get: what 8 bits are spread over.

Measured with the network itself on frames made by formula, so that the ranges depend on the weights alone; those of the
shipped weights are shipped beside them. `python -m raftline.raft.compiled.ranges` measures them again.

With these ranges and 4 and 8 iterations, in a stream's way, 8 bits move the end-point error of Middlebury's four scenes
by -0.004 to +0.003 px, of Sintel alley_2 by less than 0.001, of FlyingChairs 00001 by +0.005 at most, of KITTI 000010
by -0.021 at most, and under a still camera with noise and H.264 by +0.002.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import openvino.opset13 as nodes
import safetensors.numpy
import torch
from torch import Tensor

from raftline.raft.compiled import graphs
from raftline.raft.compiled.layers import Layers, Ranges
from raftline.raft.compiled.network import CompiledRaft
from raftline.raft.model import Raft
from raftline.raft.padding import Padding
from raftline.raft.precision import Precision
from raftline.raft.preprocess import to_network_input
from raftline.raft.weights.loading import DEFAULT_WEIGHTS, load_raft

SHIPPED_RANGES = Path(__file__).parent / f"{DEFAULT_WEIGHTS.stem}.ranges.safetensors"

_HEIGHT, _WIDTH = 192, 256
_PAIRS = 4
_ITERATIONS = 8
_LEAVES = 400
_LARGEST_STEP_PX = 12.0
_RADII_PX = 4.0, 48.0
"""All chosen by hand, to show content of all sizes that moves, in about a second."""


@torch.inference_mode()
def measure_ranges(model: Raft) -> Ranges:
    """The ranges of a model that is in eval mode, float32, on the CPU."""
    observed = _ObservedRaft(model, Precision(compiled="float32"))
    padding = Padding.for_size(_HEIGHT, _WIDTH)
    random = np.random.RandomState(0)  # its stream is frozen by NumPy's promise of compatibility
    for _ in range(_PAIRS):
        earlier, later = (to_network_input(frame, padding, "cpu") for frame in _dead_leaves(random))
        observed(earlier, later, _ITERATIONS)
    return observed.ranges


def shipped_ranges() -> Ranges:
    """Those of the shipped weights."""
    return safetensors.numpy.load_file(SHIPPED_RANGES)


def _dead_leaves(random: np.random.RandomState) -> list[npt.NDArray[np.uint8]]:
    """Two frames of discs that hide each other and move, with as many of each size and contrast as in photographs.

    Radii by an inverse cube: Lee, Mumford and Huang, "Occlusion models for natural images" (IJCV 2001).
    """
    frames = [np.full((_HEIGHT, _WIDTH, 3), 127.5, np.float32) for _ in range(2)]
    camera = random.uniform(-_LARGEST_STEP_PX, _LARGEST_STEP_PX, 2)
    for _ in range(_LEAVES):
        radius = _RADII_PX[0] / np.sqrt(random.uniform((_RADII_PX[0] / _RADII_PX[1]) ** 2, 1))
        centre = random.uniform(0, 1, 2) * (_WIDTH, _HEIGHT)
        step = camera + 2 * random.standard_normal(2)
        color, slope = random.uniform(0, 255, 3), 0.5 * random.standard_normal((3, 2))
        for number, frame in enumerate(frames):
            _draw_disc(frame, centre + number * step, radius, color, slope)
    noisy = [frame + 2 * random.standard_normal(frame.shape) for frame in frames]
    return [np.clip(frame, 0, 255).astype(np.uint8) for frame in noisy]


def _draw_disc(
    frame: npt.NDArray[np.float32],
    centre: npt.NDArray[np.float64],
    radius: float,
    color: npt.NDArray[np.float64],
    slope: npt.NDArray[np.float64],
) -> None:
    left, top = np.maximum(np.floor(centre - radius).astype(int), 0)
    right, bottom = np.maximum(np.ceil(centre + radius).astype(int) + 1, 0)
    seen = frame[top:bottom, left:right]
    y, x = np.mgrid[top : top + seen.shape[0], left : left + seen.shape[1]]
    dx, dy = x - centre[0], y - centre[1]
    inside = dx**2 + dy**2 < radius**2
    seen[inside] = color + dx[inside, None] * slope[:, 0] + dy[inside, None] * slope[:, 1]


class _ObservedRaft(CompiledRaft):
    """Looks at what its convolutions are given."""

    def __init__(self, model: Raft, precision: Precision) -> None:
        super().__init__(model, precision)
        self._names: dict[graphs.Part, list[str]] = {}
        self._seen: dict[str, list[npt.NDArray[np.float32]]] = {}

    @property
    def ranges(self) -> Ranges:
        """Of everything seen so far."""
        each = {name: np.stack(seen, axis=1) for name, seen in self._seen.items()}
        return {
            name: np.stack([least.min(axis=0), greatest.max(axis=0), mean.mean(axis=0)])
            for name, (least, greatest, mean) in each.items()
        }

    def _layers(self, part: graphs.Part, height: int, width: int) -> Layers:
        layers = super()._layers(part, height, width)
        self._names[part] = list(layers.observable)
        axes = np.array([0, 2, 3])
        for value in layers.observable.values():
            layers.output(*(reduce(value, axes, True) for reduce in _REDUCED))
        return layers

    def _run(self, part: graphs.Part, *inputs: Tensor) -> list[Tensor]:
        outputs = super()._run(part, *inputs)
        names, count = self._names[part], len(_REDUCED)
        own = len(outputs) - count * len(names)
        for number, name in enumerate(names):
            of_name = outputs[own + count * number :][:count]
            self._seen.setdefault(name, []).append(np.stack([each.flatten().numpy() for each in of_name]))
        return outputs[:own]


_REDUCED = nodes.reduce_min, nodes.reduce_max, nodes.reduce_mean


if __name__ == "__main__":
    safetensors.numpy.save_file(measure_ranges(load_raft("default", "cpu")), SHIPPED_RANGES)

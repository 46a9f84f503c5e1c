"""Outlines of objects, as signed distance maps. The distributions were chosen by hand."""

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

MAP_CELLS = 96
"""Side of a map. A shape lies within it with a margin, so that its border is outside."""
_OVERSAMPLING = 2
"""Outlines are drawn at twice the map's resolution, so that their distance is smooth after averaging."""
_SIDE = MAP_CELLS * _OVERSAMPLING
_MARGIN = 5 * _OVERSAMPLING
"""Five cells of a map: its border stays outside by more than a blended edge. Chosen by hand."""
Mask = npt.NDArray[np.uint8]


def shape_maps(count: int, seed: int) -> Tensor:
    """(count, 1, 96, 96) float32: distance to the outline in cells, positive inside.

    Sampled bilinearly such a map is a continuous function, whose sign says exactly what is covered, at any point.
    """
    random = np.random.Generator(np.random.PCG64([seed, 0x54A9]))
    maps = []
    while len(maps) < count:
        mask = _DRAWINGS[len(maps) % len(_DRAWINGS)](random)
        mask[:_MARGIN] = mask[-_MARGIN:] = 0
        mask[:, :_MARGIN] = mask[:, -_MARGIN:] = 0
        if mask.mean() > 0.03:
            maps.append(_signed_distance(mask))
    return torch.from_numpy(np.stack(maps))[:, None]


def _signed_distance(mask: Mask) -> npt.NDArray[np.float32]:
    inside = cv2.distanceTransform(mask, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    outside = cv2.distanceTransform(1 - mask, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    distance = cv2.resize(inside - outside, (MAP_CELLS, MAP_CELLS), interpolation=cv2.INTER_AREA)
    return (distance / _OVERSAMPLING).astype(np.float32)


def _blob(random: np.random.Generator) -> Mask:
    """A closed curve whose radius wavers: stones, heads, clouds."""
    angle = np.linspace(0, 2 * np.pi, 180, endpoint=False)
    radius = np.ones_like(angle)
    for harmonic in range(2, 9):
        radius += random.normal(0, 0.5 / harmonic**1.3) * np.cos(harmonic * angle + random.uniform(0, 2 * np.pi))
    radius = np.clip(radius, 0.15, None)
    return _filled(angle, radius / radius.max(), random.uniform(0.4, 1))


def _polygon(random: np.random.Generator) -> Mask:
    """Few corners: boxes, cars, signs, shards."""
    corners = int(random.integers(3, 9))
    angle = np.sort((np.arange(corners) + random.uniform(-0.4, 0.4, corners)) * 2 * np.pi / corners)
    return _filled(angle, random.uniform(0.45, 1, corners), random.uniform(0.4, 1))


def _filled(angle: npt.NDArray[np.float64], radius: npt.NDArray[np.float64], aspect: float) -> Mask:
    reach = _SIDE / 2 - _MARGIN
    points = np.stack([np.cos(angle) * radius, np.sin(angle) * radius * aspect], axis=1) * reach + _SIDE / 2
    mask = np.zeros((_SIDE, _SIDE), np.uint8)
    cv2.fillPoly(mask, [points.round().astype(np.int32)], [1])
    return mask


def _branches(random: np.random.Generator) -> Mask:
    """Strokes that meet: trees, people, bicycles, cables."""
    mask = np.zeros((_SIDE, _SIDE), np.uint8)
    points = [np.array([_SIDE / 2, _SIDE / 2])]
    for _ in range(int(random.integers(3, 10))):
        start = points[int(random.integers(len(points)))]
        end = np.clip(start + random.normal(0, _SIDE / 4, 2), _MARGIN, _SIDE - _MARGIN)
        thickness = int(random.uniform(2, 12) * _OVERSAMPLING)
        cv2.line(mask, start.astype(int).tolist(), end.astype(int).tolist(), [1], thickness)
        points.append(end)
    return mask


def _islands(random: np.random.Generator) -> Mask:
    """Smooth noise above a threshold within a disc: leaves, crowds, holes."""
    cells = int(random.integers(4, 12))
    noise = cv2.resize(random.random((cells, cells), np.float32), (_SIDE, _SIDE), interpolation=cv2.INTER_CUBIC)
    mask = np.zeros((_SIDE, _SIDE), np.uint8)
    cv2.circle(mask, (_SIDE // 2, _SIDE // 2), int(_SIDE / 2 - _MARGIN), [1], cv2.FILLED)
    return mask * (noise > random.uniform(0.3, 0.6)).astype(np.uint8)


def _rings(random: np.random.Generator) -> Mask:
    """A blob or polygon with holes: wheels, frames, fences."""
    mask = _blob(random) if random.random() < 0.5 else _polygon(random)
    for _ in range(int(random.integers(1, 5))):
        centre = [int(v) for v in random.uniform(0.3, 0.7, 2) * _SIDE]
        cv2.circle(mask, centre, int(random.uniform(0.05, 0.2) * _SIDE), [0], cv2.FILLED)
    return mask


_DRAWINGS = (_blob, _polygon, _branches, _islands, _rings)

"""The connected regions of a mask."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np

from raftline.kernels.compiled import compiled


@dataclass(frozen=True)
class Region:
    """One connected region."""

    box: tuple[int, int, int, int]
    """x, y, width, height on the grid it was found on."""
    area: int
    """Points."""
    centre: tuple[float, float]
    """Mean (x, y) of its points."""
    velocity: tuple[float, float]
    """Mean residual motion, px/s."""
    flows: bool = True
    """Flow moves in it. If not, it merely looks unlike the background."""


def regions_of(
    mask: np.ndarray, least_area: float, flows: bool, apart: int = 0, small_area: float | None = None
) -> tuple[list[Region], np.ndarray, list[Region]]:
    """Find the connected regions of a mask.

    Args:
        mask: bool (h, w).
        least_area: Smallest region, points.
        flows: `Region.flows` of all of them.
        apart: Parts that are at most so many points from each other are one region.
        small_area: Smallest of the regions that are too small, points. None: these are left out.

    Returns:
        The regions, their velocity left at 0; labels, int32 (h, w): i + 1 for region i, 0 elsewhere; and the regions
        that are too small.
    """
    whole = np.ascontiguousarray(mask).view(np.uint8)
    labels_of_all = np.zeros(mask.shape, np.int32)
    x, y, width, height = cv2.boundingRect(whole)
    # From an even row and column: components are numbered by blocks of 2x2 points.
    left, top = max(x - apart - 2, 0) // 2 * 2, max(y - apart - 2, 0) // 2 * 2
    place = (slice(top, y + height + apart + 2), slice(left, x + width + apart + 2))
    if not width:
        return [], labels_of_all, []
    values = np.ascontiguousarray(whole[place])
    joined = cv2.dilate(values, np.ones((apart + 1, apart + 1), np.uint8)) if apart else values
    count, components = cv2.connectedComponents(joined, connectivity=8)
    labels = np.asarray(components, np.int32)
    points = np.zeros((count, 7), np.int64)
    points[:, 1:3] = np.iinfo(np.int32).max
    _count(values, labels, points)
    kept = np.flatnonzero(points[:, 0] >= max(least_area, 1))
    renumbered = np.zeros(count, np.int32)
    renumbered[kept] = np.arange(1, len(kept) + 1)
    _relabel(values, labels, renumbered)
    labels_of_all[place] = labels
    areas = points[:, 0]
    small = np.flatnonzero((areas >= max(small_area or 0.0, 1)) & (areas < least_area)) if small_area else []
    regions, small_ones = ([_region(each, left, top, flows) for each in points[at].tolist()] for at in (kept, small))
    return regions, labels_of_all, small_ones


def with_velocities(regions: list[Region], labels: np.ndarray, velocity_px_s: np.ndarray) -> list[Region]:
    """Give regions the mean velocity of the cells that lie in them; those in which none lies do not flow.

    The faster of the cells count for more: those at the rim lie half on the background.

    Args:
        regions: In order of their labels.
        labels: int (N,), each cell's region from 1; 0: none.
        velocity_px_s: (N, 2), each cell's.
    """
    speed = np.hypot(velocity_px_s[:, 0], velocity_px_s[:, 1])
    sums = [np.bincount(labels, speed * part, len(regions) + 1) for part in (1.0, *velocity_px_s.T)]
    weight, u, v = sums[0], sums[1], sums[2]
    mean = np.stack([u, v], axis=1) / np.maximum(weight, 1e-9)[:, None]
    return [
        replace(region, velocity=(float(mean[at, 0]), float(mean[at, 1])), flows=bool(weight[at] > 0))
        for at, region in enumerate(regions, 1)
    ]


def _region(point: list[int], x: int, y: int, flows: bool) -> Region:
    """point: area, left, top, right, bottom, and the sums of x and y over the points, all of them from (x, y)."""
    area, left, top, right, bottom, sum_x, sum_y = point
    box = (x + left, y + top, right - left + 1, bottom - top + 1)
    return Region(box, area, ((sum_x + x * area) / area, (sum_y + y * area) / area), (0.0, 0.0), flows)


@compiled
def _count(mask: Any, components: Any, points: Any) -> None:
    for i in range(mask.shape[0]):
        for j in range(mask.shape[1]):
            if mask[i, j] == 0:
                continue
            point = points[components[i, j]]
            point[0] += 1
            point[1], point[2] = min(point[1], j), min(point[2], i)
            point[3], point[4] = max(point[3], j), max(point[4], i)
            point[5] += j
            point[6] += i


@compiled
def _relabel(mask: Any, labels: Any, renumbered: Any) -> None:
    for i in range(mask.shape[0]):
        for j in range(mask.shape[1]):
            labels[i, j] = renumbered[labels[i, j]] if mask[i, j] else 0

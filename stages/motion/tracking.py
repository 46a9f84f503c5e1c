"""Regions that move, followed from frame to frame under stable ids."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any

import cv2
import numpy as np
from scipy.optimize import linear_sum_assignment

_OVERLAP_WEIGHT = 1.0
_REACH = 1.0
"""How far, in sizes of the larger box, a region's centre may lie from where it was expected."""


@dataclass(frozen=True)
class Region:
    """One connected moving region."""

    box: tuple[int, int, int, int]
    """x, y, width, height on the grid it was found on."""
    area: int
    """Cells."""
    centre: tuple[float, float]
    velocity: tuple[float, float]
    """Mean residual motion, px/s."""


@dataclass(frozen=True)
class Track:
    """A region with a past."""

    id: int
    box: tuple[int, int, int, int]
    centre: tuple[float, float]
    velocity: tuple[float, float]
    first_seconds: float
    last_seconds: float
    seen_seconds: float
    """For how long in all it was seen moving."""
    confirmed: bool

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Track:
        lists = {key: tuple(values[key]) for key in ("box", "centre", "velocity")}
        return cls(**{**values, **lists})


def regions_of(mask: np.ndarray, residual_px_s: np.ndarray) -> tuple[list[Region], np.ndarray]:
    """The connected regions of a bool mask (h, w) with their mean of residual_px_s (h, w, 2); and labels int32 (h, w).

    Region i has label i + 1.
    """
    count, labels, stats, centres = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
    flat = labels.ravel()
    areas = np.maximum(stats[:, cv2.CC_STAT_AREA], 1)
    u = np.bincount(flat, residual_px_s[..., 0].ravel(), count) / areas
    v = np.bincount(flat, residual_px_s[..., 1].ravel(), count) / areas
    regions = []
    for label in range(1, count):
        x, y, width, height, area = (int(value) for value in stats[label])
        centre = (float(centres[label, 0]), float(centres[label, 1]))
        regions.append(Region((x, y, width, height), area, centre, (float(u[label]), float(v[label]))))
    return regions, labels


class RegionTracker:
    """Gives ids. A region keeps its id while it overlaps, or lies near, where its track was heading."""

    def __init__(self, persistence_seconds: float, hold_seconds: float, px_per_cell: float) -> None:
        """A track is confirmed once seen for `persistence_seconds`, and forgotten `hold_seconds` after that ended."""
        self.persistence_seconds = persistence_seconds
        self.hold_seconds = hold_seconds
        self.px_per_cell = px_per_cell
        self.tracks: list[Track] = []
        self._next_id = 1

    def update(self, regions: list[Region], seconds: float, step_seconds: float) -> list[Track]:
        """Follow the tracks into a frame; return each region's track, in order."""
        self.tracks = [track for track in self.tracks if seconds - track.last_seconds <= self._patience(track)]
        expected = [_expected(track, seconds, self.px_per_cell) for track in self.tracks]
        matches = _assign([_distances(box, regions) for box in expected])
        by_region = {region: self.tracks[track] for track, region in matches}
        updated = [self._seen(by_region.get(at), region, seconds, step_seconds) for at, region in enumerate(regions)]
        matched = {track.id for track in by_region.values()}
        self.tracks = [track for track in self.tracks if track.id not in matched] + updated
        return updated

    def state(self) -> dict[str, Any]:
        """JSON values."""
        return {"tracks": [asdict(track) for track in self.tracks], "next_id": self._next_id}

    def restore(self, state: dict[str, Any]) -> None:
        self.tracks = [Track.from_json(values) for values in state["tracks"]]
        self._next_id = state["next_id"]

    def _patience(self, track: Track) -> float:
        # What was hardly seen is forgotten soon, or noise would add up to a confirmed track.
        return self.hold_seconds if track.confirmed else min(self.hold_seconds, 2 * self.persistence_seconds)

    def _seen(self, track: Track | None, region: Region, seconds: float, step_seconds: float) -> Track:
        if track is None:
            begin = seconds - step_seconds
            track = Track(self._next_id, region.box, region.centre, region.velocity, begin, seconds, 0.0, False)
            self._next_id += 1
        seen = track.seen_seconds + step_seconds
        confirmed = track.confirmed or seen >= self.persistence_seconds - 1e-6
        return replace(
            track,
            box=region.box,
            centre=region.centre,
            velocity=region.velocity,
            last_seconds=seconds,
            seen_seconds=seen,
            confirmed=confirmed,
        )


def _expected(track: Track, seconds: float, px_per_cell: float) -> tuple[float, float, float, float]:
    away = (seconds - track.last_seconds) / px_per_cell
    x, y, width, height = track.box
    return x + track.velocity[0] * away, y + track.velocity[1] * away, width, height


def _distances(box: tuple[float, float, float, float], regions: list[Region]) -> list[float]:
    """How ill each region fits the expected box: 0 at best, infinite where it cannot be the same."""
    return [_distance(box, region.box) for region in regions]


def _distance(a: tuple[float, float, float, float], b: tuple[float, ...]) -> float:
    overlap_x = min(a[0] + a[2], b[0] + b[2]) - max(a[0], b[0])
    overlap_y = min(a[1] + a[3], b[1] + b[3]) - max(a[1], b[1])
    shared = max(overlap_x, 0.0) * max(overlap_y, 0.0)
    iou = shared / (a[2] * a[3] + b[2] * b[3] - shared)
    apart = np.hypot(a[0] + a[2] / 2 - b[0] - b[2] / 2, a[1] + a[3] / 2 - b[1] - b[3] / 2)
    reach = apart / max(a[2], a[3], b[2], b[3])
    if iou == 0.0 and reach > _REACH:
        return np.inf
    return float(_OVERLAP_WEIGHT * (1.0 - iou) + reach)


def _assign(distances: list[list[float]]) -> list[tuple[int, int]]:
    """The pairs (row, column) of least total distance, without impossible ones."""
    if not distances or not distances[0]:
        return []
    cost = np.array(distances)
    rows, columns = linear_sum_assignment(np.where(np.isfinite(cost), cost, 1e6))
    return [(int(r), int(c)) for r, c in zip(rows, columns, strict=True) if np.isfinite(cost[r, c])]

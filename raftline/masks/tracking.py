"""Regions that move, followed from frame to frame under stable ids.

As in SORT (Bewley et al. 2016), tracks are carried forward by their velocity, assigned to the regions by the Hungarian
method, and tentative until they are confirmed. Numbers without a source were chosen by hand;
`python -m benchmarks.bench_motion_masks` shows their effect.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from raftline.camera.transforms import transform_xy
from raftline.masks.assignment import largest_total
from raftline.masks.regions import Region

_OVERLAP_WEIGHT = 1.0
"""Distance that boxes without overlap have more than equal ones."""
_AREA_WEIGHT = 0.5
"""Distance for each factor e between the areas."""
_MOST_DISTANCE = 3.0
"""Beyond it a region cannot be the track's."""
_CONFIRMED_WORTH = 2.0
"""A confirmed track's likeness counts this many times: noise does not take its region."""
_REACH, _REACH_AT_LOW_RATES = 1.0, 1.9
"""How far, in sizes of the larger box, a region's centre may lie from where it was expected; farther where frames are
half a second apart, as flow does not tell where it went. Beyond 2, `_MOST_DISTANCE` forbids it."""
_TRAVEL_POINTS = 8.0
"""A region without flow moves if its centre went at least so far, a side of a cell at 640 points,"""
_TRAVEL_SHARE = 0.5
"""and at least this share of its own size: a centre shakes with the outline."""
_MOST_TRAVEL_SECONDS = 0.5
"""Such travel counts as seen moving for at most so long: most of it is waiting."""
_LEAST_ALIKE = 0.75
"""Sides of a region that changed by less are those of the same thing."""
_SIGHTINGS = 4
"""Frames in which a region has to move at low frame rates, as noise does not go on for as many."""
_SIGHTINGS_SECONDS = 0.5
"""Four frames are not waited for any longer."""
_SPLIT_SHARE = 0.2
"""Of an object: a larger part that splits from it is confirmed with it."""
_ROUNDING_SECONDS = 1e-6
"""By which a sum of steps may fall short of the time it stands for."""


@dataclass(frozen=True)
class Track:
    """A region over time. Places are in points of the working grid."""

    id: int
    """Stable while it is followed."""
    box: tuple[float, float, float, float]
    """x, y, width, height."""
    area: int
    """Points."""
    centre: tuple[float, float]
    """Mean (x, y) of its points."""
    velocity: tuple[float, float]
    """px/s of the frame, after the camera's motion."""
    since_seconds: float
    """When the motion began that was last seen: in the frame before that one; of a track that was not confirmed before,
    in the frame before those that are its proof."""
    last_seconds: float
    """The frame it was last seen in."""
    seen_seconds: float
    """For how long in all it was seen moving."""
    confirmed: bool
    """It was seen moving for long enough to count; tentative until then."""
    moved_seconds: float
    """When it last moved."""
    mark: tuple[float, float, float, float, float]
    """Its centre (x, y), the time, its width and height, from which its travel is counted."""

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Track:
        lists = {key: tuple(values[key]) for key in ("box", "centre", "velocity", "mark")}
        return cls(**{**values, **lists})


class RegionTracker:
    """Gives ids. A region keeps its id while it overlaps, or lies near, where its track was heading."""

    def __init__(self, persistence_seconds: float, hold_seconds: float, px_per_point: float, slow_px_s: float) -> None:
        """Begin with no track.

        Args:
            persistence_seconds: A track is confirmed once it moved for this long, and in four frames.
            hold_seconds: It is forgotten this long after it was last seen, but not between one frame and the next.
            px_per_point: Step of the working grid.
            slow_px_s: What travels slower than this stands.
        """
        self.persistence_seconds = persistence_seconds
        self.hold_seconds = hold_seconds
        self.px_per_point = px_per_point
        self.slow_px_s = slow_px_s
        self.tracks: list[Track] = []
        self._next_id = 1

    def update(
        self, regions: list[Region], seconds: float, step_seconds: float, camera: np.ndarray | None = None
    ) -> list[Track]:
        """Follow the tracks into the next frame.

        Args:
            regions: Of the frame.
            seconds: Its time.
            step_seconds: Time since the frame before.
            camera: (3, 3), points of the frame before to points of this one; None: the camera stands.

        Returns:
            Each region's track, in order.
        """
        kept = [t for t in self.tracks if seconds - t.last_seconds <= self._patience(t, step_seconds)]
        self.tracks = kept if camera is None else [_carried(track, camera) for track in kept]
        expected = [_expected(track, seconds, self.px_per_point) for track in self.tracks]
        reach = _REACH if step_seconds < _SIGHTINGS_SECONDS else _REACH_AT_LOW_RATES
        pairs = zip(self.tracks, expected, strict=True)
        matches = _assign([_likeness(track, box, regions, reach) for track, box in pairs])
        by_region = {region: self.tracks[track] for track, region in matches}
        for at, region in enumerate(regions):
            if at not in by_region and (whole := self._split_from(region, expected)) is not None:
                by_region[at] = replace(whole, id=self._new_id(), seen_seconds=0.0)
        updated = [self._seen(by_region.get(at), region, seconds, step_seconds) for at, region in enumerate(regions)]
        matched = {track.id for track in by_region.values()}
        self.tracks = [track for track in self.tracks if track.id not in matched] + updated
        return updated

    def state(self) -> dict[str, Any]:
        """JSON values."""
        return {"tracks": [dict(vars(track)) for track in self.tracks], "next_id": self._next_id}

    def restore(self, state: dict[str, Any]) -> None:
        self.tracks = [Track.from_json(values) for values in state["tracks"]]
        self._next_id = state["next_id"]

    def needed_seconds(self, step_seconds: float) -> float:
        """For how long a region has to be seen moving: `persistence_seconds`, or four frames at low frame rates."""
        if self.persistence_seconds == 0:
            return 0.0
        return max(self.persistence_seconds, min(_SIGHTINGS * step_seconds, _SIGHTINGS_SECONDS))

    def waiting_since(self, seconds: float) -> float | None:
        """When the motion began that has not been seen for long enough to count at a frame; None for none."""
        waiting = [track for track in self.tracks if track.seen_seconds > 0 and not track.confirmed]
        lately = [track for track in waiting if seconds - track.moved_seconds <= self._patience(track)]
        return min((track.since_seconds for track in lately), default=None)

    def _new_id(self) -> int:
        self._next_id += 1
        return self._next_id - 1

    def _split_from(self, region: Region, expected: list[tuple[float, float, float, float]]) -> Track | None:
        """The confirmed track that a new region is a part of: it is confirmed, too."""
        x, y = region.centre
        if not region.flows:
            return None
        for track, (left, top, width, height) in zip(self.tracks, expected, strict=True):
            large = region.area >= _SPLIT_SHARE * track.area
            if track.confirmed and large and 0 <= x - left <= width and 0 <= y - top <= height:
                return track
        return None

    def _patience(self, track: Track, step_seconds: float = 0.0) -> float:
        # What was hardly seen is forgotten soon, or noise would add up to a confirmed track.
        longest = self.hold_seconds if track.confirmed else min(self.hold_seconds, 2 * self.persistence_seconds)
        return max(longest, step_seconds) + _ROUNDING_SECONDS

    def _seen(self, track: Track | None, region: Region, seconds: float, step_seconds: float) -> Track:
        if track is None:
            track = _new_track(self._new_id(), region, seconds - step_seconds)
        alike = _alike(track, region)
        if not (all(alike) or (step_seconds >= _SIGHTINGS_SECONDS and any(alike) and _apart(track, region))):
            track = replace(track, mark=(*region.centre, seconds, *region.box[2:]))
        travelled = _travelled(track, region, seconds, self.px_per_point, self.slow_px_s)
        moves = region.flows or travelled
        from_seconds = seconds - step_seconds if region.flows else track.mark[2]
        longest = step_seconds if region.flows else max(_MOST_TRAVEL_SECONDS, step_seconds)
        more_seconds = min(seconds - from_seconds, longest)
        anew = track.seen_seconds == 0 or from_seconds - track.moved_seconds > self._patience(track)
        seen = (0.0 if anew and not track.confirmed else track.seen_seconds) + (more_seconds if moves else 0.0)
        velocity = region.velocity if region.flows else _drift(track, region, seconds, self.px_per_point)
        return replace(
            track,
            box=region.box,
            area=region.area,
            centre=region.centre,
            velocity=velocity if moves else track.velocity,
            since_seconds=seconds - more_seconds if moves and (anew or track.confirmed) else track.since_seconds,
            last_seconds=seconds,
            seen_seconds=seen,
            confirmed=track.confirmed or (moves and seen >= self.needed_seconds(step_seconds) - _ROUNDING_SECONDS),
            moved_seconds=seconds if moves else track.moved_seconds,
            mark=(*region.centre, seconds, *region.box[2:]) if moves else track.mark,
        )


def _new_track(identity: int, region: Region, seconds: float) -> Track:
    mark = (*region.centre, seconds, *region.box[2:])
    return Track(
        identity, region.box, region.area, region.centre, region.velocity, seconds, seconds, 0.0, False, seconds, mark
    )


def _travelled(track: Track, region: Region, seconds: float, px_per_point: float, slow_px_s: float) -> bool:
    """Whether a region that shows no flow has all the same gone a good part of its own size."""
    size = max(_TRAVEL_POINTS, _TRAVEL_SHARE * float(np.sqrt(region.box[2] * region.box[3])))
    away = float(np.hypot(region.centre[0] - track.mark[0], region.centre[1] - track.mark[1]))
    elapsed = max(seconds - track.mark[2], 1e-6)
    return away >= size and away * px_per_point / elapsed >= slow_px_s


def _alike(track: Track, region: Region) -> list[bool]:
    """Whether each side is that of the mark: what grows, shrinks, merges or splits has a centre that goes somewhere
    without anything travelling."""
    sizes = zip(region.box[2:], track.mark[3:], strict=True)
    return [_LEAST_ALIKE < now / was < 1 / _LEAST_ALIKE for now, was in sizes]


def _apart(track: Track, region: Region) -> bool:
    """Whether a region lies beside the track's mark: it did not grow or shrink to where it is. Who walks grows wider
    and narrower with each step, but stays as tall."""
    axes = zip(region.centre, track.mark[:2], region.box[2:], track.mark[3:], strict=True)
    return any(abs(now - was) >= (size_now + size_was) / 2 for now, was, size_now, size_was in axes)


def _drift(track: Track, region: Region, seconds: float, px_per_point: float) -> tuple[float, float]:
    """px/s since the track's mark."""
    per_second = px_per_point / max(seconds - track.mark[2], 1e-6)
    return (region.centre[0] - track.mark[0]) * per_second, (region.centre[1] - track.mark[1]) * per_second


def _expected(track: Track, seconds: float, px_per_point: float) -> tuple[float, float, float, float]:
    away = (seconds - track.last_seconds) / px_per_point
    x, y, width, height = track.box
    return x + track.velocity[0] * away, y + track.velocity[1] * away, width, height


def _carried(track: Track, camera: np.ndarray) -> Track:
    """The track after the camera's motion, its size kept."""
    x, y = track.centre
    to_x, to_y = transform_xy(camera, x, y)
    along_x, along_y = float(to_x) - x, float(to_y) - y
    left, top, width, height = track.box
    return replace(
        track,
        box=(left + along_x, top + along_y, width, height),
        centre=(x + along_x, y + along_y),
        mark=(track.mark[0] + along_x, track.mark[1] + along_y, *track.mark[2:]),
    )


def _likeness(
    track: Track, box: tuple[float, float, float, float], regions: list[Region], most_reach: float
) -> list[float]:
    """How well each region continues the track, expected in `box`; 0 or less: it cannot be the same.

    Large things weigh more than small ones, and those with a past more than what may be noise.
    """
    worth = _CONFIRMED_WORTH if track.confirmed else 1.0
    return [
        (_MOST_DISTANCE - _distance(box, region.box, most_reach) - _AREA_WEIGHT * abs(np.log(region.area / track.area)))
        * worth
        * float(np.sqrt(min(track.area, region.area)))
        for region in regions
    ]


def _distance(a: tuple[float, float, float, float], b: tuple[float, ...], most_reach: float) -> float:
    """Of two boxes: 0 if they are equal, infinite beyond `most_reach`."""
    overlap_x = min(a[0] + a[2], b[0] + b[2]) - max(a[0], b[0])
    overlap_y = min(a[1] + a[3], b[1] + b[3]) - max(a[1], b[1])
    shared = max(overlap_x, 0.0) * max(overlap_y, 0.0)
    iou = shared / (a[2] * a[3] + b[2] * b[3] - shared)
    apart = np.hypot(a[0] + a[2] / 2 - b[0] - b[2] / 2, a[1] + a[3] / 2 - b[1] - b[3] / 2)
    reach = apart / max(a[2], a[3], b[2], b[3])
    if iou == 0.0 and reach > most_reach:
        return np.inf
    return float(_OVERLAP_WEIGHT * (1.0 - iou) + reach)


def _assign(likeness: list[list[float]]) -> list[tuple[int, int]]:
    """The pairs (row, column) of the largest total, without those of 0 or less."""
    if not likeness or not likeness[0]:
        return []
    gain = np.maximum(np.array(likeness), 0.0)
    return [(row, column) for row, column in largest_total(gain) if gain[row, column] > 0]

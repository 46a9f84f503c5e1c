"""How well told events agree with the true ones."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import cv2
import numpy as np

from benchmarks.motion_masks.happenings.scenes import Span

TOLERANCE_SECONDS = 0.3
_FRAMES = 1.5
"""Where frames are rare, so many of them are the tolerance: nothing is seen between two."""
_LEAST_AREA, _LEAST_SECONDS = 0.0008, 0.2
"""What a mask without events of its own has to show, and for how long: the defaults of `min_area` and
`persistence_seconds`."""


@dataclass
class EventScore:
    """Counts over scenes."""

    scenes: int = 0
    right_scenes: int = 0
    """All that was told was right, and nothing was left out."""
    true: int = 0
    right: int = 0
    """Events told once, by themselves, whose begin and end are within the tolerance."""
    missed: int = 0
    false: int = 0
    """Told while nothing happened."""
    overlaps: int = 0
    """Events that begin before the one before ended."""

    def add(self, told: Sequence[Span], true: Sequence[Span], step_seconds: float) -> str:
        """Take a scene; its faults in words, empty if there is none."""
        faults = faults_of(told, true, step_seconds)
        self.scenes += 1
        self.true += len(true)
        self.missed += faults.count("missed")
        self.false += faults.count("false")
        self.overlaps += faults.count("overlap")
        wrong = sum(fault in ("missed", "off", "split or merged") for fault in faults)
        self.right += len(true) - wrong
        self.right_scenes += not faults
        return ", ".join(faults)


class JaccardMean:
    """Jaccard J of masks, the mean over frames."""

    def __init__(self) -> None:
        self._each: list[float] = []

    def add(self, found: np.ndarray, truth: np.ndarray) -> None:
        """One frame: bool masks (H, W), the truth not empty."""
        self._each.append(np.count_nonzero(found & truth) / np.count_nonzero(found | truth))

    def result(self) -> float:
        """The mean, 0-1."""
        return round(float(np.mean(self._each)), 3) if self._each else 0.0


def faults_of(told: Sequence[Span], true: Sequence[Span], step_seconds: float) -> list[str]:
    """Name what is wrong: of each true event, of each that is false, and of each that overlaps."""
    near = max(TOLERANCE_SECONDS, _FRAMES * step_seconds)
    meets = [[at for at, each in enumerate(told) if _overlap(each, event, near)] for event in true]
    faults = []
    for event, found in zip(true, meets, strict=True):
        if not found:
            faults.append("missed")
        elif len(found) > 1 or sum(found[0] in others for others in meets) > 1:
            faults.append("split or merged")
        elif max(abs(a - b) for a, b in zip(told[found[0]], event, strict=True)) > near + 1e-6:
            faults.append("off")
    faults += ["false" for at in range(len(told)) if not any(at in found for found in meets)]
    return faults + ["overlap" for one, other in pairwise(told) if other[0] < one[1] - 1e-6]


def _overlap(one: Span, other: Span, near: float) -> bool:
    return one[0] <= other[1] + near and other[0] <= one[1] + near


def events_of_masks(masks: Iterable[tuple[float, np.ndarray]], merge_seconds: float) -> list[Span]:
    """Return the events that masks without events show: a region that is large enough, for long enough.

    masks: pairs of a frame's time, s, and bool (H, W).
    """
    spans: list[Span] = []
    before = None
    for seconds, mask in masks:
        before = seconds if before is None else before
        opened = cv2.morphologyEx(mask.astype(np.uint8), cv2.MORPH_OPEN, np.ones((3, 3), np.uint8))
        _, _, stats, _ = cv2.connectedComponentsWithStats(opened)
        if stats[1:, cv2.CC_STAT_AREA].max(initial=0) >= _LEAST_AREA * mask.size:
            goes_on = spans and spans[-1][1] == before
            spans = [*spans[:-1], (spans[-1][0], seconds)] if goes_on else [*spans, (before, seconds)]
        before = seconds
    events: list[Span] = []
    for begin, end in (span for span in spans if span[1] - span[0] >= _LEAST_SECONDS):
        if events and begin - events[-1][1] <= merge_seconds:
            events[-1] = (events[-1][0], end)
        else:
            events.append((begin, end))
    return events

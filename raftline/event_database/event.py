"""A motion event as the database holds it, and which ones are asked for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

GRID = (32, 18)
"""Columns and rows of `Event.cells`: fine enough to tell a door from a path. Chosen by hand."""
LABELS = ("event", "no event")


@dataclass(frozen=True)
class Event:
    """A period of motion."""

    uid: str
    """No other event has it."""
    source: str
    live: bool
    """Of a camera."""
    at: float
    """Begin: s since 1970 for cameras, s from the start of a file."""
    begin_seconds: float
    """Presentation time of the first frame."""
    peak_seconds: float
    """Presentation time of the frame with the largest moving area."""
    peak_area: float
    """That area, as a share of the frame."""
    width: int
    """Of the frame, px."""
    height: int
    until: float | None = None
    """End, as `at`; None while it goes on."""
    end_seconds: float | None = None
    speed_px_s: float | None = None
    """Mean speed of what moved, by area, after the camera's motion."""
    direction_degrees: float | None = None
    """Where to: 0 right, 90 down, 180 left, 270 up."""
    uncertain: bool = False
    """It may have been the camera, or scenery at another depth."""
    cut_short: bool = False
    """The source or the run ended before it."""
    zones: tuple[str, ...] = ()
    path: tuple[tuple[float, float, float], ...] = ()
    """(s, x px, y px) of the largest object."""
    cells: bytes = b""
    """Bits of a grid of `GRID`, row by row, high bit first: where something moved."""
    thumbnail: str | None = None
    """Path, relative to the database."""
    clip: str | None = None
    """Path, relative to the database."""
    features: dict[str, Any] = field(default_factory=dict)
    """What was measured, to tune by."""
    label: str | None = None
    """What somebody said of it: one of `LABELS`."""
    labelled_at: float | None = None
    """s since 1970."""
    number: int = 0
    """Of its row."""


@dataclass(frozen=True)
class Filter:
    """Which events."""

    sources: Sequence[str] | None = None
    """None: all."""
    zone: str | None = None
    begin: float | None = None
    """Those that begin then or later, as `Event.at`."""
    end: float | None = None
    """Those that begin before it."""
    least_area: float | None = None
    most_area: float | None = None
    least_speed_px_s: float | None = None
    most_speed_px_s: float | None = None
    label: str | None = None
    """One of `LABELS`, or ``none``."""
    cells: bytes | None = None
    """Those with motion in some cell of these."""
    clip: str | None = None
    """Those that this clip shows."""


@dataclass(frozen=True)
class Bar:
    """The events that begin in one part of the time."""

    at: float
    events: int
    peak_area: float


def cells_of(moving: Callable[[int, int], bool]) -> bytes:
    """`Event.cells` of a function of column and row."""
    columns, rows = GRID
    bits = "".join("1" if moving(column, row) else "0" for row in range(rows) for column in range(columns))
    return int(bits, 2).to_bytes(columns * rows // 8, "big")

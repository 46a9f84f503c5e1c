"""What travels between stages.

Messages are frozen. Arrays in them are read-only; take one with ``numpy.asarray(message.field)``: it may
still lie in shared memory or in a stream entry (`LazyArray`) and is fetched, once, when it is asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any, Literal, Union

import numpy as np

PixelFormat = Literal["yuv420p", "rgb24", "gray8"]
ColorRange = Literal["tv", "pc"]
ColorSpace = Literal["bt601", "bt709", "bt2020", "rgb"]
FlowStart = Literal["first", "cold", "warm", "duplicate", "scene_cut"]
GapReason = Literal["reconnect", "lost_frames", "scene_cut", "decoder_reset", "size_change", "restart"]
EndReason = Literal["end", "stopped", "failed"]


class LazyArray:
    """An array known by shape and dtype whose values are fetched at first use.

    `reference` names where the values lie, so that a stage which passes the array on costs no copy.
    """

    __slots__ = ("shape", "dtype", "reference", "_load", "_values")

    def __init__(
        self, shape: tuple[int, ...], dtype: np.dtype[Any], load: Callable[[], np.ndarray], reference: Any = None
    ) -> None:
        self.shape = shape
        self.dtype = dtype
        self.reference = reference
        self._load = load
        self._values: np.ndarray | None = None

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        """The values, read-only. Raises `StalePayloadError` where they were recycled (live policy only)."""
        if self._values is None:
            values = self._load()
            values.flags.writeable = False
            self._values = values
        if dtype is not None and dtype != self._values.dtype:
            return self._values.astype(dtype)
        return self._values.copy() if copy else self._values

    def __len__(self) -> int:
        return self.shape[0]

    def __repr__(self) -> str:
        return f"LazyArray(shape={self.shape}, dtype={self.dtype})"


Array = Union[np.ndarray, LazyArray]


@dataclass(frozen=True)
class Header:
    """Whose message it is, where it stands in the stream, and when it was."""

    source: str
    """Name of the camera or file, ``[A-Za-z0-9_.-]+``."""
    pts: int | None
    """Presentation time in units of `time_base`, exactly as the container says; None for a message with no time."""
    time_base: Fraction
    """Seconds per unit of `pts`."""
    arrival_ns: int
    """Wall clock (ns since 1970) when the decoder had the frame."""
    epoch: int = 0
    """Which continuous numbering `sequence` belongs to. Set by the worker of the source."""
    sequence: int = 0
    """Position in the source's stream, gaps and end included; strictly growing. Set by the worker of the source.
    What a stage makes of a message carries that message's header, at most one message of a kind per sequence."""
    ntp_ns: int | None = None
    """Sender's wall clock (ns since 1970), from cameras that send it."""

    @property
    def pts_seconds(self) -> float | None:
        """Presentation time in seconds."""
        return None if self.pts is None else float(self.pts * self.time_base)


@dataclass(frozen=True)
class Frame:
    """One picture, as the decoder made it, upright."""

    header: Header
    index: int
    """Which decoded frame of the source this is, from 0. Frames dropped on the way leave a hole."""
    width: int
    """px"""
    height: int
    """px"""
    format: PixelFormat
    """``yuv420p`` (planar 4:2:0), ``rgb24`` or ``gray8``; always 8 bit."""
    planes: tuple[Array, ...]
    """uint8. yuv420p: (H, W), (ceil(H/2), ceil(W/2)) twice. rgb24: one (H, W, 3). gray8: one (H, W)."""
    color_space: ColorSpace
    """Matrix of the YUV; ``rgb`` for rgb24."""
    color_range: ColorRange
    """``tv``: luma 16-235; ``pc``: 0-255."""
    duration: int | None = None
    """In units of the time base, where the container knows it."""


@dataclass(frozen=True)
class Flow:
    """Motion from the frame before to `frame`. One for every frame, the first included."""

    header: Header
    frame: Frame
    """The later frame."""
    start: FlowStart
    """How the estimate began. ``first`` and ``scene_cut``: there is no motion, all arrays are None."""
    grid_px: Array | None
    """float32 (ceil(H/8), ceil(W/8), 2): (u, v) in px of the full frame, x right, y down, at the cell centres
    (8 j + 3.5, 8 i + 3.5) of the earlier frame. The content at (x, y) went to (x + u, y + v)."""
    flow_px: Array | None = None
    """float16 (H, W, 2): the same at every pixel; only where a reader asks for ``flow``."""
    confidence: Array | None = None
    """float32 (ceil(H/8), ceil(W/8)) in [0, 1]; only where a reader asks for ``confidence``."""
    previous_index: int | None = None
    """`Frame.index` of the earlier frame."""
    step_seconds: float | None = None
    """Presentation time between the two frames. Longer than a frame's duration where frames were dropped."""
    iterations: int = 0
    """Updates the network ran; 0 for duplicates and for estimators that have none."""


@dataclass(frozen=True)
class MotionObject:
    """One moving thing in one frame."""

    id: int
    """Stable while it is followed."""
    box: tuple[int, int, int, int]
    """x, y, width, height in px."""
    area_px: int
    velocity_px_s: tuple[float, float]
    """Mean motion after the camera's, px/s, x right, y down."""


@dataclass(frozen=True)
class MotionEvent:
    """Motion from begin to end."""

    id: int
    begin_seconds: float
    """Presentation time of the first frame."""
    end_seconds: float | None
    """Presentation time of the last frame; None while it goes on."""
    peak_seconds: float
    """When the moving area was largest."""
    peak_area: float
    """That area, as a share of the frame, 0-1."""
    object_ids: tuple[int, ...] = ()
    path: tuple[tuple[float, float, float], ...] = ()
    """(seconds, x, y): where its largest object was, centre of the box in px; at most 64 places at even distances."""
    uncertain: bool = False
    """In most of the frames in which it moved so far the mask was uncertain: it may be scenery at another depth, or
    the camera."""


@dataclass(frozen=True)
class Mask:
    """What moves in a frame, other than the camera."""

    header: Header
    frame: Frame
    mask: Array
    """uint8 (H, W): 255 moves, 0 does not."""
    objects: tuple[MotionObject, ...] = ()
    events: tuple[MotionEvent, ...] = ()
    """Events that began (`end_seconds` None) or ended at this frame."""
    camera: tuple[float, ...] | None = None
    """Row-major 3x3: px of the earlier frame to px of this one, as the camera moved."""
    uncertain: bool = False
    """The camera's motion could not be told from the objects'."""


@dataclass(frozen=True)
class Stabilized:
    """A frame moved to where a steady camera would have shown it."""

    header: Header
    frame: Frame
    """The corrected picture."""
    correction: tuple[float, ...]
    """Row-major 3x3: px of the original to px of the corrected frame, zoom included."""
    original: Frame | None = None
    """The frame before correction; only where a reader asks for ``original``."""


@dataclass(frozen=True)
class Data:
    """What a stage of the user's own has to say, where none of the others fits."""

    header: Header
    kind: str
    """The stage's name for it."""
    values: Mapping[str, Any] = field(default_factory=dict)
    """JSON values."""
    arrays: Mapping[str, Array] = field(default_factory=dict)
    frame: Frame | None = None


@dataclass(frozen=True)
class Gap:
    """Continuous motion ends here: what comes next does not follow from what came before."""

    header: Header
    reason: GapReason
    detail: str = ""
    """For people."""
    gap_seconds: float | None = None
    """How long nothing was seen, where known."""


@dataclass(frozen=True)
class EndOfStream:
    """The last message of a source."""

    header: Header
    reason: EndReason = "end"
    """``end``: the file ended. ``stopped``: the user stopped it; outputs are whole, and shorter.
    ``failed``: the source broke; outputs are discarded."""
    error: str | None = None
    """Why, for ``failed``."""


Message = Union[Frame, Flow, Mask, Stabilized, Data, Gap, EndOfStream]

MESSAGE_TYPES: tuple[type, ...] = (Frame, Flow, Mask, Stabilized, Data, Gap, EndOfStream)

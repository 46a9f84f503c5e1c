"""The messages that travel between stages.

Messages are frozen and their arrays read-only. Get an array with ``numpy.asarray(message.field)``: until then it may
lie in shared memory or in a stream entry (`LazyArray`), from which it is fetched once.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from fractions import Fraction
from functools import lru_cache
from typing import Any, Literal, Union

import numpy as np

from pipeline.arrays import Array, LazyArray

PixelFormat = Literal["yuv420p", "yuv420p10", "rgb24", "gray8"]
ColorRange = Literal["tv", "pc"]
ColorSpace = Literal["bt601", "bt709", "bt2020", "rgb"]
FlowStart = Literal["first", "cold", "warm", "duplicate", "still", "scene_cut", "passing", "resumed", "registered"]
GapReason = Literal["reconnect", "lost_frames", "scene_cut", "decoder_reset", "size_change", "restart"]
EndReason = Literal["end", "stopped", "failed"]


@lru_cache(maxsize=64)
def _fraction(text: str) -> Fraction:
    """The value of ``"1/90000"``: a source's is the same in all of its messages, and reading it takes long."""
    return Fraction(text)


@dataclass(frozen=True)
class Header:
    """Source, position in the stream, and time of a message."""

    source: str
    """Name of the camera or file, as in `pipeline.stage.SourceInfo`."""
    pts: int | None
    """Presentation time in units of `time_base`, exactly as in the container; None if the message has no time."""
    time_base: Fraction
    """Seconds per unit of `pts`."""
    arrival_ns: int
    """Wall clock (ns since 1970) when the decoder received the frame."""
    epoch: int = 0
    """Numbering that `sequence` belongs to; a later epoch comes after all of an earlier one. Set by the pipeline."""
    sequence: int = 0
    """Position in the source's stream, gaps and the end included; strictly increasing. Set by the pipeline. A stage
    gives each message it yields the header of the message it was made from, at most one message per sequence."""
    ntp_ns: int | None = None
    """The sender's wall clock (ns since 1970), if the camera sends it."""

    @property
    def pts_seconds(self) -> float | None:
        """Presentation time in seconds."""
        if self.pts is None:
            return None
        # As near as `float` of the fraction, in a tenth of the time.
        return self.pts * self.time_base.numerator / self.time_base.denominator

    def to_json(self) -> dict[str, Any]:
        """JSON values, as stream entries and snapshots hold them: `time_base` becomes ``"1/90000"``."""
        return {**vars(self), "time_base": f"{self.time_base.numerator}/{self.time_base.denominator}"}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Header:
        """The header that `to_json` described.

        Raises:
            TypeError, ValueError, KeyError: If `values` describe no header.
        """
        return cls(**{**values, "time_base": _fraction(values["time_base"])})


@dataclass(frozen=True)
class Frame:
    """One frame of video as decoded, upright."""

    header: Header
    index: int
    """Number of the frame in the source, from 0. Dropped frames leave a gap in the numbers."""
    width: int
    """Width, px."""
    height: int
    """Height, px."""
    format: PixelFormat
    """``yuv420p`` (planar 4:2:0) of 8 bits, ``yuv420p10`` of 10, ``rgb24`` or ``gray8`` of 8 bits per sample."""
    planes: tuple[Array, ...]
    """uint8. yuv420p: Y (H, W), then U and V (ceil(H/2), ceil(W/2)). yuv420p10: the same, uint16, 0 to 1023. rgb24: one
    (H, W, 3). gray8: one (H, W)."""
    color_space: ColorSpace
    """YUV matrix; ``rgb`` for rgb24."""
    color_range: ColorRange
    """``tv``: luma from 16 to 235, four times that in 10 bits. ``pc``: all values."""
    duration: int | None = None
    """Duration in units of the header's time base, if the container gives it."""
    stream_index: int | None = None
    """Index of the stream of the input file that the frame was decoded from, as FFmpeg counts; None if there is none.
    Who makes a new frame of another keeps it: what the file says of that stream goes for the output, too."""

    def in_8_bits(self) -> Frame:
        """The frame with 8 bits per sample, rounded when they are used; the same if it has no more."""
        if self.format != "yuv420p10":
            return self
        return replace(self, format="yuv420p", planes=tuple(_in_8_bits(plane) for plane in self.planes))


def _in_8_bits(plane: Array) -> LazyArray:
    """A plane of 10 bits, rounded to 8."""
    return LazyArray(
        tuple(plane.shape),
        np.dtype(np.uint8),
        lambda part: np.minimum((np.asarray(plane)[part] + 2) >> 2, 255).astype(np.uint8),
    )


@dataclass(frozen=True)
class Flow:
    """Optical flow from the previous frame to `frame`. There is one for every frame, including the first."""

    header: Header
    frame: Frame
    """The later frame."""
    start: FlowStart
    """How the estimate was initialized. For ``first`` and ``scene_cut`` there is no flow: all arrays are None. For
    ``duplicate`` (the last frame again) and ``still`` (the camera stands, and nothing but noise has changed for a
    while) nothing was estimated: all flow is zero. So it is for ``passing``: a single frame, such as a flash, that has
    little in common with either neighbor. The next one is ``resumed``: its flow is from the frame before that one.
    ``registered``: the frame moves as one, which was measured on its pixels; the network did not run."""
    grid_px: Array | None
    """float32 (ceil(H/8), ceil(W/8), 2): (u, v) in px of the full frame, x right, y down. Cell (i, j) is centered at
    (8 j + 3.5, 8 i + 3.5) of the earlier frame. The content at (x, y) moved to (x + u, y + v)."""
    flow_px: Array | None = None
    """float16 (H, W, 2): the same at every pixel. Only if a reader needs ``flow``."""
    confidence: Array | None = None
    """float32 (ceil(H/8), ceil(W/8)) in [0, 1]. Only if a reader needs ``confidence``."""
    previous_index: int | None = None
    """`Frame.index` of the earlier frame."""
    step_seconds: float | None = None
    """Presentation time between the two frames, s. Longer than one frame's duration if frames were dropped."""
    iterations: int = 0
    """Update iterations that the network ran; 0 where nothing was estimated, and for estimators without iterations."""


@dataclass(frozen=True)
class MotionObject:
    """One moving object in one frame."""

    id: int
    """Stays the same while the object is tracked."""
    box: tuple[int, int, int, int]
    """x, y, width, height, px."""
    area_px: int
    velocity_px_s: tuple[float, float]
    """Mean velocity relative to the camera's motion, px/s, x right, y down."""
    moves: bool = True
    """False while it stands after having moved."""
    zones: tuple[str, ...] = ()
    """Names of the zones that it is in."""


@dataclass(frozen=True)
class MotionEvent:
    """A period of motion."""

    id: int
    begin_seconds: float
    """Presentation time of the first frame, s."""
    end_seconds: float | None
    """Presentation time of the last frame, s; None while the event continues."""
    peak_seconds: float
    """Presentation time at which the moving area was largest, s."""
    peak_area: float
    """That area as a fraction of the frame, 0 to 1."""
    object_ids: tuple[int, ...] = ()
    path: tuple[tuple[float, float, float], ...] = ()
    """(s, x, y): box center of its largest object, px; at most 64 points, evenly spaced in time."""
    uncertain: bool = False
    """The mask was uncertain in most frames with motion so far: it may be scenery at another depth, or the camera."""
    after_seconds: float = 0.0
    """It lasts this much longer than its last motion, s."""


@dataclass(frozen=True)
class Mask:
    """What moves in a frame, apart from the camera's own motion."""

    header: Header
    frame: Frame
    mask: Array
    """uint8 (H, W): 255 where something moves, otherwise 0."""
    objects: tuple[MotionObject, ...] = ()
    events: tuple[MotionEvent, ...] = ()
    """Events that begin (`end_seconds` is None) or end at this frame."""
    camera: tuple[float, ...] | None = None
    """Row-major 3x3 matrix of the camera's motion: maps px of the earlier frame to px of this one."""
    uncertain: bool = False
    """The camera's motion could not be separated from that of the objects."""


@dataclass(frozen=True)
class Stabilized:
    """A frame, warped to what a steady camera would have shown."""

    header: Header
    frame: Frame
    """The corrected frame."""
    correction: tuple[float, ...]
    """Row-major 3x3 matrix: maps px of the original to px of the corrected frame, zoom included."""
    original: Frame | None = None
    """The frame before correction. Only if a reader needs ``original``."""


@dataclass(frozen=True)
class Data:
    """Anything that a custom stage yields and no other message class fits."""

    header: Header
    kind: str
    """Name that the stage chooses for this kind of data."""
    values: Mapping[str, Any] = field(default_factory=dict)
    """JSON values."""
    arrays: Mapping[str, Array] = field(default_factory=dict)
    frame: Frame | None = None
    once: bool = False
    """It tells of something that no later message repeats, such as an event: it is never dropped as late."""


@dataclass(frozen=True)
class Gap:
    """A break in continuous motion: the next frame does not follow from the last one."""

    header: Header
    reason: GapReason
    detail: str = ""
    """Explanation for people."""
    gap_seconds: float | None = None
    """Time without frames, s, if known."""


@dataclass(frozen=True)
class EndOfStream:
    """The last message of a source."""

    header: Header
    reason: EndReason = "end"
    """``end``: the file ended. ``stopped``: the user stopped it; outputs are complete but shorter.
    ``failed``: the source failed; outputs are discarded."""
    error: str | None = None
    """Reason, for ``failed``."""


Message = Union[Frame, Flow, Mask, Stabilized, Data, Gap, EndOfStream]

MESSAGE_TYPES: tuple[type, ...] = (Frame, Flow, Mask, Stabilized, Data, Gap, EndOfStream)


def with_8_bits(message: Message) -> Message:
    """The message with all of its frames in 8 bits; the same if they have no more."""
    if isinstance(message, Frame):
        return message.in_8_bits()
    if isinstance(message, (Gap, EndOfStream)):
        return message
    inside = {name: getattr(message, name, None) for name in ("frame", "original")}
    deep = {name: each.in_8_bits() for name, each in inside.items() if each is not None and each.format == "yuv420p10"}
    return replace(message, **deep) if deep else message

"""Whether a message holds what its class says: types, shapes, dtypes, values that travel as JSON.

`fault` looks at everything, `signature` at what may differ from message to message: a stream whose signatures have all
been checked is right for the price of a tuple.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping
from fractions import Fraction
from itertools import chain
from numbers import Integral, Real
from typing import Any, get_args

import numpy as np

from pipeline.messages import (
    ColorRange,
    ColorSpace,
    Data,
    EndOfStream,
    EndReason,
    Flow,
    FlowStart,
    Frame,
    Gap,
    GapReason,
    Header,
    LazyArray,
    Mask,
    Message,
    MotionEvent,
    MotionObject,
    PixelFormat,
    Stabilized,
)

_CELL_PX = 8
"""Side of a cell of `Flow.grid_px`."""
_JSON = "text, whole numbers, floats, True, False, None, and lists and dictionaries of these"

Faults = Iterator[str]


def fault(message: Message) -> str | None:
    """What is wrong with a message: the field, what was found, what is allowed. None if nothing is."""
    try:
        return next(_faults(message), None)
    except Exception as error:  # something so different that even the check fails
        return f"cannot be read: {type(error).__name__}: {error}"


def signature(message: Message) -> Hashable:
    """Shapes, dtypes and formats of a message, in about a microsecond.

    Raises:
        AttributeError, TypeError: For something that is no message; `fault` says what is wrong with it.
    """
    return _SIGNATURES[type(message)](message)


def json_fault(value: Any, path: str) -> str | None:
    """What `value` holds that JSON cannot, where, and what to write instead. None if it is all JSON."""
    if value is None or isinstance(value, (str, int, float)):
        return None
    if isinstance(value, Mapping):
        for key in value:
            if not (key is None or isinstance(key, (str, int, float))):
                return f"{path}: found the key {shown(key)}; allowed: text"
        return _first(json_fault(item, f"{path}[{key!r}]") for key, item in value.items())
    if isinstance(value, (list, tuple)):
        return _first(json_fault(item, f"{path}[{at}]") for at, item in enumerate(value))
    return f"{path}: found {shown(value)}; allowed: {_JSON}. {_instead(value)}"


def named(value: Any) -> str:
    """The class of a value as an author writes it, such as ``numpy.float32`` or ``set``."""
    cls = type(value)
    module = cls.__module__.partition(".")[0]
    return cls.__qualname__ if module in ("builtins", "pipeline", "__main__") else f"{module}.{cls.__qualname__}"


def shown(value: Any) -> str:
    """A value with its class, shortened: ``numpy.float32 0.5``."""
    if value is None or isinstance(value, type):
        return "None" if value is None else f"the class {value.__name__}"
    text = "" if isinstance(value, (np.ndarray, LazyArray)) else str(value)
    return f"{named(value)} {text[:40]}".rstrip() + ("..." if len(text) > 40 else "")


def _instead(value: Any) -> str:
    if isinstance(value, np.generic):
        return "Write its .item()" + (", or float() of it" if isinstance(value, np.floating) else "")
    if isinstance(value, (np.ndarray, LazyArray)):
        return "Write its .tolist(), or put an array into Data.arrays"
    if isinstance(value, (set, frozenset)):
        return "Write sorted() or list() of it"
    if isinstance(value, bytes):
        return "Write text, such as base64"
    return "Write what describes it in these"


def _first(faults: Iterator[str | None]) -> str | None:
    return next((each for each in faults if each is not None), None)


def _faults(message: Any) -> Faults:
    if type(message) not in _CHECKS:
        yield f"found {named(message)}; allowed: {', '.join(cls.__name__ for cls in _CHECKS)}"
        return
    yield from _header(message.header)
    yield from _CHECKS[type(message)](message)


def _header(header: Any) -> Faults:
    yield from _of(header, Header, "header")
    yield from _of(header.source, str, "header.source")
    yield from _of(header.time_base, Fraction, "header.time_base")
    for name in ("pts", "arrival_ns", "ntp_ns", "epoch", "sequence"):
        value = getattr(header, name)
        if not (type(value) is int or (value is None and name in ("pts", "ntp_ns"))):
            yield f"header.{name}: found {shown(value)}; allowed: a whole number; write int() of it"


def _frame(frame: Frame) -> Faults:
    for name, least in (("index", 0), ("width", 1), ("height", 1)):
        yield from _whole(getattr(frame, name), name, least)
    yield from _one_of(frame.format, PixelFormat, "format")
    yield from _one_of(frame.color_space, ColorSpace, "color_space")
    yield from _one_of(frame.color_range, ColorRange, "color_range")
    if frame.duration is not None:
        yield from _whole(frame.duration, "duration")
    if frame.stream_index is not None:
        yield from _whole(frame.stream_index, "stream_index")
    dtype, shapes_of = _PLANES[frame.format]
    shapes = shapes_of(frame.height, frame.width)
    what = f"of {frame.format} and {frame.width}x{frame.height} px"
    if not isinstance(frame.planes, (tuple, list)):
        yield f"planes: found {named(frame.planes)}; allowed: a tuple of arrays, {len(shapes)} {what}"
    if len(frame.planes) != len(shapes):
        yield f"planes: found {len(frame.planes)} of them; allowed: {len(shapes)}, as a frame {what} has"
    for at, (plane, shape) in enumerate(zip(frame.planes, shapes, strict=True)):
        yield from _array(plane, dtype, shape, f"planes[{at}]", f"for a frame {what}")


def _planar_420(height: int, width: int) -> list[tuple[int, ...]]:
    return [(height, width), *[((height + 1) // 2, (width + 1) // 2)] * 2]


_PLANES: dict[str, tuple[type, Callable[[int, int], list[tuple[int, ...]]]]] = {
    "yuv420p": (np.uint8, _planar_420),
    "yuv420p10": (np.uint16, _planar_420),
    "rgb24": (np.uint8, lambda height, width: [(height, width, 3)]),
    "gray8": (np.uint8, lambda height, width: [(height, width)]),
}
"""Dtype and shapes of a frame's planes, by pixel format."""


def _flow(flow: Flow) -> Faults:
    yield from _inner_frame(flow.frame, "frame")
    yield from _one_of(flow.start, FlowStart, "start")
    height, width = flow.frame.height, flow.frame.width
    grid = (-(-height // _CELL_PX), -(-width // _CELL_PX))
    where = f"for a frame of {width}x{height} px"
    for name, dtype, shape in (
        ("grid_px", np.float32, (*grid, 2)),
        ("flow_px", np.float16, (height, width, 2)),
        ("confidence", np.float32, grid),
    ):
        if getattr(flow, name) is not None:
            yield from _array(getattr(flow, name), dtype, shape, name, where)
    if flow.previous_index is not None:
        yield from _whole(flow.previous_index, "previous_index")
    if flow.step_seconds is not None:
        yield from _of(flow.step_seconds, Real, "step_seconds", "a number, s")
    yield from _whole(flow.iterations, "iterations")


def _mask(mask: Mask) -> Faults:
    yield from _inner_frame(mask.frame, "frame")
    height, width = mask.frame.height, mask.frame.width
    yield from _array(mask.mask, np.uint8, (height, width), "mask", f"for a frame of {width}x{height} px")
    for name, cls in (("objects", MotionObject), ("events", MotionEvent)):
        yield from _of(getattr(mask, name), (tuple, list), name, f"a tuple of {cls.__name__}")
        for at, each in enumerate(getattr(mask, name)):
            yield from _of(each, cls, f"{name}[{at}]")
    if mask.camera is not None:
        yield from _matrix(mask.camera, "camera")
    yield from _of(mask.uncertain, (bool, np.bool_), "uncertain", "True or False")


def _stabilized(stabilized: Stabilized) -> Faults:
    yield from _inner_frame(stabilized.frame, "frame")
    yield from _matrix(stabilized.correction, "correction")
    if stabilized.original is not None:
        yield from _inner_frame(stabilized.original, "original")


def _data(data: Data) -> Faults:
    yield from _of(data.kind, str, "kind")
    yield from _of(data.values, Mapping, "values", "a dictionary")
    wrong = json_fault(dict(data.values), "values")
    if wrong is not None:
        yield wrong
    yield from _of(data.arrays, Mapping, "arrays", "a dictionary of arrays")
    for name, array in data.arrays.items():
        yield from _of(name, str, f"the key {name!r} of arrays")
        yield from _array(array, None, None, f"arrays[{name!r}]", "")
    if data.frame is not None:
        yield from _inner_frame(data.frame, "frame")
    yield from _of(data.once, bool, "once")


def _gap(gap: Gap) -> Faults:
    yield from _one_of(gap.reason, GapReason, "reason")
    yield from _of(gap.detail, str, "detail")
    if gap.gap_seconds is not None:
        yield from _of(gap.gap_seconds, Real, "gap_seconds", "a number, s")


def _end(end: EndOfStream) -> Faults:
    yield from _one_of(end.reason, EndReason, "reason")


def _inner_frame(frame: Any, name: str) -> Faults:
    yield from _of(frame, Frame, name)
    yield from (f"{name}.{each}" for each in chain(_header(frame.header), _frame(frame)))


def _array(array: Any, dtype: Any, shape: tuple[int, ...] | None, name: str, why: str) -> Faults:
    if not isinstance(array, (np.ndarray, LazyArray)):
        yield f"{name}: found {named(array)}; allowed: a numpy array; write numpy.asarray() of it"
    elif array.dtype.hasobject:
        yield f"{name}: found an array of objects; allowed: numbers"
    elif shape is not None and (array.dtype != dtype or tuple(array.shape) != shape):
        yield f"{name}: found {array.dtype} {tuple(array.shape)}; allowed: {np.dtype(dtype)} {shape} {why}"


def _matrix(values: Any, name: str) -> Faults:
    allowed = "9 numbers in a tuple, a 3x3 matrix row by row"
    if not isinstance(values, (tuple, list)):
        yield f"{name}: found {named(values)}; allowed: {allowed}; write tuple(matrix.ravel().tolist())"
    elif len(values) != 9 or not all(isinstance(value, Real) for value in values):
        yield f"{name}: found {len(values)} values; allowed: {allowed}"


def _whole(value: Any, name: str, least: int = 0) -> Faults:
    if not isinstance(value, Integral) or isinstance(value, bool) or value < least:
        yield f"{name}: found {shown(value)}; allowed: a whole number, at least {least}"


def _one_of(value: Any, literal: Any, name: str) -> Faults:
    if value not in get_args(literal):
        yield f"{name}: found {value!r}; allowed: one of {', '.join(get_args(literal))}"


def _of(value: Any, cls: type | tuple[type, ...], name: str, allowed: str = "") -> Faults:
    if not isinstance(value, cls):
        yield f"{name}: found {shown(value)}; allowed: {allowed or getattr(cls, '__name__', cls)}"


_CHECKS: dict[type, Callable[[Any], Faults]] = {
    Frame: _frame,
    Flow: _flow,
    Mask: _mask,
    Stabilized: _stabilized,
    Data: _data,
    Gap: _gap,
    EndOfStream: _end,
}


def _frame_signature(frame: Frame | None) -> Hashable:
    if frame is None:
        return None
    planes = tuple([(plane.shape, plane.dtype) for plane in frame.planes])
    return frame.width, frame.height, frame.format, frame.color_space, frame.color_range, planes


def _kind(array: Any) -> Hashable:
    return None if array is None else (array.shape, array.dtype)


_SIGNATURES: dict[type, Callable[[Any], Hashable]] = {
    Frame: lambda m: (Frame, _frame_signature(m)),
    Flow: lambda m: (
        (Flow, m.start, _frame_signature(m.frame), _kind(m.grid_px), _kind(m.flow_px), _kind(m.confidence))
    ),
    Mask: lambda m: (Mask, _frame_signature(m.frame), _kind(m.mask), m.camera is None or len(m.camera)),
    Stabilized: lambda m: (Stabilized, _frame_signature(m.frame), _frame_signature(m.original), len(m.correction)),
    Data: lambda m: (Data, m.kind, _frame_signature(m.frame), tuple((n, _kind(a)) for n, a in m.arrays.items())),
    Gap: lambda m: (Gap, m.reason),
    EndOfStream: lambda m: (EndOfStream, m.reason),
}

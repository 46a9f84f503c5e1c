"""Convert messages to stream entries and back. ``docs/wire_format.md`` describes the format.

An entry is a flat map of fields: ``format``, ``type``, ``body`` (JSON) and, if pixels travel inline, ``a0``, ``a1``
and so on.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from pipeline.arrays import Array, LazyArray, Part
from pipeline.errors import DecodeError, StalePayloadError
from pipeline.messages import MESSAGE_TYPES, Data, Header, Message, MotionEvent, MotionObject
from pipeline.payload.base import ArrayPlace, InlinePlace, Payload, SlotPlace

FORMAT = "raftline/1"

_TYPES: dict[str, type] = {cls.__name__: cls for cls in (*MESSAGE_TYPES, MotionObject, MotionEvent)}
_FIELDS = {cls: tuple(field.name for field in fields(cls)) for cls in _TYPES.values()}
_AS_THEY_ARE = frozenset({type(None), str, int, float, bool})
"""Types whose values JSON holds as they are."""
WITHOUT_PIXELS = b"without_pixels"
"""A field of entries whose arrays were left out; stated in docs/wire_format.md."""
_to_json = json.JSONEncoder(separators=(",", ":"), allow_nan=True).encode


@dataclass(frozen=True)
class Encoded:
    """A message ready to be published."""

    fields: dict[str, bytes]
    """Fields of the stream entry."""
    slots: tuple[tuple[str, int], ...]
    """(ring, slot) of every array that the entry refers to. Slots are kept while the entry is open."""

    @property
    def size_bytes(self) -> int:
        return sum(len(value) for value in self.fields.values())


def encode(message: Message, payload: Payload) -> Encoded:
    """Encode a message and store its arrays in `payload`.

    An array in a slot that `payload` allows to share is referred to, not copied.

    Raises:
        TransportError: If there is no room for the arrays.
    """
    arrays: list[Array] = []
    body = _pack(message, None, arrays)
    places = _place(arrays, payload)
    body["payload"] = [
        {"shape": list(array.shape), "dtype": np.dtype(array.dtype).str, **place.to_json()}
        for array, place in zip(arrays, places, strict=True)
    ]
    entry = {
        "format": FORMAT.encode(),
        "type": type(message).__name__.encode(),
        "body": _to_json(body).encode(),
    }
    slots: dict[tuple[str, int], None] = {}
    for place in places:
        if isinstance(place, InlinePlace):
            entry[place.field] = place.data
        else:
            slots[(place.ring, place.slot)] = None
    return Encoded(entry, tuple(slots))


def decode(entry: Mapping[bytes, bytes], payload: Payload) -> Message:
    """Decode a stream entry. Arrays are fetched at first use.

    Raises:
        DecodeError: If the entry is not a message of this format version.
    """
    return decode_with_arrays(entry, payload)[0]


def decode_with_arrays(entry: Mapping[bytes, bytes], payload: Payload) -> tuple[Message, list[LazyArray]]:
    """The same, with all arrays of the message beside it."""
    try:
        found = entry[b"format"].decode()
        if found != FORMAT:
            raise DecodeError(f"stream entry has format {found!r}, this version reads {FORMAT!r}")
        body = json.loads(entry[b"body"])
        lazy = [_lazy(spec, entry, payload) for spec in body.pop("payload")]
        message = _unpack(body, None, lazy)
    except DecodeError:
        raise
    except (KeyError, TypeError, ValueError, IndexError, AttributeError, RecursionError) as error:
        raise DecodeError(f"stream entry is not a message: {type(error).__name__}: {error}") from error
    if not isinstance(message, MESSAGE_TYPES):
        raise DecodeError(f"stream entry holds a {type(message).__name__}, not a message")
    return message, lazy


def materialize(message: Message) -> None:
    """Fetch every array of a received message now.

    Raises:
        StalePayloadError: If an array was recycled meanwhile.
    """
    arrays: list[Array] = []
    _pack(message, None, arrays)
    for array in arrays:
        np.asarray(array)


def _pack(value: Any, outer: Header | None, arrays: list[Array]) -> Any:
    if type(value) in _AS_THEY_ARE:
        return value
    if isinstance(value, (np.ndarray, LazyArray)):
        arrays.append(value)
        return {"array": len(arrays) - 1}
    if isinstance(value, Header):
        return None if value is outer or value == outer else value.to_json()
    names = _FIELDS.get(type(value))
    if names is not None:
        packed: dict[str, Any] = {"type": type(value).__name__}
        header = getattr(value, "header", None)
        for name in names:
            item = getattr(value, name)
            if name == "values" and isinstance(value, Data):
                packed[name] = dict(item)
            else:
                packed[name] = _pack(item, outer if name == "header" else header, arrays)
        return packed
    if isinstance(value, (tuple, list)):
        return [_pack(item, outer, arrays) for item in value]
    if isinstance(value, Mapping):
        return {key: _pack(item, outer, arrays) for key, item in value.items()}
    if isinstance(value, np.generic):
        return value.item()
    return value


def _unpack(value: Any, outer: Header | None, arrays: list[LazyArray]) -> Any:
    if isinstance(value, list):
        return tuple(_unpack(item, outer, arrays) for item in value)
    if not isinstance(value, dict):
        return value
    if "array" in value:
        return arrays[value["array"]]
    values = dict(value)
    cls = _TYPES[values.pop("type")]
    if "header" in values:
        header = Header.from_json(values["header"]) if values["header"] is not None else outer
        if header is None:
            raise DecodeError("the outermost message has no header")
        outer = values["header"] = header
    for name, item in values.items():
        if name == "arrays" and cls is Data:
            values[name] = {key: _unpack(array, outer, arrays) for key, array in item.items()}
        elif name != "header" and not (name == "values" and cls is Data):
            values[name] = _unpack(item, outer, arrays)
    return cls(**values)


def _place(arrays: list[Array], payload: Payload) -> list[ArrayPlace]:
    places: list[ArrayPlace | None] = [payload.shared_place(array) for array in arrays]
    fresh = [index for index, place in enumerate(places) if place is None]
    for index, place in zip(fresh, payload.put([np.asarray(arrays[index]) for index in fresh]), strict=True):
        places[index] = place
    return [place for place in places if place is not None]


def _trimmed(part: Part) -> np.ndarray:
    raise StalePayloadError("the entry was trimmed before it was read, and its pixels are gone")


def _lazy(spec: dict[str, Any], entry: Mapping[bytes, bytes], payload: Payload) -> LazyArray:
    shape, dtype = tuple(int(size) for size in spec["shape"]), np.dtype(spec["dtype"])
    if dtype.hasobject or any(size < 0 for size in shape):
        raise DecodeError(f"array of dtype {spec['dtype']!r} and shape {shape} is not allowed")
    if "field" in spec:
        if WITHOUT_PIXELS in entry:
            return LazyArray(shape, dtype, _trimmed)
        data = entry[spec["field"].encode()]
        if len(data) != math.prod(shape) * dtype.itemsize:
            raise DecodeError(f"field {spec['field']} holds {len(data)} bytes, not those of a {dtype} array of {shape}")
        return LazyArray(shape, dtype, lambda part: np.frombuffer(data, dtype).reshape(shape)[part])
    place = SlotPlace.from_json(spec)
    return LazyArray(shape, dtype, lambda part: payload.get(place, shape, dtype, part), place)

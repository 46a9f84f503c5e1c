"""Reads everything and writes nothing, to measure the stages before it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import fields, is_dataclass
from typing import Any

import numpy as np
from pydantic import Field

from pipeline import stage
from pipeline.messages import MESSAGE_TYPES, EndOfStream, Gap, LazyArray, Message


class NullSink(stage.Stage):
    """Reads any stream to its end and discards it, to measure the stages before it."""

    class Options(stage.Options):
        fetch: bool = Field(False, description="read the arrays of each message, as a stage that uses them would")

    reads = tuple(kind for kind in MESSAGE_TYPES if kind not in (Gap, EndOfStream))
    writes = None
    takes_10_bits = True
    work = 0.1

    def process(self, message: Any) -> Iterable[Message]:
        if self.options.fetch:
            for array in _arrays(message):
                np.asarray(array)
        return ()


def _arrays(value: Any) -> Iterator[Any]:
    if isinstance(value, (np.ndarray, LazyArray)):
        yield value
    elif isinstance(value, (tuple, list)):
        for item in value:
            yield from _arrays(item)
    elif isinstance(value, dict):
        yield from _arrays(list(value.values()))
    elif is_dataclass(value):
        for field in fields(value):
            yield from _arrays(getattr(value, field.name))

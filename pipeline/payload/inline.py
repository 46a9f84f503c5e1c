"""Arrays inside the stream entry, for stages on several machines."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from pipeline.arrays import Part
from pipeline.errors import DecodeError
from pipeline.payload.base import ArrayPlace, InlinePlace, Payload, SlotPlace


class InlinePayload(Payload):
    """Makes every array a field of the entry: little-endian, C order."""

    def put(self, arrays: Sequence[np.ndarray]) -> list[ArrayPlace]:
        return [InlinePlace(f"a{index}", _little_endian(array).tobytes()) for index, array in enumerate(arrays)]

    def get(self, place: SlotPlace, shape: tuple[int, ...], dtype: np.dtype[Any], part: Part = ()) -> np.ndarray:
        raise DecodeError(
            f"the entry refers to shared memory ring {place.ring!r}, but this worker was started with payload: inline; "
            "give all workers of a pipeline the same configuration"
        )


def _little_endian(array: np.ndarray) -> np.ndarray:
    return array.astype(array.dtype.newbyteorder("<"), copy=False)

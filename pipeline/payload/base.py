"""The contract of a payload: it stores arrays, returns their places, and fetches them again."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Union

import numpy as np

from pipeline.arrays import Array, Part


@dataclass(frozen=True)
class SlotPlace:
    """An array in a slot of a shared-memory ring."""

    ring: str
    slot: int
    generation: int
    """Value that the slot's counter must have before and after the copy."""
    offset: int
    """Bytes from the start of the slot."""

    def to_json(self) -> dict[str, Any]:
        """JSON values for the message's ``payload`` list."""
        return {"ring": self.ring, "slot": self.slot, "generation": self.generation, "offset": self.offset}

    @classmethod
    def from_json(cls, spec: dict[str, Any]) -> SlotPlace:
        """The place that `to_json` described."""
        return cls(str(spec["ring"]), int(spec["slot"]), int(spec["generation"]), int(spec["offset"]))


@dataclass(frozen=True)
class InlinePlace:
    """An array that travels inside the entry."""

    field: str
    data: bytes

    def to_json(self) -> dict[str, Any]:
        """JSON values for the message's ``payload`` list."""
        return {"field": self.field}


ArrayPlace = Union[SlotPlace, InlinePlace]


class Payload(ABC):
    """Stores the arrays of one stage's messages for one source, and fetches those of other stages."""

    @abstractmethod
    def put(self, arrays: Sequence[np.ndarray]) -> list[ArrayPlace]:
        """Store the arrays of one message. With the policy ``lossless``, may block while all slots are in use.

        Raises:
            TransportError: If there is no shared memory left.
            LeaseLost: If the lease was lost while waiting.
        """

    @abstractmethod
    def get(self, place: SlotPlace, shape: tuple[int, ...], dtype: np.dtype[Any], part: Part = ()) -> np.ndarray:
        """Copy a stored array, or a part of it.

        Raises:
            StalePayloadError: If the slot was recycled meanwhile.
        """

    def shared_place(self, array: Array) -> SlotPlace | None:
        """The place of an array that can be referred to without a copy; None if it must be `put`."""
        return None

    @property
    def slots(self) -> int | None:
        """Messages that can be stored at the same time; None: not bounded here."""
        return None

    def close(self) -> None:
        """Unmap everything. Stored arrays remain for other processes."""

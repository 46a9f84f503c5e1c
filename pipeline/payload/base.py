"""The contract of a payload: arrays go in, places come out, and back."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Union

import numpy as np

from pipeline.messages import Array


@dataclass(frozen=True)
class SlotPlace:
    """An array in a slot of a shared-memory ring."""

    ring: str
    slot: int
    generation: int
    """What the slot's counter must read before and after the copy."""
    offset: int
    """Bytes from the slot's begin."""

    def to_json(self) -> dict[str, Any]:
        return {"ring": self.ring, "slot": self.slot, "generation": self.generation, "offset": self.offset}

    @classmethod
    def from_json(cls, spec: dict[str, Any]) -> SlotPlace:
        return cls(str(spec["ring"]), int(spec["slot"]), int(spec["generation"]), int(spec["offset"]))


@dataclass(frozen=True)
class InlinePlace:
    """An array that travels inside the entry."""

    field: str
    data: bytes

    def to_json(self) -> dict[str, Any]:
        return {"field": self.field}


ArrayPlace = Union[SlotPlace, InlinePlace]


class Payload(ABC):
    """Stores the arrays of one stage's messages for one source, and fetches those of others."""

    @abstractmethod
    def put(self, arrays: Sequence[np.ndarray]) -> list[ArrayPlace]:
        """Store the arrays of one message. May block while all slots are in use (policy lossless).

        Raises `TransportError` where they cannot be stored: no shared memory left, or the wait was stopped.
        """

    @abstractmethod
    def get(self, place: SlotPlace, shape: tuple[int, ...], dtype: np.dtype[Any]) -> np.ndarray:
        """A copy of a stored array. Raises `StalePayloadError` if the slot was recycled meanwhile."""

    def shared_place(self, array: Array) -> SlotPlace | None:
        """The place of an array that may be referred to again without a copy; None if it has to be `put`."""
        return None

    def close(self) -> None:
        """Unmap everything. Stored arrays stay, for other processes."""

"""Rings of slots in shared memory, through which pixels pass from process to process without Redis.

A ring is one file: a header (magic, number of slots, bytes per slot), a table with a 64-bit generation per slot, then
the slots. A writer makes the generation odd, writes, and makes it even again. A reader copies, and checks before and
after that the generation is the one it was told. The files are in the run's own directory: removing that directory is
all the cleanup needed, and Python's resource tracker is not involved.
"""

from __future__ import annotations

import errno
import math
import mmap
import os
import struct
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.arrays import Array, LazyArray, Part
from pipeline.errors import StalePayloadError, TransportError
from pipeline.payload.base import ArrayPlace, Payload, SlotPlace
from pipeline.payload.ring_space import RingBudget, no_room, places, say_on_disk

_MAGIC = b"RAFTRNG1"
_HEADER = struct.Struct("<8sIIQ")
_PAGE = 4096
"""Bytes. Tables and slots begin at a memory page; part of the format."""
_ALIGN = 64
"""Bytes. Arrays in a slot begin at a cache line of x86-64 and ARM64."""

TakeSlots = Callable[[list[str]], list[tuple[str, int]]]
"""Blocks until one of these rings has free slots, and takes a few. Empty if readers hold all and wait for more."""


def _align(size: int, to: int) -> int:
    return -(-size // to) * to


class Ring:
    """One mapped ring file."""

    def __init__(self, path: Path) -> None:
        with open(path, "r+b") as file:
            self._map = mmap.mmap(file.fileno(), 0)
        magic, self.slots, _, self.slot_bytes = _HEADER.unpack_from(self._map)
        if magic != _MAGIC:
            raise TransportError(f"{path} is not a shared-memory ring of this version; remove it")
        self.name = path.name.removesuffix(".ring")
        self._generations = np.frombuffer(self._map, np.uint64, self.slots, _PAGE)
        self._data = np.frombuffer(self._map, np.uint8, offset=_PAGE + _align(self.slots * 8, _PAGE))

    @classmethod
    def create(cls, path: Path, slots: int, slot_bytes: int) -> Ring:
        """Create a ring file.

        Raises:
            OSError: ENOSPC if there is no room.
        """
        size = _PAGE + _align(slots * 8, _PAGE) + slots * slot_bytes
        new = path.with_suffix(".new")
        new.unlink(missing_ok=True)  # of a writer that was killed
        try:
            with open(new, "xb") as file:
                os.posix_fallocate(file.fileno(), 0, size)
                file.write(_HEADER.pack(_MAGIC, slots, 0, slot_bytes))
        except OSError:
            new.unlink(missing_ok=True)
            raise
        os.rename(new, path)
        return cls(path)

    def write(self, slot: int, arrays: Sequence[np.ndarray]) -> list[SlotPlace]:
        """Copy arrays into a slot, one after the other."""
        generation = (int(self._generations[slot]) | 1) + 1
        self._generations[slot] = generation - 1
        places, offset = [], 0
        for array in arrays:
            start = slot * self.slot_bytes + offset
            self._data[start : start + array.nbytes].view(array.dtype).reshape(array.shape)[...] = array
            places.append(SlotPlace(self.name, slot, generation, offset))
            offset += _align(array.nbytes, _ALIGN)
        self._generations[slot] = generation
        return places

    def read(self, place: SlotPlace, shape: tuple[int, ...], dtype: np.dtype[Any], part: Part = ()) -> np.ndarray:
        """Copy an array, or a part of it, out of a slot.

        Raises:
            StalePayloadError: If the slot was recycled meanwhile.
        """
        size = math.prod(shape) * dtype.itemsize
        if not (0 <= place.slot < self.slots and 0 <= place.offset <= self.slot_bytes - size):
            raise StalePayloadError(f"ring {self.name} has no slot {place.slot} with {size} bytes at {place.offset}")
        start = place.slot * self.slot_bytes + place.offset
        stored = self._data[start : start + size].view(dtype).reshape(shape)[part]
        values = np.empty(stored.shape, dtype)
        current = self._generations[place.slot] == place.generation
        if current:
            values[...] = stored
        if not current or self._generations[place.slot] != place.generation:
            raise StalePayloadError(f"slot {place.slot} of ring {self.name} was recycled before it was read")
        return values

    @property
    def last_written(self) -> int:
        """The slot that was written last where slots are used in turn, from 1 on; 0 of a ring that is new."""
        in_turn = np.roll(self._generations, -1)
        return (int(np.flatnonzero(in_turn == in_turn.max())[-1]) + 1) % self.slots

    def close(self) -> None:
        del self._generations, self._data
        self._map.close()


class SharedMemoryPayload(Payload):
    """Writes the rings of one stage for one source, and reads those of all stages.

    With `take_slots` (policy ``lossless``), only slots that no open entry refers to are written. Without it (policy
    ``live``), slots are used in turn, and an old one is recycled whether it was read or not.
    """

    def __init__(
        self,
        directory: Path,
        name: str,
        budget: RingBudget,
        *,
        take_slots: TakeSlots | None = None,
        on_ring: Callable[[str, int], None] | None = None,
        on_disk: Callable[[str], None] | None = None,
    ) -> None:
        self.directory = directory
        self.name = name
        self._budget = budget
        self._take_slots = take_slots
        self._taken: list[tuple[str, int]] = []
        self._on_ring = on_ring or (lambda ring, slots: None)
        self._on_disk = on_disk or (lambda told: None)
        self._readers: dict[str, Ring] = {}
        self._own: list[Ring] = []
        self._turn = 0
        while (path := self._path(len(self._own))).exists():
            self._adopt(Ring(path))

    def put(self, arrays: Sequence[np.ndarray]) -> list[ArrayPlace]:
        if not arrays:
            return []
        size = sum(_align(array.nbytes, _ALIGN) for array in arrays)
        if not self._fitting(size):
            self._extend(size)
        ring, slot = self._next_slot(size)
        return list(ring.write(slot, arrays))

    def get(self, place: SlotPlace, shape: tuple[int, ...], dtype: np.dtype[Any], part: Part = ()) -> np.ndarray:
        ring = self._readers.get(place.ring)
        if ring is None:
            if "/" in place.ring:
                raise StalePayloadError(f"{place.ring!r} is not the name of a ring")
            try:
                ring = self._readers[place.ring] = Ring(self.directory / f"{place.ring}.ring")
            except FileNotFoundError as error:
                raise StalePayloadError(
                    f"shared memory ring {place.ring} is not on this machine or is gone; "
                    "stages on several machines need payload: inline"
                ) from error
        return ring.read(place, shape, dtype, part)

    def shared_place(self, array: Array) -> SlotPlace | None:
        # Another entry can keep a slot only if slots are counted. With the policy live, pixels are copied instead.
        if self._take_slots is not None and isinstance(array, LazyArray) and isinstance(array.reference, SlotPlace):
            return array.reference
        return None

    @property
    def slots(self) -> int:
        return sum(ring.slots for ring in self._own) or self._budget.slots

    def close(self) -> None:
        for ring in {id(ring): ring for ring in (*self._own, *self._readers.values())}.values():
            ring.close()
        self._own, self._readers = [], {}

    def _fitting(self, size: int) -> list[Ring]:
        return [ring for ring in self._own if ring.slot_bytes >= size]

    def _next_slot(self, size: int) -> tuple[Ring, int]:
        while self._take_slots is not None:
            rings = {ring.name: ring for ring in self._fitting(size)}
            for taken in self._taken:
                if taken[0] in rings:
                    self._taken.remove(taken)
                    return rings[taken[0]], taken[1]
            more = self._take_slots(list(rings))
            self._taken += more
            if not more:
                self._extend(size)
        ring = self._fitting(size)[-1]
        self._turn = (self._turn + 1) % ring.slots
        return ring, self._turn

    def _extend(self, size: int) -> None:
        """Add a ring: the first, one for larger messages, or one more because readers hold all slots and need more."""
        slot_bytes = _align(size, _PAGE)
        path = self._path(len(self._own))
        held = sum(ring.slots for ring in self._fitting(size))  # readers that need more may need far more
        wanted = max(self._budget.slots_of(slot_bytes), min(self._budget.slots, held))
        for place, slots in places(self.directory, wanted, slot_bytes):
            try:
                ring = Ring.create(place / path.name, slots, slot_bytes)
            except OSError as error:
                if error.errno == errno.ENOSPC:  # others have taken the room
                    continue
                raise
            if place != self.directory:
                path.symlink_to(place / path.name)
                self._on_disk(say_on_disk(self.directory, slot_bytes))
            self._adopt(ring)
            return
        raise no_room(self.directory, slot_bytes)

    def _path(self, serial: int) -> Path:
        return self.directory / f"{self.name}:{serial}.ring"

    def _adopt(self, ring: Ring) -> None:
        self._own.append(ring)
        self._readers[ring.name] = ring
        self._turn = ring.last_written  # a writer that takes over writes over the oldest first
        self._on_ring(ring.name, ring.slots)

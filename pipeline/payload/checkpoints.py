"""Large states of stages, kept where they outlive a worker: two generations each, of which the commit names one.

A worker writes the generation that is not committed, then commits its reference together with what the state covers.
So a worker that dies while it writes damages nothing. The name of a generation begins with the fencing number of the
worker's lease: one that was paused, lost its lease and goes on writing cannot touch what its successor wrote.
"""

from __future__ import annotations

import glob
import json
import logging
import mmap
import os
import re
from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.errors import StateLost, TransportError
from pipeline.payload.ring_space import DISK, usable_bytes
from pipeline.payload.state_bytes import PackedState, checksum, unpacked
from pipeline.transport.base import Transport

_NAME = re.compile(r"(?P<fence>\d+)\.\d\.state")
"""What follows the name of stage and source, and a dot."""
_GENERATIONS = 2
_ROOM_SHARE = 2
"""A generation must fit so many times: the other one comes next."""

log = logging.getLogger(__name__)


class Checkpoints(ABC):
    """The generations of one stage and source.

    Args:
        name: Of stage and source, fit to name files.
        fence: Fencing number of the lease of the worker that writes.
    """

    def __init__(self, name: str, fence: str) -> None:
        self._name, self._fence = name, fence
        self._generation = 0

    def keep(self, state: Mapping[str, Any]) -> str | None:
        """Write the next generation. Returns its reference, to be committed before the next `keep`.

        None: there is no room for it.

        Raises:
            TypeError, ValueError: The state holds something that cannot be kept.
        """
        packed = PackedState.of(state)
        name = self._called(self._fence, self._generation % _GENERATIONS)
        total = self._write(name, packed)
        if total is None:
            return None
        self._generation += 1
        return json.dumps({"name": name, "generation": self._generation, "bytes": packed.size_bytes, "sum": total})

    def recall(self, reference: str) -> dict[str, Any]:
        """The state that a worker kept, with arrays of its own.

        Raises:
            StateLost: It is gone, or not what was committed.
        """
        said = json.loads(reference)
        if self._fence_of(said["name"]) is None:
            raise StateLost(f"{said['name']!r} is no state of this stage")
        data = self._read(said["name"])
        if data is None or len(data) < said["bytes"]:
            raise StateLost("it is not on this machine, or is gone")
        data = data[: said["bytes"]]
        if checksum(data) != said["sum"]:
            raise StateLost("it is not what was committed")
        return unpacked(data)

    @abstractmethod
    def clear(self, all_of_them: bool = False) -> None:
        """Remove what earlier workers kept, once a state of this one is committed; or all, once none is needed."""

    @abstractmethod
    def _write(self, name: str, packed: PackedState) -> int | None:
        """Write a generation; returns its checksum, None where there is no room."""

    @abstractmethod
    def _read(self, name: str) -> np.ndarray | None:
        """uint8 (N,) that was written under a name, or more; None: nothing."""

    def close(self) -> None:
        """Unmap everything. What was kept stays."""

    def _called(self, fence: str, turn: int) -> str:
        return f"{self._name}.{fence}.{turn}.state"

    def _fence_of(self, name: str) -> str | None:
        """Of a generation by its name; None: it is not of this stage and source."""
        found = _NAME.fullmatch(name[len(self._name) + 1 :]) if name.startswith(f"{self._name}.") else None
        return None if found is None else found["fence"]


class FileCheckpoints(Checkpoints):
    """In files of the run's directory, in shared memory as a rule."""

    def __init__(self, directory: Path, name: str, fence: str) -> None:
        super().__init__(name, fence)
        self._directory = directory
        self._maps: dict[str, mmap.mmap] = {}

    def clear(self, all_of_them: bool = False) -> None:
        for place in self._places():
            for path in place.glob(f"{glob.escape(self._name)}.*"):
                fence = self._fence_of(path.name)
                if fence is not None and (all_of_them or fence != self._fence):
                    path.unlink(missing_ok=True)

    def close(self) -> None:
        while self._maps:
            self._maps.popitem()[1].close()

    def _places(self) -> list[Path]:
        return [place for place in (self._directory, self._directory / DISK) if place.exists()]

    def _write(self, name: str, packed: PackedState) -> int | None:
        mapped = self._maps.get(name)
        if mapped is None or len(mapped) < packed.size_bytes:
            mapped = self._created(name, packed.size_bytes)
        if mapped is None:
            return None
        return packed.write(np.frombuffer(mapped, np.uint8, packed.size_bytes))

    def _created(self, name: str, size: int) -> mmap.mmap | None:
        before = self._maps.pop(name, None)
        if before is not None:
            before.close()
        for place in self._places():
            (place / name).unlink(missing_ok=True)
            if usable_bytes(place) < _ROOM_SHARE * size:
                continue
            try:
                with open(place / name, "x+b") as file:
                    os.posix_fallocate(file.fileno(), 0, size)
                    self._maps[name] = mmap.mmap(file.fileno(), size)
                return self._maps[name]
            except OSError:  # others have taken the room
                (place / name).unlink(missing_ok=True)
        return None

    def _read(self, name: str) -> np.ndarray | None:
        for place in self._places():
            try:
                return np.fromfile(place / name, np.uint8)
            except FileNotFoundError:
                continue
        return None


class TransportCheckpoints(Checkpoints):
    """In the transport, where workers on several machines share a run.

    Args:
        most_bytes: Of one generation; there is no room for a larger one.
    """

    def __init__(self, transport: Transport, name: str, fence: str, most_bytes: int) -> None:
        super().__init__(name, fence)
        self._transport = transport
        self._most_bytes = most_bytes
        self._before: str | None = None

    def recall(self, reference: str) -> dict[str, Any]:
        self._before = self._fence_of(json.loads(reference)["name"])
        return super().recall(reference)

    def clear(self, all_of_them: bool = False) -> None:
        fences = [self._before] if self._before is not None else []
        self._before = None
        fences += [self._fence] if all_of_them else []
        self._transport.drop_states([self._called(fence, turn) for fence in fences for turn in range(_GENERATIONS)])

    def _write(self, name: str, packed: PackedState) -> int | None:
        if packed.size_bytes > self._most_bytes:
            return None
        data = np.empty(packed.size_bytes, np.uint8)
        total = packed.write(data)
        try:
            self._transport.keep_state(name, data.tobytes())
        except TransportError as error:
            log.warning("state of %s is not kept: %s", self._name, error)
            return None
        return total

    def _read(self, name: str) -> np.ndarray | None:
        data = self._transport.kept_state(name)
        return None if data is None else np.frombuffer(data, np.uint8)

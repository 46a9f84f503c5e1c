"""What a run offers to look at: which stage writes what, found in its plan and the newest entry of each stream."""

from __future__ import annotations

import contextlib
import json
from dataclasses import dataclass
from pathlib import Path

from pipeline.codec import decode
from pipeline.errors import DecodeError
from pipeline.messages import Message
from pipeline.payload.ring_space import RingBudget
from pipeline.payload.shared_memory import SharedMemoryPayload
from pipeline.runtime.run_folder import run_folder
from pipeline.runtime.run_status import ActiveRun
from pipeline.transport.tail import Fields, Tail

_PACKETS = "packets"
"""Folder of the run in which the decoder keeps the packets."""
_PICTURES = frozenset(("Frame", "Stabilized"))
"""Messages that are a picture to look at. Others carry one that another stage has shown already."""


@dataclass(frozen=True)
class Streams:
    """The streams of one source, by what they hold."""

    pictures: tuple[str, ...]
    """Stages that write pictures; the decoder first."""
    masks: str | None
    flow: str | None
    stabilized: str | None


class RunStreams:
    """One run, to be read. Close it."""

    def __init__(self, run: ActiveRun) -> None:
        """
        Args:
            run: with its directory.

        Raises:
            OSError, ValueError, KeyError: the run has just ended.
        """
        assert run.directory is not None
        self.directory: Path = run.directory
        plan = json.loads((run.directory / "plan.json").read_text())
        self.sources: tuple[str, ...] = tuple(plan["sources"])
        self._stages: tuple[str, ...] = tuple(plan["stages"])
        self.tail = Tail(run.redis_url, run.name)
        self._payload = SharedMemoryPayload(run.directory, "page", RingBudget(1))

    def packets(self, source: str) -> Path:
        """Folder of a camera's packets; it may not be there yet, or never."""
        return run_folder(self.directory, _PACKETS, source)

    async def streams(self, source: str) -> Streams:
        """What the stages have written so far. Raises `TransportError`."""
        kinds: dict[str, str] = {}
        for stage in self._stages:
            newest = await self.tail.newest(source, stage)
            if newest is not None:
                kinds[stage] = newest.get(b"type", b"").decode()
        pictures = tuple(stage for stage, kind in kinds.items() if kind in _PICTURES)
        by_kind = {kind: stage for stage, kind in reversed(kinds.items())}
        return Streams(pictures, by_kind.get("Mask"), by_kind.get("Flow"), by_kind.get("Stabilized"))

    def message(self, fields: Fields) -> Message | None:
        """The message of an entry; None if it is none. Its arrays are fetched at first use."""
        with contextlib.suppress(DecodeError):
            return decode(fields, self._payload)
        return None

    async def close(self) -> None:
        """Close connections and files."""
        self._payload.close()
        await self.tail.close()

"""How much shared memory a ring may take, and where it lies if there is not enough.

The rings of a run share what ``/dev/shm`` has when the run begins. One that does not fit is a file on disk, in the
directory that the link `DISK` in the run's directory leads to.
"""

from __future__ import annotations

import logging
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pipeline.errors import TransportError

DISK = "disk"
"""Name of the link in the run's directory."""
LEAST_SLOTS = 3
"""Chosen by hand: one slot to write, one to read, and one that a reader holds in its unacknowledged window."""
LIVE_SLOTS = 8
"""With the policy ``live``, pixels are copied at every hop, so slots only need to outlive the newest few messages.
Small frames get more, to outlive a burst. Chosen by hand."""
_LIVE_SHARE = 4
"""Beyond `LIVE_SLOTS`, a camera's ring takes this part of what a file's may take: there are many cameras, and every
slot is in use whether a reader is behind or not. Chosen by hand: 32 slots at 640x360, 10 at 1920x1080."""
_FREE_SHARE = 0.8
"""Share of the free space that is given out, so that rings which grow at the same time also fit. Chosen by hand."""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class RingBudget:
    """What the rings of one stage for one source may take."""

    slots: int
    """Most slots at once."""
    most_bytes: int | None = None
    """What they may take together; None: any. `LEAST_SLOTS` are given even so."""
    live: bool = False
    """Slots are used in turn, and not counted."""

    def slots_of(self, slot_bytes: int) -> int:
        """Number of slots of that size."""
        fitting = self.slots if self.most_bytes is None else self.most_bytes // slot_bytes
        if self.live:
            fitting = max(min(LIVE_SLOTS, fitting), fitting // _LIVE_SHARE)
        return max(LEAST_SLOTS, min(self.slots, fitting))


def places(directory: Path, slots: int, slot_bytes: int) -> Iterator[tuple[Path, int]]:
    """Directories with room for a ring, the fastest first, each with the number of slots, at most `slots`."""
    for place in (directory, directory / DISK):
        if place.exists():
            room = min(slots, usable_bytes(place) // slot_bytes)
            if room >= LEAST_SLOTS:
                yield place, room


def say_on_disk(directory: Path, slot_bytes: int) -> str:
    """Log, once in a run, that frames are kept on disk. Returns it in words."""
    told = (
        f"frames are kept on disk, in {(directory / DISK).resolve()}, which may be slower: {LEAST_SLOTS} slots of "
        f"{slot_bytes / 1e6:.1f} MB do not fit into the {_free_bytes(directory) / 1e6:.1f} MB free in "
        f"{directory.parent}; enlarge it (in a container: --shm-size)"
    )
    try:
        (directory / f"{DISK}.said").touch(exist_ok=False)
        log.warning("%s", told)
    except OSError:
        pass  # another worker has said it, or not even an empty file fits any more
    return told


def no_room(directory: Path, slot_bytes: int) -> TransportError:
    """The error where nothing fits any more."""
    free = [
        f"{_free_bytes(place) / 1e6:.1f} MB free in {place.resolve()}"
        for place in (directory, directory / DISK)
        if place.exists()
    ]
    return TransportError(
        f"shared memory is full: {LEAST_SLOTS} slots of {slot_bytes / 1e6:.1f} MB do not fit into the "
        f"{' nor into the '.join(free)}; enlarge /dev/shm, lower limits.slots, or set payload: inline"
    )


def _free_bytes(directory: Path) -> int:
    return shutil.disk_usage(directory).free


def usable_bytes(directory: Path) -> int:
    """Bytes that may be given out of what is free where `directory` lies."""
    return int(_free_bytes(directory) * _FREE_SHARE)

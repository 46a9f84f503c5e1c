"""How a batch does, as a file in its output directory: written by the batch, read by the page."""

from __future__ import annotations

import contextlib
import json
import os
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path

from raftline.whole_file import written_whole

_PATTERN = ".batch*.json"
SILENT_SECONDS = 30.0
"""A batch that has said nothing for so long has gone. Chosen by hand: it writes every second, if its disk lets it."""


@dataclass
class BatchFileState:
    """A batch, or one machine's part of it."""

    name: str
    """Of its pipeline."""
    files: int
    """To process, without those that were finished before."""
    done: int = 0
    failed: int = 0
    """Of those done."""
    running: dict[str, float | None] = field(default_factory=dict)
    """Share of each file, or task of a long one, under way, 0-1; None: not known."""
    began_at: float = field(default_factory=time.time)
    """s since 1970."""
    told_at: float = 0.0
    """When this was written, s since 1970."""
    ended: bool = False

    @property
    def goes_on(self) -> bool:
        """Whether it works."""
        return not self.ended and time.time() - self.told_at < SILENT_SECONDS

    @property
    def seconds_left(self) -> float | None:
        """At the rate so far; None where that is not known."""
        processed = min(self.files, self.done + sum(share or 0.0 for share in self.running.values()))
        if not self.goes_on or processed <= 0:
            return None
        return (self.told_at - self.began_at) / processed * (self.files - processed)

    def write(self, output: Path, shard: int | None) -> None:
        """Write it; a disk that is full does not stop the batch."""
        self.told_at = time.time()
        name = ".batch.json" if shard is None else f".batch-{shard}.json"
        with contextlib.suppress(OSError), written_whole(output / name) as part:
            part.write_text(json.dumps(asdict(self)))


def batches(output: Path) -> list[BatchFileState]:
    """Those that write into a directory; one part after another."""
    found = []
    for path in sorted(output.glob(_PATTERN), key=os.fspath):
        with contextlib.suppress(OSError, ValueError, TypeError):
            found.append(BatchFileState(**json.loads(path.read_text())))
    return found

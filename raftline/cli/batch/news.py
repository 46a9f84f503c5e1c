"""Tells the page how a batch does, by a file in its output directory."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any

from raftline.web.batch_file import BatchFileState

_EVERY_SECONDS = 1.0


class BatchNews:
    """Its methods may be called from any thread."""

    def __init__(self, output: Path, name: str, files: int, shard: int | None) -> None:
        """
        Args:
            output: Directory of the results.
            name: Of the pipeline.
            files: To process.
            shard: Index of the part of a batch that several machines share; None: it is the whole.
        """
        self._output, self._shard = output, shard
        self._state = BatchFileState(name, files)
        self._lock = threading.Lock()
        self._next = 0.0

    def begin(self, name: str) -> None:
        """A file, or a task of it, is begun."""
        with self._lock:
            self._state.running[name] = None
            self._write()

    def status(self, name: str, status: dict[str, Any]) -> None:
        """How far it is."""
        stages = [stage["frames"] for stage in status["stages"].values()]
        with self._lock:
            if status["frames_expected"] and stages and name in self._state.running:
                self._state.running[name] = min(1.0, min(stages) / status["frames_expected"])
            if time.monotonic() >= self._next:
                self._write()

    def leave(self, name: str) -> None:
        """What `begin` was told of has ended."""
        with self._lock:
            self._state.running.pop(name, None)

    def end(self, failed: bool) -> None:
        """A file is done."""
        with self._lock:
            self._state.done += 1
            self._state.failed += failed
            self._write()

    def close(self) -> None:
        """The batch is over."""
        with self._lock:
            self._state.ended = True
            self._write()

    def _write(self) -> None:
        self._next = time.monotonic() + _EVERY_SECONDS
        self._state.write(self._output, self._shard)

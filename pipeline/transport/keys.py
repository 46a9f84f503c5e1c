"""Every Redis key, in one place. ``docs/wire_format.md`` describes what lies under each.

All keys of a pipeline share one hash tag, so that they lie on one node of a cluster and a script may touch them
together.
"""

from __future__ import annotations

from dataclasses import dataclass

GROUP_CONSUMER = "owner"
"""The one consumer of every group: a lease says which worker it is, so a new owner finds the pending entries of the
last."""


@dataclass(frozen=True)
class Keys:
    pipeline: str

    def _key(self, *parts: str) -> str:
        return ":".join((f"raftline:{{{self.pipeline}}}", *parts))

    @property
    def pattern(self) -> str:
        return f"raftline:{{{self.pipeline}}}:*"

    @property
    def run_lock(self) -> str:
        """Held by the `run` that owns this pipeline's name."""
        return self._key("run")

    def stream(self, source: str, stage: str) -> str:
        """What a stage wrote for a source. Groups on it are named after the reading stages."""
        return self._key("stream", source, stage)

    def open(self, source: str, stage: str) -> str:
        """Hash: entry id to ``readers ring/slot ring/slot ...``: how many groups have not acknowledged it yet."""
        return self._key("open", source, stage)

    def state(self, source: str, stage: str) -> str:
        """Hash: published, processed, ended, snapshot of a stage for a source."""
        return self._key("state", source, stage)

    def counters(self, source: str, stage: str) -> str:
        """Hash of integers."""
        return self._key("counters", source, stage)

    def status(self, source: str, stage: str) -> str:
        """Hash of what the stage says about itself."""
        return self._key("status", source, stage)

    def attempts(self, source: str, stage: str) -> str:
        """Hash: entry id to how many workers died on it."""
        return self._key("attempts", source, stage)

    def lease(self, source: str, stage: str) -> str:
        """redis-py Lock: its token names the worker that owns (source, stage)."""
        return self._key("lease", source, stage)

    def fence(self, source: str, stage: str) -> str:
        """Counter: one number per ownership."""
        return self._key("fence", source, stage)

    def free(self, ring: str) -> str:
        """List of free slots."""
        return self._key("free", ring)

    def held(self, ring: str) -> str:
        """Hash: slot to the number of open entries that refer to it."""
        return self._key("held", ring)

    @property
    def held_prefix(self) -> str:
        return self._key("held") + ":"

    @property
    def free_prefix(self) -> str:
        return self._key("free") + ":"

    def dead_letters(self, stage: str) -> str:
        """Stream of entries that a stage could not process."""
        return self._key("dead", stage)


def ring_name(source: str, stage: str) -> str:
    """First part of the names of the rings that hold what a stage writes for a source."""
    return f"{source}:{stage}"

"""Every Redis key, in one place. ``docs/wire_format.md`` describes the content of each.

All keys of a pipeline share one hash tag: they are on one node of a cluster, where one script may use all of them.
"""

from __future__ import annotations

from dataclasses import dataclass

GROUP_CONSUMER = "owner"
"""The only consumer of every group. The lease says which worker it is, so a new owner finds the previous one's
pending entries."""


@dataclass(frozen=True)
class Keys:
    """The keys of one pipeline."""

    pipeline: str
    """Name of the pipeline."""

    def _key(self, *parts: str) -> str:
        return ":".join((f"raftline:{{{self.pipeline}}}", *parts))

    @property
    def pattern(self) -> str:
        return f"raftline:{{{self.pipeline}}}:*"

    @property
    def run_lock(self) -> str:
        """Lock held by the run that uses this pipeline's name."""
        return self._key("run")

    @property
    def run_mark(self) -> str:
        """The run whose data all other keys hold."""
        return self._key("mark")

    def stream(self, source: str, stage: str) -> str:
        """Stream: what a stage wrote for a source. Its groups are named after the reading stages."""
        return self._key("stream", source, stage)

    def open(self, source: str, stage: str) -> str:
        """Hash: entry id to ``readers ring/slot ring/slot ...``; readers: groups that have not acknowledged it."""
        return self._key("open", source, stage)

    def state(self, source: str, stage: str) -> str:
        """Hash: published, processed, ended, snapshot of a stage for a source."""
        return self._key("state", source, stage)

    def counters(self, source: str, stage: str) -> str:
        """Hash: name of a counter to its value."""
        return self._key("counters", source, stage)

    def status(self, source: str, stage: str) -> str:
        """Hash: what the stage reports about itself."""
        return self._key("status", source, stage)

    def attempts(self, source: str, stage: str) -> str:
        """Hash: entry id to the number of workers that died on it."""
        return self._key("attempts", source, stage)

    def lease(self, source: str, stage: str) -> str:
        """redis-py Lock whose token names the worker that owns (source, stage)."""
        return self._key("lease", source, stage)

    def fence(self, source: str, stage: str) -> str:
        """Counter of the owners so far."""
        return self._key("fence", source, stage)

    def free(self, ring: str) -> str:
        """List: free slots of a ring."""
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
        """Stream: entries that a stage could not process."""
        return self._key("dead", stage)


def ring_name(source: str, stage: str) -> str:
    """First part of the names of the rings that a stage writes for a source."""
    return f"{source}:{stage}"

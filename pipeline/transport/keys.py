"""Every Redis key, in one place. ``docs/wire_format.md`` describes the content of each.

All keys of a pipeline share one hash tag: they are on one node of a cluster, where one script may use all of them.
"""

from __future__ import annotations

import functools
import hashlib
import re
from dataclasses import dataclass

GROUP_CONSUMER = "owner"
"""The only consumer of every group. The lease says which worker it is, so a new owner finds the previous one's
pending entries."""
_PLAIN = "A-Za-z0-9_.-"
_ENCODED = "_."
"""Marks an encoded name: `_` is always followed by two digits inside one."""
_MOST_CHARACTERS = 100
_DIGEST_DIGITS = 32
"""128 bits, of which no two names have the same."""


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

    @property
    def run_status(self) -> str:
        """JSON: what the run's supervisor says of it, twice a second."""
        return self._key("summary")

    @property
    def sources(self) -> str:
        """JSON: the sources of the run without inputs and options, for workers of other machines."""
        return self._key("sources")

    @property
    def requests(self) -> str:
        """List: what people ask of the run, such as to add a source; its supervisor takes them."""
        return self._key("requests")

    def answer(self, id: str) -> str:
        """List: the answer to a request; expires if nobody reads it."""
        return self._key("answer", id)

    def stream(self, source: str, stage: str) -> str:
        """Stream: what a stage wrote for a source. Its groups are named after the reading stages."""
        return self._key("stream", key_part(source), stage)

    def once(self, source: str, stage: str) -> str:
        """Stream: of the entries of a camera those that no later one repeats, without pixels, trimmed later than it."""
        return self._key("once", key_part(source), stage)

    def open(self, source: str, stage: str) -> str:
        """Hash: entry id to ``readers ring/slot ring/slot ...``; readers: groups that have not acknowledged it."""
        return self._key("open", key_part(source), stage)

    def state(self, source: str, stage: str) -> str:
        """Hash: published, processed, ended, snapshot, checkpoint of a stage for a source."""
        return self._key("state", key_part(source), stage)

    def kept_state(self, name: str) -> str:
        """String: a stage's large state, where its messages travel with their pixels (`payload: inline`)."""
        return self._key("kept", name)

    def counters(self, source: str, stage: str) -> str:
        """Hash: name of a counter to its value."""
        return self._key("counters", key_part(source), stage)

    def status(self, source: str, stage: str) -> str:
        """Hash: what the stage reports about itself."""
        return self._key("status", key_part(source), stage)

    def attempts(self, source: str, stage: str) -> str:
        """Hash: entry id to the number of workers that died on it; ``letter ID``: it is a dead letter."""
        return self._key("attempts", key_part(source), stage)

    def lease(self, source: str, stage: str) -> str:
        """redis-py Lock whose token names the worker that owns (source, stage)."""
        return self._key("lease", key_part(source), stage)

    def fence(self, source: str, stage: str) -> str:
        """Counter of the owners so far."""
        return self._key("fence", key_part(source), stage)

    def free(self, ring: str) -> str:
        """List: free slots of a ring."""
        return self._key("free", ring)

    def held(self, ring: str) -> str:
        """Hash: slot to the number of open entries that refer to it."""
        return self._key("held", ring)

    def of_source(self, source: str, stage: str) -> list[str]:
        """All keys of (source, stage), without those of its rings and its lease."""
        kinds = (self.stream, self.once, self.open, self.state, self.counters, self.status, self.attempts, self.fence)
        return [key(source, stage) for key in kinds]

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
    return f"{key_part(source)}:{stage}"


@functools.lru_cache(maxsize=1024)  # asked for several times a frame
def key_part(name: str) -> str:
    """Encode a source's name for keys and ring files: at most 100 characters from ``A-Za-z0-9_.-``.

    A name of such characters stays as it is. Otherwise ``_.`` comes first, and each byte of the name in UTF-8 that is
    not one of them, or is ``_``, becomes ``_`` and two hexadecimal digits. One that gets too long ends in ``_.`` and a
    part of the name's SHA-256. No two names become the same.
    """
    if re.fullmatch(rf"[{_PLAIN}]{{1,{_MOST_CHARACTERS}}}", name) and not name.startswith(_ENCODED):
        return name
    coded = _ENCODED + re.sub(rf"[^{_PLAIN}]|_", lambda match: "".join(f"_{b:02x}" for b in match[0].encode()), name)
    if len(coded) <= _MOST_CHARACTERS:
        return coded
    digest = hashlib.sha256(name.encode()).hexdigest()[:_DIGEST_DIGITS]
    return coded[: _MOST_CHARACTERS - len(_ENCODED) - _DIGEST_DIGITS] + _ENCODED + digest

"""What the transport of one process holds for one stream."""

from __future__ import annotations

import re
from collections import OrderedDict, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from pipeline.codec import WITHOUT_PIXELS


@dataclass
class Group:
    """A reading stage's."""

    delivered: int = 0
    """Number of the last entry delivered."""
    pending: list[str] = field(default_factory=list)


@dataclass
class Stream:
    """Of one (source, stage)."""

    entries: OrderedDict[str, Mapping[bytes, bytes]] = field(default_factory=OrderedDict)
    groups: dict[str, Group] = field(default_factory=lambda: defaultdict(Group))
    open: dict[str, tuple[int, Sequence[tuple[str, int]]]] = field(default_factory=dict)
    once: OrderedDict[str, Mapping[bytes, bytes]] = field(default_factory=OrderedDict)
    """Entries that no later one repeats, without pixels."""
    last: int = 0

    def keep_once(self, id: str, keep: int) -> None:
        """Keep the newest entry beside the stream, and at most `keep` of these."""
        told = {name: value for name, value in self.entries[id].items() if not re.fullmatch(rb"a\d+", name)}
        self.once[id] = {**told, WITHOUT_PIXELS: b"1"}
        while len(self.once) > keep:
            self.once.popitem(last=False)

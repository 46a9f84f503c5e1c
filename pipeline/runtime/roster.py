"""The sources of a run that change while it runs: those that are wanted, and those on their way out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from pipeline.config.plan import SourcePlan


@dataclass(frozen=True)
class RosterChange:
    """What a new wish does to the sources, by name."""

    added: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    """They alone are restarted."""
    removed: tuple[str, ...] = ()
    replaced: tuple[str, ...] = ()
    """They end, and come back as new ones."""

    def in_words(self) -> list[str]:
        """``added door``, ``removed gate`` and so on."""
        said = {
            "added {}": self.added,
            "restarted {} with the new settings": self.changed,
            "removed {}": self.removed,
            "ended {}, to come back as new": self.replaced,
        }
        return [what.format(", ".join(names)) for what, names in said.items() if names]


class Roster:
    """Which sources there are. One that is removed stays until its stages have finished."""

    def __init__(self, sources: Mapping[str, SourcePlan]) -> None:
        self._sources = dict(sources)
        self._wanted = dict(sources)
        self._lives = max((source.life for source in sources.values()), default=0)

    @property
    def sources(self) -> dict[str, SourcePlan]:
        """Those at work and those that leave, in the order in which they came: as they are now."""
        return dict(self._sources)

    def want(self, wanted: Mapping[str, SourcePlan]) -> RosterChange:
        """Have these sources from now on."""
        added, changed, removed, replaced = [], [], [], []
        for name, before in self._wanted.items():
            after = wanted.get(name)
            if after is None:
                removed.append(name)
            elif not _same_kind(before, after):
                replaced.append(name)
            elif (before.given, before.info) != (after.given, after.info):
                changed.append(name)
        added = [name for name in wanted if name not in self._wanted]
        for name in (*removed, *replaced):
            if name in self._sources:
                self._sources[name] = replace(self._sources[name], leaves=True)
        self._wanted = dict(wanted)
        for name in changed:
            self._change(name)
        for name in added:
            self._add(name)
        return RosterChange(tuple(added), tuple(changed), tuple(removed), tuple(replaced))

    def gone(self, name: str) -> None:
        """A source that left is gone: its stages have finished. If it is wanted again, it comes as a new one."""
        del self._sources[name]
        if name in self._wanted:
            self._add(name)

    def _change(self, name: str) -> None:
        now = self._sources[name]
        if not now.leaves:  # else it comes back as it is wanted by then
            new = self._wanted[name]
            self._sources[name] = replace(new, life=now.life, revision=now.revision + 1)

    def _add(self, name: str) -> None:
        if name not in self._sources:
            self._lives += 1
            self._sources[name] = replace(self._wanted[name], life=self._lives)


def _same_kind(before: SourcePlan, after: SourcePlan) -> bool:
    """Whether a source's streams can go on: their slots and entries are kept by its policy."""
    return (before.use, before.policy, before.info.live) == (after.use, after.policy, after.info.live)

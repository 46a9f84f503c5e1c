"""A configuration that changes while its run goes on: by requests, and by editing the file.

Every change is a new configuration, which is checked as a whole as at the start. Only sources, and the options of
stages, may differ.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from pipeline.config.explain import nearest
from pipeline.config.loading import filled
from pipeline.config.names import distinct, source_name
from pipeline.config.schema import Config, SourceSection
from pipeline.errors import ConfigError

_FIXED = tuple(key for key in Config.model_fields if key not in ("sources", "stages"))
"""Top-level keys that hold for the whole of a run."""
_FIXED_IN_STAGES = ("use", "reads", "workers", "threads")

_State = tuple[int, int, int]


class LiveConfig:
    """What a run is configured to do now."""

    def __init__(self, config: Config, read: Callable[[], Config]) -> None:
        """
        Args:
            config: As the run began.
            read: Reads the configuration anew, with the same arguments of the command line.
        """
        self.now = config
        """What holds: the file, and what was asked for since."""
        self._read = read
        self._of_file = config
        self._applied = self._unsettled = _state_of(config.file)

    @property
    def file(self) -> Path:
        """The file that is watched."""
        return self._of_file.file

    def with_source(self, name: str | None, section: Mapping[str, Any], filled_in: bool) -> tuple[Config, str]:
        """The configuration with one more source, and the source's name. Raises `ConfigError`."""
        where = "source add"
        section = {**section} if filled_in else filled(section, ("sources", name or "NEW"), lambda _: where)
        given = section.get("input")
        if name is None:
            name = distinct(source_name(given if isinstance(given, str) else ""), self.now.sources)
        elif name in self.now.sources:
            raise ConfigError(
                f"{where}: there is a source {name!r} already; change it (source change), or give the new one another "
                "name"
            )
        return self.now.with_source(name, section, where), name

    def with_change(self, name: str, section: Mapping[str, Any], filled_in: bool) -> Config:
        """The configuration with an input or options laid over those of a source. Raises `ConfigError`."""
        where = "source change"
        before = self._source(name, where)
        given = dict(section) if filled_in else dict(filled(section, ("sources", name), lambda _: where))
        options = {**before.options, **(given.pop("options", None) or {})}
        kept = {key: value for key, value in options.items() if value is not None}
        return self.now.with_source(name, {**before.model_dump(), **given, "options": kept}, where)

    def without_source(self, name: str) -> Config:
        """The configuration without a source. Raises `ConfigError`."""
        self._source(name, "source remove")
        return self.now.with_sources({other: each for other, each in self.now.sources.items() if other != name})

    def edited(self) -> Config | None:
        """The configuration with what was edited in the file since; None if the file was left alone.

        A file is read once it has not changed between two calls: an editor may write it in pieces.

        Raises:
            ConfigError: If the file is wrong, or changes what cannot change. That holds until it is edited again.
        """
        state = _state_of(self.file)
        settled, self._unsettled = state == self._unsettled, state
        if state == self._applied or not settled:
            return None
        self._applied = state
        new = self._read()
        _check_fixed(self._of_file, new)
        merged = self._merged(new)
        self._of_file = new
        return merged

    def accept(self, config: Config) -> None:
        """This configuration holds from now on."""
        self.now = config

    def take_back(self, stage: str, options: Mapping[str, Any]) -> None:
        """A stage failed with its new options: those before hold again, until the file gives it others."""
        self.now = self.now.with_stage_options(stage, dict(options))

    def _merged(self, new: Config) -> Config:
        """What holds now, with the difference between the file as it was and as it is. Requests stay in force."""
        before, sources = self._of_file, dict(self.now.sources)
        for name in before.sources.keys() - new.sources.keys():
            sources.pop(name, None)
        sources |= {name: each for name, each in new.sources.items() if each != before.sources.get(name)}
        merged = self.now.with_sources(sources)
        for name, stage in new.stages.items():
            if stage.options != before.stages[name].options:
                merged = merged.with_stage_options(name, stage.options)
        return merged

    def _source(self, name: str, where: str) -> SourceSection:
        if name not in self.now.sources:
            there = ", ".join(self.now.sources) or "none"
            raise ConfigError(
                f"{where}: there is no source {name!r}{nearest(name, self.now.sources)}; the sources: {there}"
            )
        return self.now.sources[name]


def _check_fixed(before: Config, after: Config) -> None:
    remedy = "that cannot change while the pipeline runs; change it back, or stop the pipeline and start it again"
    for key in _FIXED:
        if getattr(before, key) != getattr(after, key):
            raise ConfigError(f"{after.file}: {key}: {remedy}")
    for name in sorted(before.stages.keys() ^ after.stages.keys()):
        what = "added" if name in after.stages else "removed"
        raise ConfigError(f"{after.file}: stages.{name}: this stage was {what}; {remedy}")
    for name, stage in before.stages.items():
        for key in _FIXED_IN_STAGES:
            if getattr(stage, key) != getattr(after.stages[name], key):
                raise ConfigError(f"{after.file}: stages.{name}.{key}: {remedy}")


def _state_of(file: Path) -> _State:
    try:
        told = file.stat()
    except OSError:
        return (0, 0, 0)
    return told.st_ino, told.st_mtime_ns, told.st_size

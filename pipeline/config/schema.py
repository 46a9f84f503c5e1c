"""The configuration file, key by key."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import parse_qsl, urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, PrivateAttr, ValidationError

from pipeline.config.explain import explain
from pipeline.config.names import check_source_name
from pipeline.errors import ConfigError

REDIS_SCHEMES = ("redis", "rediss", "unix")
_REDIS_PORT = 6379
"""Of ``redis://`` and ``rediss://`` where a URL names none."""


def _check_name(name: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9_.-]{1,100}", name) or not name.strip("."):
        raise ValueError("a name of 1 to 100 characters from A-Z a-z 0-9 _ . - that does not consist of dots alone")
    return name


def check_redis_url(url: str) -> str:
    """Return `url` if it names a Redis server.

    Raises:
        ValueError: If not. The message does not repeat `url`, which may contain a password.
    """
    parts = urlsplit(url)
    if parts.scheme not in REDIS_SCHEMES:
        raise ValueError("redis://[user:password@]host:port/database, rediss://... (TLS) or unix:///path/to/socket")
    if parts.scheme == "unix" and not parts.path:
        raise ValueError("unix:///path/to/socket")
    if parts.scheme != "unix" and not parts.hostname:
        raise ValueError(f"{parts.scheme}://host:port; the host is missing")
    try:
        _ = parts.port
    except ValueError:
        raise ValueError("a port from 1 to 65535") from None
    return url


def redis_place(url: str) -> str:
    """The server and database that a URL names, in the same words however it is written, without user and password."""
    parts = urlsplit(url)
    database = dict(parse_qsl(parts.query)).get("db", "" if parts.scheme == "unix" else parts.path.strip("/")) or "0"
    if parts.scheme == "unix":
        return f"unix {parts.path} {database}"
    return f"{parts.hostname}:{parts.port or _REDIS_PORT} {database}"


Name = Annotated[str, AfterValidator(_check_name)]
SourceName = Annotated[str, AfterValidator(check_source_name)]
RedisUrl = Annotated[str, AfterValidator(check_redis_url)]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True)


class RedisSection(_Section):
    """The Redis server that connects the stages."""

    url: RedisUrl | None = Field(
        default=None,
        description="URL of your server (6.2 or newer): redis://, rediss:// or unix://; null starts a private one",
    )
    memory_mb: int = Field(
        default=256, ge=16, description="memory limit of the private server, MB; it refuses writes beyond this"
    )


class Limits(_Section):
    """Bounds on what waits between stages, and on restarts."""

    slots: int = Field(default=32, ge=4, le=4096, description="frames kept in shared memory, per stream of a source")
    shared_memory_mb: int = Field(
        default=128,
        ge=1,
        le=100_000,
        description="shared memory for these frames, MB; where it is not enough there are fewer, 3 at least",
    )
    entries: int = Field(default=64, ge=4, le=100_000, description="messages kept in Redis, per stream of a source")
    max_latency_ms: int = Field(
        default=1000,
        ge=50,
        le=60_000,
        description="age at which a camera's frames are dropped, ms; earlier before all stages but the last",
    )
    restarts: int = Field(
        default=5,
        ge=0,
        le=1000,
        description="restarts in a row of a worker that dies without any progress; one more ends the run",
    )
    stop_seconds: float = Field(
        default=8.0,
        gt=0,
        le=3600,
        description="time after SIGTERM to finish what was begun, s; then it is given up, and all ends within two more",
    )


class WebSection(_Section):
    """The page of the run, for browsers."""

    listen: str | None = Field(
        default=None, description="HOST:PORT of the page, such as 127.0.0.1:8642; null: no page; others need users"
    )
    users: Path | None = Field(default=None, description="YAML file of the page's users, with scrypt hashes")
    allow_hosts: tuple[str, ...] = Field(
        default=(), description="names under which the page answers, with their port, such as cameras.lan:8642"
    )


class SourceSection(_Section):
    """One camera or file."""

    input: str = Field(min_length=1, description="path, URL or device; paths are relative to the current directory")
    use: str | None = Field(default=None, description="a Source other than the one under `stages`, named as there")
    options: dict[str, Any] = Field(
        default_factory=dict, description="options of the Source; they override those under `stages`"
    )


class StageSection(_Section):
    """One step of the pipeline, run in its own process."""

    use: str = Field(
        min_length=1,
        description="the plug-in: module:Class, ./file.py:Class beside this file, or the name of an installed one",
    )
    reads: Name | None = Field(default=None, description="the stage to read messages from; omitted for the Source only")
    workers: int | None = Field(
        default=None,
        ge=1,
        le=256,
        description="processes that share the sources of this stage; null: by the number of sources and `cores`",
    )
    threads: int | None = Field(
        default=None, ge=1, le=1024, description="threads each of them computes with; null: its share of `cores`"
    )
    options: dict[str, Any] = Field(
        default_factory=dict, description="the plug-in's options; see `raftline stages NAME`"
    )


class Config(_Section):
    """A pipeline: its sources, its stages, and where results go."""

    name: Name = Field(default="raftline", description="name of the pipeline; part of its keys in Redis")
    policy: Literal["auto", "lossless", "live"] = Field(
        default="auto",
        description="lossless: every frame, however long it takes; live: bounded delay, late frames are dropped and "
        "counted; auto: live for cameras, lossless for files",
    )
    payload: Literal["shm", "inline"] = Field(
        default="shm",
        description="how pixels travel: shm, shared memory on one machine; inline, in Redis, for several machines",
    )
    output: Path = Field(default=Path("out"), description="directory for results; created if missing")
    once: bool = Field(
        default=False,
        description="true: a camera that cannot be reached at the start is an error; false: it is tried for ever",
    )
    cores: int | None = Field(
        default=None, ge=1, le=1024, description="CPU cores that the stages share; null: all that this machine allows"
    )
    redis: RedisSection = Field(default_factory=RedisSection, description="the Redis server that connects the stages")
    limits: Limits = Field(default_factory=Limits, description="bounds on what waits between stages, and on restarts")
    web: WebSection = Field(default_factory=WebSection, description="the page of the run, for browsers")
    sources: dict[SourceName, SourceSection] = Field(default_factory=dict, description="cameras and files, by name")
    stages: dict[Name, StageSection] = Field(min_length=1, description="steps of the pipeline, by name")

    _file: Path = PrivateAttr(Path("config"))
    _origins: dict[tuple[str, ...], str] = PrivateAttr(default_factory=dict)

    @property
    def file(self) -> Path:
        """The file it was read from, for errors."""
        return self._file

    def origin(self, location: tuple[str, ...]) -> str:
        """Where the value at `location` came from: the file, or an argument of the command line."""
        return origin_of(self._origins, self._file, location)

    def with_options(self, stage: str, options: dict[str, Any], origin: str) -> Config:
        """A copy with options laid over those of a stage; errors about them name `origin`."""
        section = self.stages[stage]
        section = section.model_copy(update={"options": {**section.options, **options}})
        copy = self.model_copy(update={"stages": {**self.stages, stage: section}})
        copy._origins = {**self._origins, **{("stages", stage, "options", key): origin for key in options}}
        return copy

    def with_stage_options(self, stage: str, options: dict[str, Any]) -> Config:
        """A copy with these options of a stage alone."""
        section = self.stages[stage].model_copy(update={"options": options})
        return self.model_copy(update={"stages": {**self.stages, stage: section}})

    def with_sources(self, sources: Mapping[str, SourceSection]) -> Config:
        """A copy with these sources."""
        return self.model_copy(update={"sources": dict(sources)})

    def with_source(self, name: str, section: Mapping[str, Any], origin: str) -> Config:
        """A copy with a source added or replaced; errors about it name `origin`.

        Raises:
            ConfigError: If the name or the section is wrong.
        """
        checked = checked_sources({name: section}, origin)
        copy = self.with_sources({**self.sources, **checked})
        copy._origins = {**self._origins, **{("sources", each): origin for each in checked}}
        return copy

    def with_stages(self, names: Iterable[str]) -> Config:
        """A copy with these of its stages alone."""
        wanted = set(names)
        return self.model_copy(update={"stages": {name: s for name, s in self.stages.items() if name in wanted}})


class _SourcesAlone(_Section):
    sources: dict[SourceName, SourceSection]


def checked_sources(sections: Mapping[str, Any], origin: str) -> dict[str, SourceSection]:
    """Sections of `sources`, by name. Raises `ConfigError` that names `origin` if one is wrong."""
    try:
        return _SourcesAlone.model_validate({"sources": sections}).sources
    except ValidationError as error:
        raise ConfigError(explain(error, _SourcesAlone, (), lambda _: origin)) from None


def origin_of(origins: Mapping[tuple[str, ...], str], file: Path, location: tuple[str, ...]) -> str:
    """The argument that set the value at `location` or a section around it; otherwise `file`."""
    for length in range(len(location), 0, -1):
        if location[:length] in origins:
            return origins[location[:length]]
    return str(file)

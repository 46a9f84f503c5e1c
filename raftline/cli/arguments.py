"""Arguments and options that several commands share."""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.errors import ConfigError
from raftline.cli.failures import show_tracebacks
from raftline.shipped import shipped_configurations

if TYPE_CHECKING:
    from pipeline.config import Config

ConfigFile = Annotated[
    Path,
    typer.Argument(
        metavar="CONFIG",
        help="A YAML file, or the name of a shipped configuration; `raftline configs` lists them.",
        show_default=False,
    ),
]
Inputs = Annotated[
    list[str] | None,
    typer.Option(
        "-i",
        "--input",
        metavar="INPUT",
        help="A video file, a folder of images, an rtsp:// URL, /dev/video0, a stream (http, rtmp, udp), or - for what "
        "is piped in. Replaces the `sources` of the configuration. Repeat it for several. Take a password from the "
        "environment: 'rtsp://user:${CAM_PASSWORD}@host/path'.",
        show_default=False,
    ),
]
Output = Annotated[
    Path | None,
    typer.Option("-o", "--output", metavar="DIR", help="Directory for results. Replaces `output`.", show_default=False),
]
Overrides = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY.PATH=VALUE",
        help="Override one value of the configuration, written as YAML: --set stages.flow.options.iterations=8. "
        "Repeat it for several.",
        show_default=False,
    ),
]
Redis = Annotated[
    str | None,
    typer.Option(
        "--redis",
        metavar="URL",
        help="redis://, rediss:// or unix:// URL of a server. Replaces `redis.url`; without either a private server is "
        "started. Take a password from the environment: 'redis://:${REDIS_PASSWORD}@host:6379/0'.",
        show_default=False,
    ),
]
RedisOfRun = Annotated[
    str | None,
    typer.Option(
        "--redis",
        metavar="URL",
        help="Redis server of a run on another host: redis://, rediss:// or unix:// URL; it needs the run's name, too. "
        "Take a password from the environment: 'redis://:${REDIS_PASSWORD}@host:6379/0'.",
        show_default=False,
    ),
]
Debug = Annotated[
    bool,
    typer.Option(
        "--debug", help="Show the traceback of an error, and log more.", callback=show_tracebacks, is_eager=True
    ),
]


def read_config(
    config: Path,
    inputs: list[str] | None = None,
    output: Path | None = None,
    overrides: list[str] | None = None,
    redis: str | None = None,
) -> Config:
    """The configuration with the overrides of the command line. Raises `ConfigError`."""
    from pipeline.config import load_config

    return load_config(
        config_file(config), overrides=overrides or (), inputs=inputs or (), output=output, redis_url=redis
    )


def config_file(given: Path) -> Path:
    """The file that a path, or the name of a shipped configuration, stands for. Raises `ConfigError`."""
    shipped = shipped_configurations()
    if given.exists() or str(given) not in shipped:
        known = [str(name) for name in shipped if "/" not in name]
        if given.exists() or given.suffix:
            return given
        near = difflib.get_close_matches(str(given), known, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise ConfigError(
            f"{given}: neither a file nor a configuration that comes with raftline ({', '.join(known)}){hint}"
        )
    return shipped[str(given)]

"""Arguments and options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pipeline.config import Config, load_config
from raftline.cli.failures import show_tracebacks

ConfigFile = Annotated[
    Path,
    typer.Argument(metavar="CONFIG", help="The pipeline's YAML file, such as configs/demo.yaml.", show_default=False),
]
Inputs = Annotated[
    list[str] | None,
    typer.Option(
        "-i",
        "--input",
        metavar="INPUT",
        help="A video file, a folder of images, an rtsp:// URL or /dev/video0, instead of the file's `sources`. "
        "May be given several times. A secret can come from the environment: 'rtsp://user:${CAM_PASSWORD}@host/path'.",
        show_default=False,
    ),
]
Output = Annotated[
    Path | None,
    typer.Option(
        "-o", "--output", metavar="DIR", help="Where results go, instead of the file's `output`.", show_default=False
    ),
]
Overrides = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY.PATH=VALUE",
        help="Lay one value over the file's, in YAML: --set stages.flow.options.iterations=8. "
        "May be given several times.",
        show_default=False,
    ),
]
Redis = Annotated[
    str | None,
    typer.Option(
        "--redis",
        metavar="URL",
        help="redis://, rediss:// or unix:// URL of a server, instead of the file's `redis.url` or a private server. "
        "A password can come from the environment: 'redis://:${REDIS_PASSWORD}@host:6379/0'.",
        show_default=False,
    ),
]
Debug = Annotated[
    bool,
    typer.Option(
        "--debug", help="On an error, show where in the code it happened.", callback=show_tracebacks, is_eager=True
    ),
]


def read_config(
    config: Path,
    inputs: list[str] | None = None,
    output: Path | None = None,
    overrides: list[str] | None = None,
    redis: str | None = None,
) -> Config:
    """The configuration with the command line laid over it. Raises `ConfigError`."""
    return load_config(config, overrides=overrides or (), inputs=inputs or (), output=output, redis_url=redis)

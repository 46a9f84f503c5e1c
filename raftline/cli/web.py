"""``web``: the page of a run."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Annotated

import typer

from pipeline.errors import ConfigError
from raftline.cli.arguments import Debug, RedisOfRun
from raftline.cli.failures import reported

LISTEN = "127.0.0.1:8642"

Users = Annotated[
    Path | None,
    typer.Option("--users", metavar="FILE", help="YAML file of users, with scrypt hashes.", show_default=False),
]
AllowHost = Annotated[
    list[str] | None,
    typer.Option(
        "--allow-host",
        metavar="NAME[:PORT]",
        help="Name under which people reach the page, such as cameras.lan:8642. Repeat it for several.",
        show_default=False,
    ),
]


@reported
def web(
    name: Annotated[
        str | None,
        typer.Argument(
            metavar="[NAME]", help="Of the pipeline; the only one that runs by default.", show_default=False
        ),
    ] = None,
    redis: RedisOfRun = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "-o",
            "--output",
            metavar="DIR",
            help="Show the results that lie in DIR, of a run or a batch that has ended or goes on.",
            show_default=False,
        ),
    ] = None,
    listen: Annotated[
        str, typer.Option("--listen", metavar="HOST:PORT", help="Address of the page. Others than loopback need users.")
    ] = LISTEN,
    users: Users = None,
    allow_host: AllowHost = None,
    add_user: Annotated[
        str | None,
        typer.Option(
            "--add-user", metavar="NAME", help="Add NAME to the file of --users, and end.", show_default=False
        ),
    ] = None,
    may: Annotated[str, typer.Option(help="With --add-user: look, or change.")] = "look",
    camera: Annotated[
        list[str] | None,
        typer.Option("--camera", help="With --add-user: one that they see; all by default.", show_default=False),
    ] = None,
    control: Annotated[
        str | None,
        typer.Option(
            "--control",
            metavar="URL",
            envvar="RAFTLINE_CONTROL",
            help="The Redis of a fleet of hosts (`raftline serve`): the page also shows all its hosts and cameras.",
            show_default=False,
        ),
    ] = None,
    fleet: Annotated[
        str | None,
        typer.Option("--fleet", metavar="NAME", help="With --control: which fleet; else the only one there."),
    ] = None,
    listening_fd: Annotated[int | None, typer.Option(hidden=True)] = None,
    debug: Debug = False,
) -> None:
    """Serve the page of a run: live view, events, zones, and how the cameras do. It needs raftline\\[web].

    Anybody on this machine may look. On another address it needs users, or a token in RAFTLINE_WEB_TOKEN.

    \b
    raftline web
    raftline web cameras --redis 'redis://:${REDIS_PASSWORD}@host:6379/0'
    raftline web --control redis://10.0.0.5:6379/0
    raftline web --users users.yaml --add-user ann --may change
    raftline web --listen 0.0.0.0:8642 --users users.yaml --allow-host cameras.lan:8642
    """
    from raftline.web.serving import Serving, end_with_parent, serve

    if add_user is not None:
        _add_user(users, add_user, may, camera)
        return
    if redis is not None and name is None:
        raise ConfigError("web --redis: found no name; give the `name` of the pipeline, which its YAML says")
    watched = None if control is None else (str(_filled_in(control, "--control")), fleet)
    serving = Serving.checked(listen, users, allow_host or ())
    if listening_fd is not None:
        end_with_parent()
        serve(serving, socket.socket(fileno=listening_fd), name, redis, output, watched)
        return
    name = name or (_only_run(output) if watched is None else None)
    with serving.address.bound() as listening:
        typer.echo(f"the page: http://{_shown(serving, listening, allow_host)}/")
        serve(serving, listening, name, _filled_in(redis, "--redis"), output, watched)


def _only_run(output: Path | None) -> str | None:
    from raftline.web.watched_run import only_run

    return None if output is not None else only_run()


def _shown(serving: object, listening: socket.socket, allow_host: list[str] | None) -> str:
    host, port = listening.getsockname()[:2]
    return allow_host[0] if allow_host else f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _filled_in(url: str | None, option: str) -> str | None:
    from pipeline.config.loading import fill_in

    return None if url is None else fill_in(url, option)


def _add_user(file: Path | None, name: str, may: str, cameras: list[str] | None) -> None:
    from raftline.web.access.users import added_user

    if file is None:
        raise ConfigError("web --add-user: found no file; give --users FILE, which is made if it is not there")
    if may not in ("look", "change"):
        raise ConfigError(f"web --may: found {may!r}; allowed: look, change")
    added_user(file, name, typer.prompt("password", hide_input=True, confirmation_prompt=True), may, cameras)
    typer.echo(f"{name} may {may}; {file}")

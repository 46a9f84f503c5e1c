"""``source``: see, add, change and remove the sources of a run while it goes on."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from pipeline.errors import ConfigError
from raftline.cli.arguments import Debug, RedisOfRun
from raftline.cli.failures import reported
from raftline.cli.fleet import ControlUrl, fleet_at, fleet_facts, fleet_table
from raftline.cli.results import console

if TYPE_CHECKING:
    from pipeline.runtime.run_status import ActiveRun

source = typer.Typer(
    no_args_is_help=True,
    help="See, add, change and remove the sources of a run while it goes on, or the cameras of a fleet.",
)

Run = Annotated[
    str | None,
    typer.Option(
        "--run",
        metavar="NAME",
        help="The pipeline, by the `name` in its YAML; needed where several run.",
        show_default=False,
    ),
]
Options = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="An option of the source, such as read_timeout_seconds=5. Repeat it for several.",
        show_default=False,
    ),
]


@source.command("list")
@reported
def listed(run: Run = None, redis: RedisOfRun = None, control: ControlUrl = None, debug: Debug = False) -> None:
    """List the sources of a run, what state each is in, and what is wrong with it.

    \b
    raftline source list
    raftline source list --run cameras --redis 'redis://:${REDIS_PASSWORD}@host:6379/0'
    """
    from pipeline.runtime.source_changes import current

    if control is not None:
        console().print(fleet_table(fleet_facts(control, run)))
        return
    table = Table()
    for title in ("source", "input", "state", "frames", "trouble"):
        table.add_column(title, overflow="fold", justify="right" if title == "frames" else "left")
    for each in current(run_named(run, redis)):
        table.add_row(escape(each.name), escape(each.input), each.state, str(each.frames), escape(each.trouble))
    console().print(table)


@source.command()
@reported
def add(
    input: Annotated[str, typer.Argument(metavar="INPUT", help="A camera's URL or device, or a file.")],
    name: Annotated[
        str | None, typer.Option("--name", metavar="NAME", help="Name of the source; else made of INPUT.")
    ] = None,
    options: Options = None,
    run: Run = None,
    redis: RedisOfRun = None,
    control: ControlUrl = None,
    debug: Debug = False,
) -> None:
    """Add a source to a run. The others go on undisturbed.

    \b
    raftline source add 'rtsp://user:${CAM_PASSWORD}@192.168.1.20/stream' --name door
    raftline source add /dev/video0 --set webcam_fps=15 --run cameras
    raftline source add 'rtsp://user:${CAM_PASSWORD}@192.168.1.20/stream' --control redis://10.0.0.5:6379/0
    """
    from pipeline.runtime import source_changes

    if control is not None:
        from pipeline.fleet import wanted

        with fleet_at(control, run) as fleet:
            typer.echo(f"added {wanted.add(fleet, {'input': input, 'options': _options(options)}, name)}")
        return
    given, filled_in = _input(input, redis)
    told = source_changes.add(run_named(run, redis), given, name=name, options=_options(options), filled_in=filled_in)
    typer.echo(told)


@source.command()
@reported
def change(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Name of the source.")],
    input: Annotated[str | None, typer.Option("-i", "--input", metavar="INPUT", help="Its new input.")] = None,
    options: Options = None,
    run: Run = None,
    redis: RedisOfRun = None,
    control: ControlUrl = None,
    debug: Debug = False,
) -> None:
    """Change the input or options of a source: it alone is restarted. `--set KEY=null` takes an option back.

    \b
    raftline source change door --input 'rtsp://user:${CAM_PASSWORD}@192.168.1.21/stream'
    raftline source change door --set read_timeout_seconds=5
    """
    from pipeline.runtime import source_changes

    if input is None and not options:
        raise ConfigError("source change: found nothing to change; give --input INPUT or --set KEY=VALUE")
    if control is not None:
        from pipeline.fleet import wanted

        with fleet_at(control, run) as fleet:
            wanted.change(fleet, name, input, _options(options))
        typer.echo(f"changed {name}")
        return
    given, filled_in = (None, True) if input is None else _input(input, redis)
    told = source_changes.change(
        run_named(run, redis), name, input=given, options=_options(options), filled_in=filled_in
    )
    typer.echo(told)


@source.command()
@reported
def remove(
    names: Annotated[list[str], typer.Argument(metavar="NAME...", help="Names of the sources.")],
    run: Run = None,
    redis: RedisOfRun = None,
    control: ControlUrl = None,
    debug: Debug = False,
) -> None:
    """Remove sources from a run: their files are completed, and what they held is given back.

    \b
    raftline source remove door yard
    """
    from pipeline.runtime import source_changes

    if control is not None:
        from pipeline.fleet import wanted

        with fleet_at(control, run) as fleet:
            for name in names:
                wanted.remove(fleet, name)
                typer.echo(f"removed {name}")
        return
    for name in names:
        typer.echo(source_changes.remove(run_named(run, redis), name))


def run_named(name: str | None, redis: str | None) -> ActiveRun:
    """The run of that name, or the only one. Raises `ConfigError`."""
    from pipeline.config.explain import nearest
    from pipeline.config.loading import fill_in
    from pipeline.runtime.run_status import ActiveRun, active_runs

    if redis is not None:
        if name is None:
            raise ConfigError("--redis: found no name; give --run NAME, the `name` of the pipeline in its YAML")
        return ActiveRun(name, fill_in(redis, "--redis"))
    runs = list(active_runs())
    found = [run for run in runs if name in (None, run.name)]
    if len(found) == 1:
        return found[0]
    names = ", ".join(sorted({run.name for run in runs})) or "none"
    if name is None and found:
        raise ConfigError(f"several pipelines run on this machine; choose one with --run NAME; there are: {names}")
    if len(found) > 1:
        raise ConfigError(f"--run {name}: several pipelines of that name run here; give the server of yours by --redis")
    asked = "" if name is None else f"--run {name}: "
    raise ConfigError(
        f"{asked}no such pipeline of yours runs on this machine{nearest(name or '', [run.name for run in runs])} "
        f"(running: {names}); for one on another server give --redis URL and --run NAME"
    )


def _input(given: str, redis: str | None) -> tuple[str, bool]:
    """An input as the run needs it, and whether its variables are filled in: for one of this machine they are."""
    from pipeline.config.loading import fill_in
    from pipeline.input_paths import local_path

    if redis is not None:
        return given, False
    path = local_path(given)
    if path is not None and path.exists():
        return os.path.abspath(path), True
    return fill_in(given, "INPUT"), True


def _options(given: list[str] | None) -> dict[str, Any]:
    from pipeline.config.overrides import parse_override

    return dict(parse_override(each, "read_timeout_seconds=5") for each in given or ())

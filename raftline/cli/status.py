"""``status``: what runs on this machine, or on a Redis server, and how it goes."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer
from rich.console import Group, RenderableType
from rich.live import Live
from rich.markup import escape
from rich.text import Text

from pipeline.errors import ConfigError, TransportError
from raftline.cli.arguments import Debug, RedisOfRun
from raftline.cli.failures import reported
from raftline.cli.fleet import ControlUrl, all_carried, fleet_facts, fleet_table
from raftline.cli.progress import in_a_line
from raftline.cli.results import console, stage_table

if TYPE_CHECKING:
    from pipeline.runtime.run_status import ActiveRun

T = TypeVar("T")
_REFRESH_SECONDS = 1.0
_SILENT_SECONDS = 3.0
"""A run tells its status twice a second."""
NOTHING = "nothing of yours runs on this machine; for a run on another server give --redis and its name"


@reported
def status(
    name: Annotated[
        str | None, typer.Argument(metavar="[NAME]", help="Of one pipeline; all by default.", show_default=False)
    ] = None,
    redis: RedisOfRun = None,
    control: ControlUrl = None,
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Show it anew every second, until Ctrl-C.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print it as JSON, as in summary.json.")] = False,
    check: Annotated[
        bool,
        typer.Option(
            "--check",
            help="Print nothing; exit code 1 unless there is a run, and each works; with --control: unless every "
            "camera has a host.",
        ),
    ] = False,
    debug: Debug = False,
) -> None:
    """Show the runs of this machine: frames, rates, drops, latency and CPU of each stage, and cameras in trouble.

    \b
    raftline status
    raftline status cameras --watch
    raftline status cameras --redis 'redis://:${REDIS_PASSWORD}@host:6379/0'
    raftline status --control redis://10.0.0.5:6379/0
    """
    if control is not None:
        _tell(lambda: fleet_facts(control, name), all_carried, fleet_table, watch, as_json, check)
        return
    if redis is not None and name is None:
        raise ConfigError("status --redis: found no name; give the `name` of the pipeline, which its YAML says")
    _tell(lambda: _statuses(name, redis), _all_work, _shown, watch, as_json, check)


def _tell(
    read: Callable[[], T],
    all_well: Callable[[T], bool],
    shown: Callable[[T], RenderableType],
    watch: bool,
    as_json: bool,
    check: bool,
) -> None:
    if check:
        raise typer.Exit(0 if all_well(read()) else 1)
    if as_json:
        typer.echo(json.dumps(read(), indent=2))
        return
    _show(lambda: shown(read()), watch)


def _show(shown: Callable[[], RenderableType], watch: bool) -> None:
    if not watch:
        console().print(shown())
        return
    with Live(console=console(), auto_refresh=False) as live, contextlib.suppress(KeyboardInterrupt):
        while True:
            live.update(shown(), refresh=True)
            time.sleep(_REFRESH_SECONDS)


def _all_work(statuses: list[dict[str, Any]]) -> bool:
    from pipeline.runtime.run_status import STUCK_SECONDS

    return bool(statuses) and all(status["age_seconds"] < STUCK_SECONDS for status in statuses)


def _statuses(name: str | None, redis: str | None) -> list[dict[str, Any]]:
    found = []
    for run in runs_of(name, redis):
        try:
            status = run.status()
        except TransportError:
            if redis is not None:
                raise
            continue  # it has just ended
        if status is not None:
            found.append(status)
    return found


def runs_of(name: str | None, redis: str | None) -> Iterator[ActiveRun]:
    """Runs of this machine, of that name if one is given; or the one of that name on a server."""
    from pipeline.config.loading import fill_in
    from pipeline.runtime.run_status import ActiveRun, active_runs

    if redis is not None and name is not None:
        yield ActiveRun(name, fill_in(redis, "--redis"))
        return
    yield from (run for run in active_runs() if name in (None, run.name))


def _shown(statuses: list[dict[str, Any]]) -> RenderableType:
    if not statuses:
        return Text(NOTHING)
    return Group(*(part for status in statuses for part in _run(status)))


def _run(status: dict[str, Any]) -> Iterator[RenderableType]:
    yield stage_table(status)
    for name, source in status["sources"].items():
        yield Text.from_markup(f"{escape(name)} ({escape(source['input'])}): {escape(in_a_line(source))}")
    since = timedelta(seconds=round(status["seconds"]))
    silent = f"; no word for {status['age_seconds']:.0f} s" if status["age_seconds"] > _SILENT_SECONDS else ""
    trouble = status.get("configuration", {}).get("trouble")
    if trouble:
        yield Text(trouble)
    if not status["sources"]:
        yield Text("no sources; add one: raftline source add INPUT")
    yield Text(f"{status['state']} for {since}, on {status['cores']} cores{silent}\n")

"""``dead-letters``: messages that a stage of a run could not process."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from pipeline.errors import ConfigError, RaftlineError
from raftline.cli.arguments import Debug, RedisOfRun
from raftline.cli.failures import in_words, reported
from raftline.cli.results import console
from raftline.cli.status import runs_of

if TYPE_CHECKING:
    from pipeline.config.plan import Plan
    from pipeline.transport.dead_letters import DeadLetter
    from pipeline.transport.redis_streams import RedisStreams

dead_letters = typer.Typer(no_args_is_help=True)

Name = Annotated[
    str | None, typer.Argument(metavar="[NAME]", help="Of the pipeline; the only one that runs by default.")
]
Stage = Annotated[str | None, typer.Option("--stage", metavar="NAME", help="Those of one stage.", show_default=False)]
Letter = Annotated[
    str | None, typer.Option("--id", metavar="ID", help="One letter, as `list` shows it.", show_default=False)
]


@dead_letters.callback()
def described() -> None:
    """List, show, replay and drop the messages that a stage of a run could not process.

    A message becomes a dead letter once three workers have died on it, or if it is none of this version. The stage
    goes on with a gap in its place. Dead letters are kept for as long as the run lives.

    \b
    raftline dead-letters list
    raftline dead-letters show cameras --id 1764432000000-0
    raftline dead-letters replay cameras --stage my_stage
    """


@dead_letters.command("list")
@reported
def listed(name: Name = None, stage: Stage = None, redis: RedisOfRun = None, as_json: Annotated[
    bool, typer.Option("--json", help="Print them as JSON.")] = False, debug: Debug = False) -> None:  # fmt: skip
    """List the dead letters of a run."""
    with _transport(name, redis) as transport:
        letters = _chosen(transport, stage, None)
    if as_json:
        typer.echo(json.dumps([_said(letter) for letter in letters], indent=2))
        return
    if not letters:
        typer.echo(f"{transport.keys.pipeline}: no dead letters")
        return
    table = Table(title=escape(transport.keys.pipeline), title_justify="left")
    for title in ("id", "stage", "source", "message", "given up", "error"):
        table.add_column(title, overflow="fold")
    for letter in letters:
        given_up = letter.time.isoformat(timespec="seconds")
        row = (letter.id, letter.stage, letter.source, letter.type, given_up, letter.error)
        table.add_row(*map(escape, row))
    console().print(table)


@dead_letters.command()
@reported
def show(name: Name = None, letter: Letter = None, stage: Stage = None, redis: RedisOfRun = None,
         debug: Debug = False) -> None:  # fmt: skip
    """Show dead letters in full, as JSON; pixels by their size."""
    with _transport(name, redis) as transport:
        for each in _some(transport, stage, letter):
            typer.echo(json.dumps({**_said(each), "fields": _readable(each)}, indent=2))


@dead_letters.command()
@reported
def replay(name: Name = None, letter: Letter = None, stage: Stage = None, redis: RedisOfRun = None,
           keep: Annotated[bool, typer.Option("--keep", help="Keep what succeeds, too.")] = False,
           output: Annotated[Path, typer.Option("--output", "-o", metavar="DIR", help="Directory for what it writes.")]
           = Path("dead_letters"), debug: Debug = False) -> None:  # fmt: skip
    """Give dead letters to their stage once more, in this process and with a new object.

    The run goes on untouched: results are not published, files go into a directory of their own. What the stage takes
    now is dropped from the list. Exit code 1 if any fails again. Only for runs of this machine.
    """
    from pipeline.transport.dead_letters import drop_dead_letters

    failed = 0
    with _transport(name, redis) as transport:
        plan = _plan(transport.keys.pipeline)
        for each in _some(transport, stage, letter):
            done = _replayed(plan, each, output / f"{each.stage}-{each.id}")
            failed += not done
            if done and not keep:
                drop_dead_letters(transport, [each])
    raise typer.Exit(1 if failed else 0)


@dead_letters.command()
@reported
def drop(name: Name = None, letter: Letter = None, stage: Stage = None, redis: RedisOfRun = None,
         every: Annotated[bool, typer.Option("--all", help="All of them.")] = False,
         debug: Debug = False) -> None:  # fmt: skip
    """Remove dead letters: one by --id, those of a stage by --stage, or --all."""
    from pipeline.transport.dead_letters import drop_dead_letters

    if letter is None and stage is None and not every:
        raise ConfigError("dead-letters drop: found nothing to drop; give --id ID, --stage NAME or --all")
    with _transport(name, redis) as transport:
        dropped = drop_dead_letters(transport, _chosen(transport, stage, letter))
    typer.echo(f"{transport.keys.pipeline}: {dropped} dropped")


@contextlib.contextmanager
def _transport(name: str | None, redis: str | None) -> Iterator[RedisStreams]:
    from pipeline.transport.redis_streams import RedisStreams

    if redis is not None and name is None:
        raise ConfigError("dead-letters --redis: found no name; give the `name` of the pipeline, which its YAML says")
    runs = list(runs_of(name, redis))
    if len(runs) != 1:
        found = ", ".join(sorted(run.name for run in runs)) or "none"
        which = "the name of one" if name is None else "another name, or --redis for a run on another server"
        raise ConfigError(
            f"dead-letters: runs of this machine{f' called {name}' if name else ''}: {found}; give {which}"
        )
    with contextlib.closing(RedisStreams(runs[0].redis_url, runs[0].name)) as transport:
        yield transport


def _chosen(transport: RedisStreams, stage: str | None, id: str | None) -> list[DeadLetter]:
    from pipeline.transport.dead_letters import dead_letters as found

    return [each for each in found(transport) if stage in (None, each.stage) and id in (None, each.id)]


def _some(transport: RedisStreams, stage: str | None, id: str | None) -> list[DeadLetter]:
    letters = _chosen(transport, stage, id)
    if not letters:
        asked = " ".join(f"{option} {value}" for option, value in (("--stage", stage), ("--id", id)) if value)
        raise ConfigError(
            f"{transport.keys.pipeline}: there is no dead letter {asked}; see them with: raftline dead-letters list"
        )
    return letters


def _plan(name: str) -> Plan:
    from pipeline.runtime.run_status import plan_of

    plan = plan_of(name)
    if plan is None:
        raise ConfigError(f"dead-letters replay: {name!r} does not run on this machine; run it where the pipeline runs")
    return plan


def _replayed(plan: Plan, letter: DeadLetter, directory: Path) -> bool:
    from pipeline.runtime.replay import replay as replay_entry

    try:
        done = replay_entry(plan, letter.stage, letter.source, letter.fields, directory)
    except Exception as error:
        words = in_words(error) if isinstance(error, RaftlineError) else f"{type(error).__name__}: {error}"
        typer.echo(f"{letter.stage} {letter.id}: fails again: {words}")
        return False
    made = ", ".join(type(message).__name__ for message in done.messages) or "nothing"
    files = f"; files: {', '.join(map(str, done.outputs))}" if done.outputs else ""
    typer.echo(f"{letter.stage} {letter.id}: taken; it yields {made}{files}")
    return True


def _said(letter: DeadLetter) -> dict[str, Any]:
    return {
        "id": letter.id,
        "stage": letter.stage,
        "source": letter.source,
        "message": letter.type,
        "given_up": letter.time.isoformat(timespec="milliseconds"),
        "error": letter.error,
        "bytes": letter.size_bytes,
    }


def _readable(letter: DeadLetter) -> dict[str, Any]:
    shown: dict[str, Any] = {}
    for name, value in letter.fields.items():
        try:
            text = value.decode()
        except UnicodeDecodeError:
            text = f"{len(value)} bytes"
        with contextlib.suppress(ValueError):
            text = json.loads(text) if name == b"body" else text
        shown[name.decode(errors="replace")] = text
    return shown

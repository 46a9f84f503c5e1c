"""``events``: what moved, from the database that runs write."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape
from rich.table import Table

from pipeline.errors import InputError
from raftline.cli.failures import reported
from raftline.cli.results import console

if TYPE_CHECKING:
    from raftline.event_database import Event, EventDatabase

events = typer.Typer(
    no_args_is_help=True, help="List, show, label and delete the motion events of a run.", add_completion=False
)

Folder = Annotated[
    Path, typer.Option("-o", "--output", metavar="DIR", help="The run's directory of results, or a database.")
]
Number = Annotated[int, typer.Argument(metavar="NUMBER", help="Of the event, as `events list` shows it.")]
OUT = Path("out")


@events.command("list")
@reported
def list_events(
    output: Folder = OUT,
    source: Annotated[list[str] | None, typer.Option("--source", help="Of this camera or file. Repeatable.")] = None,
    zone: Annotated[str | None, typer.Option(help="Those in this zone.")] = None,
    day: Annotated[str | None, typer.Option(metavar="YYYY-MM-DD", help="Those of this day, in local time.")] = None,
    label: Annotated[str | None, typer.Option(help="event, 'no event', or none.")] = None,
    most: Annotated[int, typer.Option("--most", "-n", min=1, help="The newest so many.")] = 50,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
) -> None:
    """List events, the newest first.

    \b
    raftline events list
    raftline events list -o out --source gate --day 2026-03-01
    """
    from raftline.event_database import Filter

    begin, end = _day(day)
    with _database(output) as database:
        found = database.find(Filter(source or None, zone, begin, end, label=label), most)
    if as_json:
        for event in found:
            typer.echo(json.dumps(_values(event)))
        return
    table = Table("number", "source", "begin", "seconds", "area", "px/s", "zones", "label")
    for event in found:
        table.add_row(*(escape(text) for text in _row(event)))
    console().print(table)


@events.command()
@reported
def show(number: Number, output: Folder = OUT) -> None:
    """Show all that is known of an event, as JSON."""
    with _database(output) as database:
        typer.echo(json.dumps(_values(_event(database, number)), indent=2))


@events.command()
@reported
def label(
    number: Number,
    what: Annotated[str, typer.Argument(metavar="LABEL", help="event, 'no event', or none to take it back.")],
    output: Folder = OUT,
) -> None:
    """Say what an event was, to tune by later.

    \b
    raftline events label 12 'no event'
    """
    from raftline.event_database import LABELS

    if what not in (*LABELS, "none"):
        raise InputError(f"label: found {what!r}; allowed: {', '.join(LABELS)}, none")
    with _database(output) as database:
        _event(database, number)
        database.label(number, None if what == "none" else what)


@events.command()
@reported
def delete(number: Number, output: Folder = OUT) -> None:
    """Delete an event that has ended, with its thumbnail. Its clip stays: others may be in it."""
    with _database(output) as database:
        event = _event(database, number)
        if not database.delete(number):
            raise InputError(f"event {number}: still goes on; delete it when it has ended")
        if event.thumbnail is not None:
            (database.path.parent / event.thumbnail).unlink(missing_ok=True)


@contextlib.contextmanager
def _database(output: Path) -> Iterator[EventDatabase]:
    from raftline.event_database import NAME, Clips, DatabaseError, EventDatabase

    file = output / NAME if output.is_dir() else output
    if not file.is_file():
        raise InputError(f"{file}: there is no event database; name the results of a run with -o DIR")
    try:
        with EventDatabase.opened(file) as database:
            Clips().link(database)
            yield database
    except DatabaseError as error:
        raise InputError(str(error)) from None


def _event(database: EventDatabase, number: int) -> Event:
    event = database.get(number)
    if event is None:
        raise InputError(
            f"event {number}: there is none with this number; `raftline events list` shows those there are"
        )
    return event


def _day(day: str | None) -> tuple[float | None, float | None]:
    if day is None:
        return None, None
    try:
        begin = datetime.strptime(day, "%Y-%m-%d")
    except ValueError:
        raise InputError(f"--day: found {day!r}; allowed: a day such as 2026-03-01") from None
    return begin.timestamp(), begin.replace(hour=23, minute=59, second=59, microsecond=999999).timestamp()


def _values(event: Event) -> dict[str, object]:
    return {name: value for name, value in vars(event).items() if name != "cells"}


def _row(event: Event) -> tuple[str, ...]:
    begin = f"{datetime.fromtimestamp(event.at):%Y-%m-%d %H:%M:%S}" if event.live else f"{event.at:.2f} s"
    return (
        str(event.number),
        event.source,
        begin,
        "goes on" if event.until is None else f"{event.until - event.at:.1f}",
        f"{100 * event.peak_area:.1f} %",
        "" if event.speed_px_s is None else f"{event.speed_px_s:.0f}",
        ", ".join(event.zones),
        event.label or "",
    )

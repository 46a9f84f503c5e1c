"""The command line: `raftline`, `python -m raftline` and ``run_pipeline.py``."""

from __future__ import annotations

import gc
from pathlib import Path
from typing import Any

import typer
from typer.core import TyperGroup

from raftline.cli.batch.command import batch
from raftline.cli.configs import configs
from raftline.cli.contact_sheet import contact_sheet
from raftline.cli.dead_letters import dead_letters
from raftline.cli.doctor import doctor
from raftline.cli.evaluate import evaluate
from raftline.cli.event_sheet import event_sheet
from raftline.cli.events import events
from raftline.cli.export import export
from raftline.cli.flow import flow
from raftline.cli.run import run
from raftline.cli.serve import serve
from raftline.cli.source import source
from raftline.cli.stages import stages
from raftline.cli.status import status
from raftline.cli.train import train
from raftline.cli.validate import validate
from raftline.cli.web import web
from raftline.cli.worker import worker
from raftline.shipped import shipped_configurations

_OBJECTS_BETWEEN_COLLECTIONS = 50_000
"""Python's 700 make a tenth of a command's start a search for garbage among modules, which stay. Chosen by hand."""


class _Commands(TyperGroup):
    """Says which command was meant where a configuration or a file was given in its place."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        given = args[0] if args else ""
        if self.get_command(ctx, given) is None:
            if given in shipped_configurations():
                ctx.fail(f"{given!r} is a configuration, not a command. Write: raftline run {given}")
            if Path(given).is_file():
                ctx.fail(f"{given!r} is a file, not a command. Write, for instance: raftline run stabilize -i {given}")
        return super().resolve_command(ctx, args)


app = typer.Typer(
    cls=_Commands,
    name="raftline",
    help="Video in; stabilized video, motion masks, motion events and optical flow out.",
    epilog="Start with: raftline run demo. When something does not work: raftline doctor",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
ON_VIDEO = (run, batch, serve, worker, status, web, validate)
BESIDES = (flow, train, evaluate, contact_sheet, event_sheet, export, doctor)
for command in (*ON_VIDEO, *BESIDES):
    app.command()(command)
app.add_typer(source, name="source")
app.add_typer(stages, name="stages")
app.add_typer(configs, name="configs")
app.add_typer(dead_letters, name="dead-letters")
app.add_typer(events, name="events")


def main() -> None:
    """Entry point of the command line."""
    gc.set_threshold(_OBJECTS_BETWEEN_COLLECTIONS)
    try:
        app()
    finally:
        gc.freeze()  # at its end Python would look for garbage among all modules: 0.1 s

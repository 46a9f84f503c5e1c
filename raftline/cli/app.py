"""The command line: `raftline`, `python -m raftline` and ``run_pipeline.py``."""

from __future__ import annotations

import gc
import importlib
import shlex
from pathlib import Path
from typing import Any

import typer
import typer.main
from typer.core import TyperCommand, TyperGroup

from raftline.shipped import shipped_configurations

_OBJECTS_BETWEEN_COLLECTIONS = 50_000
"""Python's 700 make a tenth of a command's start a search for garbage among modules, which stay. Chosen by hand."""


_MODULES = {
    "run": "raftline.cli.run",
    "batch": "raftline.cli.batch.command",
    "serve": "raftline.cli.serve",
    "worker": "raftline.cli.worker",
    "status": "raftline.cli.status",
    "web": "raftline.cli.web",
    "validate": "raftline.cli.validate",
    "flow": "raftline.cli.flow",
    "train": "raftline.cli.train",
    "evaluate": "raftline.cli.evaluate",
    "contact-sheet": "raftline.cli.contact_sheet",
    "event-sheet": "raftline.cli.event_sheet",
    "export": "raftline.cli.export",
    "doctor": "raftline.cli.doctor",
    "source": "raftline.cli.source",
    "stages": "raftline.cli.stages",
    "configs": "raftline.cli.configs",
    "dead-letters": "raftline.cli.dead_letters",
    "events": "raftline.cli.events",
}
"""Where each command, a function or a group of commands of its name, is defined; in the order of the help."""


class _Commands(TyperGroup):
    """Loads a command when it is asked for: to load all of them takes 0.1 s.

    Says which command was meant where a configuration or a file was given in its place.
    """

    def list_commands(self, ctx: Any) -> list[str]:
        return list(_MODULES)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        if cmd_name in _MODULES and cmd_name not in self.commands:
            self.commands[cmd_name] = _loaded(cmd_name)
        return super().get_command(ctx, cmd_name)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        given = args[0] if args else ""
        if self.get_command(ctx, given) is None:
            for name in _MODULES:  # among which the nearest is named
                self.get_command(ctx, name)
            if given in shipped_configurations():
                ctx.fail(f"{given!r} is a configuration, not a command. Write: raftline run {given}")
            if Path(given).is_file():
                ctx.fail(f"{given!r} is a file, not a command. Write, for instance: raftline run stabilize -i {given}")
        return super().resolve_command(ctx, args)


class _Run(TyperCommand):
    """Says how inputs are given where they follow the configuration, as `-i *.mp4` gives them too."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        ctx.allow_extra_args = True
        left = super().parse_args(ctx, args)
        if left:
            config = ctx.params["config"]
            inputs = " ".join(f"-i {shlex.quote(each)}" for each in left)
            ctx.fail(
                f"{left[0]!r} has no place here. Give each input an -i of its own: raftline run {config} ... {inputs}. "
                f"Many files, one after the other: raftline batch {config} FILES -o DIR"
            )
        return left


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


@app.callback()
def _group() -> None:
    """Nothing of its own."""


def _loaded(name: str) -> Any:
    """The command of a name, as it would be among all of them."""
    found = getattr(importlib.import_module(_MODULES[name]), name.replace("-", "_"))
    holder = typer.Typer(add_completion=False)
    if isinstance(found, typer.Typer):
        holder.add_typer(found, name=name)
    else:
        holder.command(name, cls=_Run if name == "run" else None)(found)
    return typer.main.get_group(holder).commands[name]


def main() -> None:
    """Entry point of the command line."""
    gc.set_threshold(_OBJECTS_BETWEEN_COLLECTIONS)
    try:
        app()
    finally:
        gc.freeze()  # at its end Python would look for garbage among all modules: 0.1 s

"""``stages``: the plug-ins that are installed, and what each of them reads, writes and can be told."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table
from typer.core import TyperGroup

from pipeline.errors import PluginError
from raftline.cli.arguments import Debug
from raftline.cli.failures import reported
from raftline.cli.new_stage import new
from raftline.cli.results import console

if TYPE_CHECKING:
    from pipeline.registry import PluginClass


class _NameOrCommand(TyperGroup):
    """``stages NAME`` is ``stages show NAME``."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        if args and args[0] not in self.commands and not args[0].startswith("-"):
            args = ["show", *args]
        return super().resolve_command(ctx, args)


stages = typer.Typer(cls=_NameOrCommand, no_args_is_help=False, invoke_without_command=True)
stages.command()(new)


@stages.callback()
@reported
def listed(context: typer.Context, debug: Debug = False) -> None:
    """List the installed stages, describe one, or write one of your own to begin with.

    \b
    raftline stages
    raftline stages flow
    raftline stages ./my_stage.py:MyStage
    raftline stages new my_stage
    """
    if context.invoked_subcommand is None:
        _list_stages()


@stages.command()
@reported
def show(
    name: Annotated[
        str,
        typer.Argument(
            metavar="NAME", help="A name from the list, module:Class or ./file.py:Class.", show_default=False
        ),
    ],
    debug: Debug = False,
) -> None:
    """Describe a stage: what it reads and writes, and its options, units and defaults.

    \b
    raftline stages flow
    """
    from pipeline import registry

    registry.add_search_path(["."])
    _show_stage(name, registry.load(name))


def _list_stages() -> None:
    from pipeline import registry

    table = Table("name", "reads", "writes", "what it does", title="stages", title_justify="left")
    for name, use in registry.names().items():
        try:
            cls = registry.load(name)
        except PluginError as error:
            table.add_row(escape(name), "", "", f"cannot be used: {escape(str(error))}")
            continue
        reads, writes = _reads_writes(cls)
        table.add_row(escape(name), reads, writes, f"{escape(_first_line(cls))}\n[dim]{escape(use)}[/dim]")
    out = console()
    if not table.row_count:
        out.print("no stage is installed under a name; module:Class always works")
        return
    out.print(table)
    out.print("options of one: raftline stages NAME; one of your own: raftline stages new NAME")


def _show_stage(name: str, cls: PluginClass) -> None:
    from pipeline.config.explain import allowed, schema_of
    from pipeline.messages import Flow
    from pipeline.stage import Stage

    out = console()
    reads, writes = _reads_writes(cls)
    out.print(f"[bold]{escape(name)}[/bold]  {escape(cls.__module__)}:{escape(cls.__qualname__)}", highlight=False)
    out.print(escape(inspect.getdoc(cls) or ""), highlight=False)
    out.print(f"reads {reads}; writes {writes}", highlight=False)
    if issubclass(cls, Stage) and cls.needs:
        out.print(f"asks for {', '.join(sorted(cls.needs))}", highlight=False)
    if issubclass(cls, Stage) and Flow in cls.reads:
        out.print(f"accuracy of the flow: {cls.accuracy}", highlight=False)
    properties: dict[str, Any] = schema_of(cls.Options).get("properties", {})
    required = schema_of(cls.Options).get("required", [])
    if not properties:
        out.print("no options")
        return
    table = Table("option", "default", "allowed", "meaning", title="options", title_justify="left")
    for key, node in properties.items():
        default = "required" if key in required else _yaml(node.get("default"))
        table.add_row(escape(key), escape(default), escape(allowed(node)), escape(node.get("description", "")))
    out.print(table)


def _yaml(value: object) -> str:
    if value is None:
        return "null"
    return str(value).lower() if isinstance(value, bool) else str(value)


def _reads_writes(cls: PluginClass) -> tuple[str, str]:
    from pipeline.stage import Source

    if issubclass(cls, Source):
        return "an input", "Frame"
    return ", ".join(t.__name__ for t in cls.reads), cls.writes.__name__ if cls.writes else "files or nothing"


def _first_line(cls: type) -> str:
    return (inspect.getdoc(cls) or "").partition("\n")[0]

"""``configs``: the configurations that come with raftline, and copies of them to edit."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table

from pipeline.errors import ConfigError, OutputError
from raftline.cli.arguments import Debug, config_file
from raftline.cli.failures import reported
from raftline.cli.results import console
from raftline.shipped import about, shipped_configurations

configs = typer.Typer(no_args_is_help=False, invoke_without_command=True)


@configs.callback()
def listed(context: typer.Context) -> None:
    """List the configurations that come with raftline, or copy one to edit it.

    \b
    raftline configs
    raftline configs copy stabilize my.yaml
    """
    if context.invoked_subcommand is not None:
        return
    table = Table("name", "what it does", title="configurations", title_justify="left")
    for name, file in shipped_configurations().items():
        table.add_row(escape(name), escape(about(file)))
    console().print(table)
    console().print("run one by its name: raftline run NAME -i my.mp4; edit one: raftline configs copy NAME")


@configs.command()
@reported
def copy(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A name from the list.", show_default=False)],
    destination: Annotated[
        Path | None,
        typer.Argument(metavar="[FILE]", help="Where to; NAME.yaml in this folder if not given.", show_default=False),
    ] = None,
    debug: Debug = False,
) -> None:
    """Copy a configuration, comments and all. A file that is there already is left as it is."""
    if name not in shipped_configurations():
        config_file(Path(name))  # says which there are
        raise ConfigError(f"{name}: not a configuration that comes with raftline; `raftline configs` lists them")
    target = destination or Path(f"{Path(name).name}.yaml")
    if target.is_dir():
        target = target / f"{Path(name).name}.yaml"
    if target.exists():
        raise OutputError(f"{target} is there already; remove it, or name another file")
    try:
        shutil.copyfile(shipped_configurations()[name], target)
    except OSError as error:
        raise OutputError(f"cannot write {target}: {error.strerror}") from error
    print(target)

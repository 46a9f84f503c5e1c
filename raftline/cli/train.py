"""``train``: weights of one's own."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pipeline.errors import RaftlineError, UserError
from raftline.cli.arguments import Debug, config_file
from raftline.cli.failures import reported


@reported
def train(
    config: Annotated[
        Path,
        typer.Argument(
            metavar="CONFIG",
            help="A YAML file, or the name of a shipped one, such as train/stream_cpu.",
            show_default=False,
        ),
    ],
    overrides: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="KEY.PATH=VALUE",
            help="Replace one value of the file, in YAML: --set synthetic.textures=photographs. Repeatable.",
            show_default=False,
        ),
    ] = None,
    minutes: Annotated[float | None, typer.Option(help="Save and stop after this time.", show_default=False)] = None,
    device: Annotated[str, typer.Option(help="auto (CUDA if there, else CPU), cpu, cuda or cuda:N.")] = "auto",
    debug: Debug = False,
) -> None:
    """Train RAFT. The same command resumes a run that was stopped or killed.

    With `processes` above 1 it starts so many, as torchrun does; started by torchrun, it is one of them.

    \b
    raftline train train/smoke
    raftline train train/stream_cpu --set synthetic.textures=photographs --minutes 480
    """
    from pipeline.config.overrides import apply_override
    from raftline.training.options_file import check_values, read_values
    from raftline.training.processes import ProcessError
    from raftline.training.train import start

    try:
        values = read_values(config_file(config))
        for override in overrides or ():
            apply_override(values, override, example="synthetic.textures=photographs")
        start(check_values(values, str(config)), device, minutes)
    except ValueError as error:  # of options, data, weights, checkpoints: their messages name the file
        raise UserError(str(error)) from error
    except ProcessError as error:
        raise RaftlineError(str(error)) from error

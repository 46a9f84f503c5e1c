"""``train``: weights of one's own."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pipeline.errors import RaftlineError, UserError
from raftline.cli.arguments import Debug
from raftline.cli.failures import reported


@reported
def train(
    config: Annotated[
        Path,
        typer.Argument(metavar="CONFIG", help="A file such as configs/train/stream_cpu.yaml.", show_default=False),
    ],
    overrides: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="KEY.PATH=VALUE",
            help="Lay one value over the file's, in YAML: --set synthetic.textures=photographs. "
            "May be given several times.",
            show_default=False,
        ),
    ] = None,
    minutes: Annotated[
        float | None, typer.Option(help="Stop, saved, after so many minutes.", show_default=False)
    ] = None,
    device: Annotated[str, typer.Option(help="auto (CUDA if there, else CPU), cpu, cuda or cuda:N.")] = "auto",
    debug: Debug = False,
) -> None:
    """Train RAFT. The same command goes on where the last one stopped, was stopped, or was killed.

    \b
    raftline train configs/train/smoke.yaml
    raftline train configs/train/stream_cpu.yaml --set synthetic.textures=photographs --minutes 480
    """
    from raftline.training.replicas import ReplicaError
    from raftline.training.train import overridden
    from raftline.training.train import train as run

    try:
        run(overridden(config, overrides or []), device, minutes)
    except ValueError as error:  # of options, data, weights, checkpoints: their messages name the file
        raise UserError(str(error)) from error
    except ReplicaError as error:
        raise RaftlineError(str(error)) from error

#!/usr/bin/env python3
"""raftline's command line: ``run_pipeline.py --help``."""

from __future__ import annotations

import typer

from commands.batch import batch
from commands.doctor import doctor
from commands.estimate import flow
from commands.evaluate import evaluate
from commands.inspect import stages, validate
from commands.run import run
from commands.train import train
from commands.worker import worker

app = typer.Typer(
    name="run_pipeline.py",
    help="Video in; stabilized video, motion masks, motion events and optical flow out.",
    epilog="Start with: run_pipeline.py run configs/demo.yaml. When something does not work: run_pipeline.py doctor",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for command in (run, batch, worker, validate, stages, flow, train, evaluate, doctor):
    app.command()(command)


def main() -> None:
    """Entry point of the installed command ``raftline``."""
    app()


if __name__ == "__main__":
    main()

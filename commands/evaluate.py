"""``evaluate``: end-point error of weights on the public data sets."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape
from rich.table import Table

from commands.arguments import Debug, Weights
from commands.failures import reported
from commands.results import console
from pipeline.errors import OutputError, UserError

if TYPE_CHECKING:
    from training.evaluation import Evaluation, PairScore


@reported
def evaluate(
    dataset: Annotated[
        list[str],
        typer.Option(
            metavar="NAME:DIR",
            help="middlebury:DIR, sintel:DIR, kitti:DIR or chairs:DIR, in the official layout. "
            "May be given several times.",
            show_default=False,
        ),
    ],
    weights: Weights = "default",
    iterations: Annotated[
        int | None,
        typer.Option(min=1, help="Updates of the network; by default 20, and 24 on KITTI.", show_default=False),
    ] = None,
    warm_start: Annotated[bool, typer.Option("--warm-start", help="Start from the last flow of the scene.")] = False,
    device: Annotated[str, typer.Option(help="auto (CUDA if there, else CPU), cpu, cuda or cuda:N.")] = "auto",
    json_file: Annotated[
        Path | None, typer.Option("--json", metavar="FILE", help="Write the results to FILE too.", show_default=False)
    ] = None,
    debug: Debug = False,
) -> None:
    """Measure weights: mean end-point error in px, and Fl-all (share of pixels wrong by more than 3 px and 5 %).

    \b
    run_pipeline.py evaluate --weights raft-small.pth --dataset sintel:data/sintel --dataset kitti:data/kitti
    run_pipeline.py evaluate --weights dis --dataset middlebury:data/middlebury --json results.json
    """
    from stages.raft.devices import choose_device
    from training.evaluation import evaluate as measure

    try:
        chosen = str(choose_device(device))
        result = measure(weights, dataset, iterations, warm_start, device=chosen, progress=_progress)
    except ValueError as error:  # of the data sets and weights: their messages name the file
        raise UserError(str(error)) from error
    _show(result)
    if json_file is not None:
        _write(json_file, result)


def _progress(score: PairScore, done: int, total: int) -> None:
    end = "\n" if done == total or not sys.stderr.isatty() else "\r"
    said = f"{done}/{total}  {score.dataset} {score.scene} {score.pair}: {score.epe_px:.3f} px"
    print(f"{said:<100.100}" if end == "\r" else said, end=end, file=sys.stderr, flush=True)


def _show(result: Evaluation) -> None:
    table = Table(title=f"{escape(result.weights)}{', warm start' if result.warm_start else ''}", title_justify="left")
    for title in ("data set", "scene"):
        table.add_column(title)
    for title in ("pairs", "iterations", "EPE px", "Fl-all %"):
        table.add_column(title, justify="right")
    for row in result.results:
        table.add_row(
            escape(row.dataset),
            escape(row.scene),
            str(row.pairs),
            str(row.iterations),
            f"{row.epe_px:.3f}",
            f"{row.fl_all_percent:.2f}",
        )
    console().print(table)


def _write(path: Path, result: Evaluation) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(result.to_json(), indent=2) + "\n")
    except OSError as error:
        raise OutputError(f"{path}: cannot be written: {error.strerror or error}") from error

"""``evaluate``: end-point error of weights on the public data sets."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.box import SIMPLE_HEAD
from rich.markup import escape
from rich.table import Table

from pipeline.errors import OutputError, UserError
from raftline.cli.arguments import Debug
from raftline.cli.dataclass_options import option_like, with_options
from raftline.cli.failures import reported
from raftline.cli.output_directory import check_output_file
from raftline.cli.results import console
from raftline.evaluation.protocol import PROTOCOL
from raftline.flow.options import FlowOptions

if TYPE_CHECKING:
    from raftline.evaluation.evaluation import Evaluation, PairScore

ONE = (
    ("EPE", "epe_px"), ("Fl %", "fl_all_percent"), (">1 %", "over_1px_percent"), (">3 %", "over_3px_percent"),
    (">5 %", "over_5px_percent"), ("s0-10", "s0_10_px"), ("s10-40", "s10_40_px"), ("s40+", "s40_px"),
    ("seen", "matched_px"), ("hidden", "unmatched_px"), ("p99", "p99_px"),
)  # fmt: skip


DataSets = Annotated[
    list[str],
    typer.Option(
        metavar="NAME:DIR",
        help="middlebury:DIR, sintel:DIR, kitti:DIR, chairs:DIR, things:DIR or hd1k:DIR in the official layout; "
        "synthetic:CLIPS or synthetic:CLIPS:PHOTOGRAPHS, made on the fly; still:PHOTOGRAPHS, noisy and compressed. "
        "May be given several times.",
        show_default=False,
    ),
]
Compare = Annotated[
    list[str] | None,
    typer.Option(
        metavar="WEIGHTS",
        help="Further weights, or `dis`: one table of end-point errors. May be given several times.",
        show_default=False,
    ),
]
Iterations = Annotated[
    int | None,
    option_like(FlowOptions.__dataclass_fields__["iterations"], None, "the data set's: 20, or 24 on KITTI"),
]
Curve = Annotated[
    str | None,
    typer.Option(
        metavar="N,N,...",
        help="End-point error after each of these iterations, from cold and from warm starts.",
        show_default=False,
    ),
]
JsonFile = Annotated[
    Path | None, typer.Option("--json", metavar="FILE", help="Write the results to FILE too.", show_default=False)
]
ChosenStart = Annotated[bool, typer.Option("--chosen-start", hidden=True)]
NOT_OFFERED = ("estimator", "iterations", "grid_refinement", "network_size", "duplicates", "scene_cut")
"""`weights` says which estimator, `iterations` may be the data set's, flow is scored at every pixel, and pairs of a
data set are all estimated."""


@reported
@with_options(PROTOCOL, without=NOT_OFFERED)
def evaluate(
    dataset: DataSets,
    options: FlowOptions,
    compare: Compare = None,
    iterations: Iterations = None,
    curve: Curve = None,
    json_file: JsonFile = None,
    chosen_start: ChosenStart = False,
    debug: Debug = False,
) -> None:
    """Measure weights, or OpenCV's DIS (--weights dis): end-point error in px and shares of wrong pixels.

    Fl-all: wrong by more than 3 px and 5 %. s0-10, s10-40, s40+: end-point error where the true flow is so long.
    Seen, hidden: where the next frame still shows it, and where not. p99: 99th percentile of the error.

    \b
    raftline evaluate --weights raft-small.pth --dataset sintel:data/sintel --dataset kitti:data/kitti
    raftline evaluate --dataset middlebury:data/middlebury --compare dis --compare raft-small.pth
    raftline evaluate --dataset sintel:data/sintel --curve 2,4,6,8,12,20 --json curve.json
    """
    from raftline.cli.h264_round_trip import h264_round_trip
    from raftline.evaluation.evaluation import evaluate as measure

    if chosen_start:
        raise UserError("--chosen-start: it is called --warm-start adaptive now")
    if json_file is not None:
        check_output_file(json_file)
    several = [options.weights, *(compare or ())]
    counts = _counts(curve) if curve is not None else [iterations]
    ways = [options] if curve is None else _cold_and_warm(options)
    try:
        results = [
            measure(name, dataset, way, iterations=count, codec=h264_round_trip, progress=_progress)
            for name in several
            for count in counts
            for way in ways
            if not (name == "dis" and (count, way) != (counts[0], ways[0]))
        ]
    except ValueError as error:  # of the data sets and weights: their messages name the file
        raise UserError(str(error)) from error
    if curve is not None:
        _show_curve(results)
    else:
        _show(results[0]) if len(results) == 1 else _show_together(results)
    if json_file is not None:
        _write(json_file, results)


def _cold_and_warm(options: FlowOptions) -> list[FlowOptions]:
    warm = options if options.warm_start != "never" else replace(options, warm_start="always")
    return [replace(options, warm_start="never"), warm]


def _counts(curve: str) -> list[int | None]:
    parts = curve.split(",")
    if not all(part.strip().isdigit() and int(part) > 0 for part in parts):
        raise UserError(f"--curve {curve!r}: expected numbers of iterations, such as 2,4,8,12")
    return [int(part) for part in parts]


def _progress(score: PairScore, done: int, total: int) -> None:
    end = "\n" if done == total or not sys.stderr.isatty() else "\r"
    said = f"{done}/{total}  {score.dataset} {score.scene} {score.pair}: {score.epe_px:.3f} px"
    print(f"{said:<100.100}" if end == "\r" else said, end=end, file=sys.stderr, flush=True)


def _show(result: Evaluation) -> None:
    # Narrow, so that its many columns fit into 120.
    title = f"{escape(result.weights)}{_start(result)}: px, or %"
    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    table.add_column("data set", overflow="fold", min_width=18)
    for heading in ("pairs", "it.", *(heading for heading, _ in ONE)):
        table.add_column(heading, justify="right", no_wrap=True)
    for row in result.results:
        measures = (_number(getattr(row, name)) for _, name in ONE)
        table.add_row(escape(f"{row.dataset} {row.scene}"), str(row.pairs), str(row.iterations), *measures)
    console().print(table)


def _show_together(results: list[Evaluation]) -> None:
    """End-point errors, a column a run; the least of each row is marked."""
    table = Table(title="EPE px", title_justify="left")
    for title in ("data set", "scene"):
        table.add_column(title, overflow="fold")
    for result in results:
        table.add_column(escape(_heading(result)), justify="right")
    for rows in zip(*(result.results for result in results), strict=True):
        least = min(row.epe_px for row in rows)
        cells = (f"{row.epe_px:.3f}{'*' if row.epe_px == least else ' '}" for row in rows)
        table.add_row(escape(rows[0].dataset), escape(rows[0].scene), *cells)
    console().print(table)


def _show_curve(results: list[Evaluation]) -> None:
    """End-point errors, a row a run: a curve is read downwards."""
    table = Table(title="EPE px", title_justify="left")
    table.add_column("weights", overflow="fold")
    table.add_column("start")
    for title in ("iterations", *(f"{row.dataset} {row.scene}" for row in results[0].results)):
        table.add_column(escape(title), justify="right", overflow="fold")
    ways = sorted(results, key=lambda result: result.options.warm_start != "never")
    for name in dict.fromkeys(result.weights for result in results):
        for result in (way for way in ways if way.weights == name):
            network = name != "dis"
            counts = "/".join(map(str, sorted({row.iterations for row in result.results}))) if network else ""
            start = (_start(result).strip() or "cold") if network else ""
            errors = (f"{row.epe_px:.3f}" for row in result.results)
            table.add_row(escape(Path(name).name), start, counts, *errors)
        table.add_section()
    console().print(table)


def _heading(result: Evaluation) -> str:
    name = Path(result.weights).name
    if name == "dis":
        return name
    counts = sorted({row.iterations for row in result.results})
    return f"{name} {'/'.join(map(str, counts))}{_start(result)}"


def _start(result: Evaluation) -> str:
    options = result.options
    start = {"never": "", "always": " warm", "adaptive": " adaptive"}[options.warm_start]
    if options.region_matching:
        start += " regions"
    return f"{start} variational" if options.variational_refinement else start


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}" if abs(value) < 100 else f"{value:.1f}"


def _write(path: Path, results: list[Evaluation]) -> None:
    """One run as it is; several as a list under `runs`."""
    report = results[0].to_json() if len(results) == 1 else {"runs": [result.to_json() for result in results]}
    try:
        path.write_text(json.dumps(report, indent=2) + "\n")
    except OSError as error:
        raise OutputError(f"{path}: cannot be written: {error.strerror or error}") from error

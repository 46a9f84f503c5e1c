"""``flow``: optical flow between two images."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

from pipeline.errors import InputError, OutputError, UserError
from raftline.cli.arguments import Debug
from raftline.cli.dataclass_options import with_options
from raftline.cli.failures import reported
from raftline.cli.output_directory import check_output_file
from raftline.flow.options import FlowOptions

SUFFIXES = (".flo", ".npz", ".png")
OF_A_STREAM = (
    "cold_iterations",
    "warm_start",
    "grid_refinement",
    "one_motion_side_px",
    "network_size",
    "duplicates",
    "scene_cut",
)
"""Options without effect on the flow at every pixel of a single pair."""

Image = Annotated[Path, typer.Argument(help="An image: PNG, JPEG, BMP, WebP ...", show_default=False)]
Output = Annotated[
    Path,
    typer.Option(
        "-o",
        "--output",
        metavar="OUT",
        help="OUT.flo (Middlebury's format) or OUT.npz (array flow_px): exact values. OUT.png: color, to look at.",
        show_default=False,
    ),
]


@reported
@with_options(FlowOptions(duplicates=None, scene_cut=None), without=OF_A_STREAM)
def flow(image1: Image, image2: Image, output: Output, options: FlowOptions, debug: Debug = False) -> None:
    """Estimate where each pixel of IMAGE1 went in IMAGE2: (u, v) in px, x right, y down.

    \b
    raftline flow frame1.png frame2.png -o flow.flo
    raftline flow frame1.png frame2.png -o flow.png --weights torchvision/raft_large --iterations 32
    """
    import numpy as np

    if output.suffix.lower() not in SUFFIXES:
        raise OutputError(f"{output}: found the suffix {output.suffix or 'none'!r}; allowed: {', '.join(SUFFIXES)}")
    first, second = _read(image1), _read(image2)
    check_output_file(output)
    if first.shape != second.shape:
        raise InputError(f"{image1} is {_size(first)} px, {image2} is {_size(second)} px; they must be of one size")
    session = _open(options)
    begin = time.monotonic()
    session(first)
    result = session(second)
    flow_px = np.zeros((*first.shape[:2], 2), np.float32) if result is None else result.flow_px
    seconds = time.monotonic() - begin
    _write(output, flow_px)
    length_px = np.linalg.norm(flow_px, axis=2)
    status = session.status
    print(
        f"{output}: {_size(first)} px, motion {length_px.mean():.2f} px on average, {length_px.max():.2f} px at most; "
        f"{status.estimator} on {status.device}, {seconds:.2f} s"
    )
    for fallback in status.fallbacks:
        print(f"note: {fallback}")


def _open(options: FlowOptions) -> Any:
    from raftline.flow.estimators import open_session

    try:
        return open_session(replace(options, cold_iterations=options.iterations))
    except ValueError as error:
        raise UserError(str(error)) from error


def _read(path: Path) -> Any:
    from raftline.evaluation.datasets import DatasetError, read_image

    try:
        return read_image(path)
    except DatasetError as error:
        raise InputError(str(error)) from error


def _write(path: Path, flow_px: Any) -> None:
    import cv2

    from raftline.flow.color import flow_color
    from raftline.flow.files import write_flow
    from raftline.whole_file import written_whole

    try:
        if path.suffix.lower() != ".png":
            write_flow(path, flow_px)
            return
        encoded = cv2.imencode(".png", flow_color(flow_px)[:, :, ::-1])[1]
        with written_whole(path) as part:
            part.write_bytes(encoded.tobytes())
    except OSError as error:
        raise OutputError(f"{path}: cannot be written: {error.strerror or error}") from error


def _size(image: Any) -> str:
    return f"{image.shape[1]}x{image.shape[0]}"

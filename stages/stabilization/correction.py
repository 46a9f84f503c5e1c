"""What both ways of stabilizing share: correcting a frame, the plot, and a spool whose failures the user can read."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.errors import OutputError
from pipeline.messages import Frame, Stabilized
from pipeline.stage import Context
from raftline.camera.bars import Bars
from raftline.camera.mesh import centre_shift
from raftline.stabilize.path.path_plot import PathRun, plot_paths, shake_px
from raftline.stabilize.warp.borders import Borders
from raftline.stabilize.warp.mesh_warp import mesh_sources, warp_mesh
from raftline.stabilize.warp.rolling_shutter import warp_rows
from raftline.stabilize.warp.warp import warp_planes
from stages.shared.color import MOST_IN_10_BITS
from stages.shared.image_files import png
from stages.shared.line_file import LineFile
from stages.shared.output_errors import write_whole
from stages.stabilization.options import StabilizationOptions


class Corrector:
    """Corrects the frames of a source, in order."""

    def __init__(self, options: StabilizationOptions, context: Context) -> None:
        """Correct as the options say."""
        self._options, self._context = options, context
        borders = Borders(options.border, options.interpolation)
        self._borders = borders if options.zooming == "none" else None

    def __call__(
        self,
        frame: Frame,
        correction: np.ndarray,
        steady: np.ndarray | None,
        sweep: np.ndarray | None = None,
        gains: np.ndarray | None = None,
        bars: Bars | None = None,
    ) -> Stabilized:
        """Correct a frame.

        Args:
            frame: The frame.
            correction: (3, 3) px of what lies between the bars to px of the same in the output.
            steady: As in `raftline.stabilize.warp.borders.Borders`.
            sweep: (3, 3) as in `raftline.stabilize.warp.rolling_shutter.sweeps`; None: all rows are exposed at once.
            gains: As in `raftline.stabilize.warp.mesh_warp.mesh_sources`; None: one plane.
            bars: Black bars around what moves, which stay; None: none.
        """
        whole = [np.asarray(plane) for plane in frame.planes]
        planes: Sequence[np.ndarray] = bars.cut(whole) if bars else whole
        if self._borders is None:
            moved = self._warped(planes, correction, correction, sweep, gains)
        else:
            if sweep is not None or gains is not None:
                planes = self._warped(planes, np.eye(3), correction, sweep, gains)
            moved = self._borders(planes, correction, steady)
        if frame.format == "yuv420p10":
            moved = tuple(np.minimum(plane, MOST_IN_10_BITS, out=plane) for plane in moved)  # cubic overshoots
        if bars:
            moved, correction = bars.around(moved, whole), bars.to_frame(correction)
        original = frame if "original" in self._context.needs else None
        return Stabilized(frame.header, replace(frame, planes=moved), tuple(flat(correction)), original)

    def _warped(
        self,
        planes: Sequence[np.ndarray],
        matrix: np.ndarray,
        correction: np.ndarray,
        sweep: np.ndarray | None,
        gains: np.ndarray | None,
    ) -> tuple[np.ndarray, ...]:
        """Warp planes by `matrix`, and parts off the plane by the shift of `correction`."""
        interpolation = self._options.interpolation
        if gains is not None:
            size = planes[0].shape[1], planes[0].shape[0]
            sources = mesh_sources(matrix, centre_shift(correction, *size), gains, *size, sweep)
            return warp_mesh(planes, sources, interpolation)
        if sweep is not None:
            return warp_rows(planes, matrix, sweep, interpolation)
        return warp_planes(planes, matrix, interpolation)


def write_plot(runs: list[PathRun], size: tuple[int, int], options: StabilizationOptions, context: Context) -> None:
    """Say in the status how much the path shakes before and after, and plot both if the options ask for it."""
    for name in ("before", "after"):
        shakes = [(shake_px(run.times, getattr(run, name), *size), len(run.times)) for run in runs]
        total = sum(count for _, count in shakes)
        shake = (sum(px**2 * count for px, count in shakes) / max(total, 1)) ** 0.5
        context.status(**{f"shake_{name}_px": round(shake, 3)})
    if options.plot is None or not runs:
        return
    title = f"{context.source.name}: camera path before (red), after (blue)"
    write_whole(context.output(options.plot), png(plot_paths(runs, *size, title)))


def flat(matrix: np.ndarray) -> list[float]:
    """Return a matrix row-major and rounded, as messages and files hold it."""
    return [round(float(value), 12) for value in matrix.ravel()]


def appended(spool: LineFile | None, path: Path, values: Mapping[str, Any]) -> LineFile:
    """Append a line to the spool, which is created if there is none; return it. Raises `OutputError`."""
    spool = spool or LineFile.new(path)
    spool.append(json.dumps(values, separators=(",", ":")))
    return spool


def cut_back(path: Path, length: int, context: Context) -> LineFile:
    """Open a spool as it was when it held `length` bytes. Raises `OutputError`."""
    try:
        return LineFile.resumed(path, length)
    except OutputError as error:
        raise OutputError(
            f"stage {context.stage!r} cannot go on with {context.source.name!r}: {error}. Measurements are kept beside "
            "the output, so a worker on another host needs the same output directory; start the run again"
        ) from error

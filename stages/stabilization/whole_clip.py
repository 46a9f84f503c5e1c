"""Stabilizing a file: it is measured to its end, then read again as far as its frames are not kept, and corrected."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.messages import Flow, Gap, Header, Message
from pipeline.stage import Context
from raftline.camera.parallax import of_far_plane
from raftline.camera.revision import revised
from raftline.camera.transforms import motion_matrices, motion_vectors
from raftline.stabilize.path.cutoff_choice import with_cutoff
from raftline.stabilize.path.parallax_smoothing import smooth_gains
from raftline.stabilize.path.path_plot import PathRun
from raftline.stabilize.path.path_records import PathRecord, path_of, runs_of, with_all_bars
from raftline.stabilize.path.path_smoothing import (
    CameraPath,
    PathLimits,
    SmoothedClip,
    accumulate,
    own_frames,
    smooth_clip,
)
from raftline.stabilize.path.readout import estimated_readout, without_shear_of
from raftline.stabilize.warp.rolling_shutter import sweeps
from stages.shared.line_file import LineFile
from stages.stabilization.correction import Corrector, appended, flat, write_plot
from stages.stabilization.kept_frames import KeptFrames
from stages.stabilization.moves import Move, write_moves
from stages.stabilization.options import StabilizationOptions
from stages.stabilization.spool import Spooling


class WholeClip(Spooling):
    """Spools measurements, and corrects the frames of a second reading of the source."""

    def __init__(self, options: StabilizationOptions, context: Context) -> None:
        """Begin with no frame."""
        super().__init__(options.path, context)
        self._options, self._context = options, context
        self.frames = KeptFrames() if options.moves is None else None  # else others correct them

    def take(self, message: Flow, record: PathRecord) -> Iterable[Message]:
        """Spool a measurement; yields nothing."""
        if self.frames is not None:
            self.frames.add(message.frame)
        return super().take(message, record)

    def finish(self) -> Iterator[Message]:
        """Smooth the path, yield all frames corrected, and gaps, and complete the files of path and plot."""
        yield from self.finish_of(self._spool.lines())

    def finish_of(self, lines: list[dict[str, Any]]) -> Iterator[Message]:
        """As `finish`, with the lines of a spool."""
        records = with_all_bars([PathRecord.from_json(line["frame"]) for line in lines if "frame" in line])
        recorded = runs_of(records)
        meshed = [measured_path(own) for own in recorded]
        runs, gains = [run for run, _ in meshed], [each for _, own in meshed for each in own]
        seconds, runs = self._readout(recorded, runs)
        limits = self._limits(runs)
        clip = smooth_clip(runs, limits, self._options.method)
        self._context.status(
            cutoff_hz=limits.cutoff_hz, zoom=round(clip.zoom, 4), frames_corrected_less=clip.shrunk_frames
        )
        corrections = [matrix for run in clip.corrections for matrix in run]
        steady = [matrix for run, path in zip(runs, clip.steady, strict=True) for matrix in _steady_steps(run, path)]
        rows = [matrix for run in runs for matrix in _sweeps(run, seconds)]
        bars = [own[-1].bars for own in recorded for _ in own]
        moves = list(zip(corrections, steady, rows, gains, bars, strict=True))
        if self._options.moves is None:
            yield from self._second_reading(lines, moves)
        else:
            write_moves(Path(self._options.moves), self._options, lines, moves)
        self._plot(runs, clip, [own[0].pts_seconds or 0.0 for own in recorded])
        path = LineFile.new(self._output.part)
        for record, correction, around in zip(records, corrections, bars, strict=True):
            appended(path, self._output.part, record.to_json(correction=flat(around.to_frame(correction))))
        self._output.finish()
        self._finished = True

    def _plot(self, runs: list[CameraPath], clip: SmoothedClip, begins: list[float]) -> None:
        """Plot the runs, which begin at these times, s."""
        if not runs:
            return
        plotted = [
            PathRun(run.times + begin, accumulate(run.motions), path)
            for run, path, begin in zip(runs, clip.steady, begins, strict=True)
        ]
        write_plot(plotted, (runs[0].width, runs[0].height), self._options, self._context)

    def _limits(self, runs: list[CameraPath]) -> PathLimits:
        options = self._options
        limits = PathLimits(
            max_zoom=options.max_zoom,
            zooming=options.zooming,
            tripod=options.tripod,
            most_shift=(options.most_shift_x, options.most_shift_y),
            most_turn_degrees=options.most_turn_degrees,
        )
        if options.cutoff_hz is None:
            return with_cutoff(runs, limits, options.method)
        return replace(limits, cutoff_hz=options.cutoff_hz)

    def _readout(
        self, recorded: Sequence[Sequence[PathRecord]], runs: list[CameraPath]
    ) -> tuple[float, list[CameraPath]]:
        """Return the readout time, s, and the runs without what a rolling shutter of unknown time did to them."""
        if self._options.readout_ms != "auto" or not runs:
            return self._options.known_readout_seconds, runs
        size = runs[0].width, runs[0].height
        shears = [[record.row_shear_px for record in own] for own in recorded]
        found = estimated_readout([(run.times, run.motions, own) for run, own in zip(runs, shears, strict=True)], *size)
        self._context.status(readout_ms=round(1000 * found.seconds, 1))
        sheared = [np.array([record.model in ("affine", "homography") for record in own]) for own in recorded]
        return found.seconds, [
            without_shear_of(run, found.seconds, own) for run, own in zip(runs, sheared, strict=True)
        ]

    def _second_reading(self, lines: list[dict[str, Any]], moves: list[Move]) -> Iterator[Message]:
        """Yield the frames and gaps of the spool's lines, each frame, kept or read again, corrected by its move."""
        corrector = Corrector(self._options, self._context)
        assert self.frames is not None
        frames = self.frames.once_more(self._context.reopen)
        remaining = iter(moves)
        frame = None
        for line in lines:
            header = Header.from_json(line["header"])
            if "gap" in line:
                yield Gap(header, **line["gap"])
                continue
            move = next(remaining)
            index = line["frame"]["index"]
            while frame is None or frame.index < index:
                frame = next(frames, None)
                if frame is None:
                    break
            if frame is None or frame.index != index:
                self._context.count("frames_missing_on_second_reading")
                continue
            yield corrector(replace(frame, header=header), *move)
        frames.close()

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on where `state` was taken. Raises `OutputError`."""
        if self.frames is not None:
            self.frames.miss()
        super().restore(state)


def _sweeps(run: CameraPath, readout_seconds: float) -> list[np.ndarray | None]:
    """Return the camera's motion while each frame is read; None if all rows are exposed at once."""
    if not readout_seconds:
        return [None] * len(run.times)
    own = own_frames(run)
    found = sweeps(run.times[own], accumulate(run.motions)[own], readout_seconds, run.width, run.height)
    return list(found[np.cumsum(own) - 1])


def _steady_steps(run: CameraPath, path: np.ndarray) -> list[np.ndarray | None]:
    """Return the motion (3, 3) of the corrected video into each frame; None into the first."""
    return [None, *motion_matrices(np.diff(path, axis=0), run.width, run.height)]


def measured_path(records: Sequence[PathRecord]) -> tuple[CameraPath, list[np.ndarray | None]]:
    """Return the run of the far plane, and the gains relative to it in each frame; None: no mesh."""
    run = path_of(records)
    size = run.width, run.height
    smooth = smooth_gains(run.times, [record.gains for record in records])
    matrices, gains = motion_matrices(run.motions, *size), list(smooth)
    corrections = [each for record in records for each in record.revised]
    for index, correction in corrections:
        matrices[index - records[0].index] = revised(matrices[index - records[0].index], correction)
    for at, each in enumerate(smooth):
        if each is not None:
            matrices[at], gains[at] = of_far_plane(matrices[at], each, *size)
    if corrections or any(each is not None for each in gains):
        run = replace(run, motions=motion_vectors(matrices, *size))
    own = own_frames(run)  # a duplicate shows what the frame before shows
    return run, [gains[at] for at in np.maximum.accumulate(np.where(own, np.arange(len(own)), 0))]

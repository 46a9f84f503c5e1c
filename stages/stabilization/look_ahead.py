"""Stabilizing a camera: each frame is corrected once a bounded time of what follows it is known."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from pipeline.messages import Flow, Gap, Message
from pipeline.stage import Context
from raftline.camera.bars import Bars
from raftline.camera.parallax import of_far_plane
from raftline.camera.revision import revised
from raftline.stabilize.path.cutoff_choice import INTENDED_HZ
from raftline.stabilize.path.look_ahead import TRIPOD_HZ, LookAheadSmoother
from raftline.stabilize.path.path_records import PathRecord
from stages.shared.line_file import LineFile
from stages.stabilization.correction import Corrector, appended, cut_back, flat
from stages.stabilization.options import StabilizationOptions


class LookAhead:
    """Holds frames back until their corrections are due."""

    def __init__(self, options: StabilizationOptions, context: Context) -> None:
        """Begin with no frame."""
        self._options, self._context = options, context
        self._output = context.output(options.path)
        self._spool: LineFile | None = None
        self._smoother: LookAheadSmoother | None = None
        self._records: deque[tuple[int, PathRecord]] = deque()
        """Sequence and record of the frames without a correction."""
        self._held: deque[Flow] = deque()
        """Their messages; of a restarted worker, those that it was sent again."""
        self._gains: np.ndarray | None = None
        """Of the last corrected frame, which a duplicate repeats."""
        self._bars = Bars()
        """Of the path that is smoothed."""
        self._shows_path = False
        """A frame of the path is out already."""
        self._corrector = Corrector(options, context)

    @property
    def unacked_window(self) -> int:
        """Count of messages that wait for their correction."""
        return len(self._held)

    def take(self, message: Flow, record: PathRecord) -> Iterator[Message]:
        """Take a frame and yield those that are now corrected."""
        if record.starts_path or self._smoother is None or record.bars != self._bars:
            yield from self._emit(self._smoother.finish() if self._smoother else [])
            self._smoother, self._shows_path = self._new_smoother(record), False
        self._held.append(message)
        self._records.append((message.header.sequence, record))
        if record.revised and not self._shows_path:
            yield from self._emit(self._start_again(record))
        else:
            motion = _far_motion(record, record)
            yield from self._emit(
                self._smoother.push(record.pts_seconds, motion, record.duplicate or record.unmeasured)
            )

    def _new_smoother(self, record: PathRecord) -> LookAheadSmoother:
        options, self._bars = self._options, record.bars
        return LookAheadSmoother(
            *record.bars.content_size(record.width, record.height),
            TRIPOD_HZ if options.tripod else options.cutoff_hz or INTENDED_HZ,
            options.look_ahead_seconds,
            options.zoom,
            options.zooming != "none",
            options.known_readout_seconds,
        )

    def _start_again(self, latest: PathRecord) -> list[np.ndarray]:
        """Smooth a path of which no frame is out yet from its start, now that `latest` revises its motions."""
        self._smoother = self._new_smoother(latest)
        due = []
        for _, record in self._records:
            due += self._smoother.push(
                record.pts_seconds, _far_motion(record, latest), record.duplicate or record.unmeasured
            )
        return due

    def take_again(self, message: Flow) -> None:
        """Take a message that was taken before the worker was restarted."""
        if any(sequence == message.header.sequence for sequence, _ in self._records):
            self._held.append(message)

    def gap(self, gap: Gap) -> Iterator[Message]:
        """Yield all frames before a gap, and the gap."""
        yield from self._emit(self._smoother.finish() if self._smoother else [])
        yield gap

    def finish(self) -> Iterator[Message]:
        """Yield the last frames and complete the path's file."""
        yield from self._emit(self._smoother.finish() if self._smoother else [])
        self._spool = self._spool or LineFile.new(self._output.part)
        self._output.finish()

    def discard(self) -> None:
        """Remove the path's file."""
        self._output.discard()

    def state(self) -> dict[str, Any]:
        """Return everything but the frames, as JSON values."""
        return {
            "bytes": self._spool.length if self._spool else 0,
            "smoother": self._smoother.state() if self._smoother else None,
            "shows_path": self._shows_path,
            "bars": self._bars.to_json(),
            "gains": None if self._gains is None else self._gains.tolist(),
            "records": [[sequence, *record.to_json().values()] for sequence, record in self._records],
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on where `state` was taken. Raises `OutputError`."""
        self._output.take_back()
        self._spool = cut_back(self._output.part, state["bytes"], self._context)
        self._smoother = LookAheadSmoother.from_state(state["smoother"]) if state["smoother"] else None
        self._shows_path, self._bars = state["shows_path"], Bars(*state["bars"])
        self._gains = None if state["gains"] is None else np.array(state["gains"])
        self._records = deque((sequence, PathRecord.from_values(values)) for sequence, *values in state["records"])

    def close(self) -> None:
        """Do nothing: no file is open between two messages."""

    def _emit(self, corrections: list[np.ndarray]) -> Iterator[Message]:
        moves = self._smoother.moves if self._smoother else []
        latest = _mesh_gains(self._records[-1][1]) if self._records else None
        for correction, move in zip(corrections, moves, strict=False):
            sequence, record = self._records.popleft()
            self._gains = self._gains if record.duplicate else latest
            self._shows_path = True
            shown = flat(record.bars.to_frame(correction))
            self._spool = appended(self._spool, self._output.part, record.to_json(correction=shown))
            if self._held and self._held[0].header.sequence == sequence:
                message = self._held.popleft()
                frame = replace(message.frame, header=message.header)
                steady = None if record.starts_path else move[0]
                yield self._corrector(frame, correction, steady, move[1], self._gains, record.bars)
            else:
                self._context.count("frames_recycled_before_correction")


def _mesh_gains(record: PathRecord) -> np.ndarray | None:
    """Return the gains relative to the far plane; None: one plane."""
    if record.gains is None:
        return None
    return of_far_plane(record.matrix, record.gains, record.width, record.height)[1]


def _far_motion(record: PathRecord, latest: PathRecord) -> np.ndarray:
    """Return the far plane's motion (3, 3) into a frame, revised by `latest`, the same record or a later one."""
    matrix = record.matrix
    for index, correction in latest.revised:
        if index == record.index:
            matrix = revised(matrix, correction)
    gains = latest.gains
    if gains is not None:
        matrix = of_far_plane(matrix, gains, record.width, record.height)[0]
    return record.bars.to_content(matrix)

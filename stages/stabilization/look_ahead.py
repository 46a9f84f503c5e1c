"""Stabilizing a camera: correct each frame once a bounded stretch of what follows it is known."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from pipeline.messages import Flow, Gap, Message
from pipeline.stage import Context
from raftline.camera.parallax import of_far_plane, shifted
from raftline.stabilize.path.cutoff_choice import INTENDED_HZ
from raftline.stabilize.path.look_ahead import TRIPOD_HZ, LookAheadSmoother
from raftline.stabilize.path.path_records import JsonLinesSpool, PathRecord
from stages.stabilization.correction import Corrector, Settings, appended, cut_back, flat


class LookAhead:
    """Correct each frame once enough of what follows it is known."""

    def __init__(self, settings: Settings, context: Context) -> None:
        self._settings, self._context = settings, context
        self._output = context.output(settings.path)
        self._spool: JsonLinesSpool | None = None
        self._smoother: LookAheadSmoother | None = None
        self._records: deque[tuple[int, PathRecord]] = deque()
        self._held: deque[Flow] = deque()
        self._gains: np.ndarray | None = None
        self._shows_path = False
        self._corrector = Corrector(settings, context)

    @property
    def unacked_window(self) -> int:
        return len(self._held)

    def take(self, message: Flow, record: PathRecord) -> Iterator[Message]:
        if record.starts_path or self._smoother is None:
            yield from self._emit(self._smoother.finish() if self._smoother else [])
            self._smoother, self._shows_path = self._new_smoother(record), False
        self._held.append(message)
        self._records.append((message.header.sequence, record))
        if record.revised and not self._shows_path:
            yield from self._emit(self._begun_again(record))
        else:
            yield from self._emit(
                self._smoother.push(record.pts_seconds, _far_motion(record, record), record.duplicate)
            )

    def _new_smoother(self, record: PathRecord) -> LookAheadSmoother:
        settings = self._settings
        return LookAheadSmoother(
            record.width,
            record.height,
            TRIPOD_HZ if settings.tripod else settings.cutoff_hz or INTENDED_HZ,
            settings.look_ahead_seconds,
            settings.zoom,
            settings.zooming != "none",
            settings.readout_ms / 1000,
        )

    def _begun_again(self, latest: PathRecord) -> list[np.ndarray]:
        """Nothing of the path is shown yet, and `latest` says how its frames moved: as if that had been known."""
        self._smoother = self._new_smoother(latest)
        due = []
        for _, record in self._records:
            due += self._smoother.push(record.pts_seconds, _far_motion(record, latest), record.duplicate)
        return due

    def take_again(self, message: Flow) -> None:
        if any(sequence == message.header.sequence for sequence, _ in self._records):
            self._held.append(message)

    def gap(self, gap: Gap) -> Iterator[Message]:
        yield from self._emit(self._smoother.finish() if self._smoother else [])
        yield gap

    def finish(self) -> Iterator[Message]:
        yield from self._emit(self._smoother.finish() if self._smoother else [])
        self._spool = self._spool or JsonLinesSpool(self._output.part)
        self._output.finish()

    def discard(self) -> None:
        self._output.discard()

    def state(self) -> dict[str, Any]:
        return {
            "bytes": self._spool.length if self._spool else 0,
            "smoother": self._smoother.state() if self._smoother else None,
            "shows_path": self._shows_path,
            "gains": None if self._gains is None else self._gains.tolist(),
            "records": [[sequence, *record.to_json().values()] for sequence, record in self._records],
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        self._spool = cut_back(self._output.part, state["bytes"], self._context)
        self._smoother = LookAheadSmoother.from_state(state["smoother"]) if state["smoother"] else None
        self._shows_path = state["shows_path"]
        self._gains = None if state["gains"] is None else np.array(state["gains"])
        self._records = deque((sequence, PathRecord.from_values(values)) for sequence, *values in state["records"])

    def close(self) -> None:
        if self._spool is not None:
            self._spool.close()

    def _emit(self, corrections: list[np.ndarray]) -> Iterator[Message]:
        moves = self._smoother.moves if self._smoother else []
        latest = _mesh_gains(self._records[-1][1]) if self._records else None
        for correction, move in zip(corrections, moves, strict=False):
            sequence, record = self._records.popleft()
            self._gains = self._gains if record.duplicate else latest
            self._shows_path = True
            self._spool = appended(self._spool, self._output.part, record.to_json(correction=flat(correction)))
            if self._held and self._held[0].header.sequence == sequence:
                message = self._held.popleft()
                frame = replace(message.frame, header=message.header)
                steady = None if record.starts_path else move[0]
                yield self._corrector(frame, correction, steady, move[1], self._gains)
            else:
                self._context.count("frames_recycled_before_correction")


def _mesh_gains(record: PathRecord) -> np.ndarray | None:
    """Beside the far plane."""
    if record.gains is None:
        return None
    return of_far_plane(record.matrix, record.gains, record.width, record.height)[1]


def _far_motion(record: PathRecord, latest: PathRecord) -> np.ndarray:
    """The motion (3, 3) of the far plane into a frame, as `latest`, it or a later one, has it."""
    matrix = record.matrix
    for index, x, y in latest.revised:
        if index == record.index:
            matrix = shifted(matrix, x, y)
    gains = latest.gains
    return matrix if gains is None else of_far_plane(matrix, gains, record.width, record.height)[0]

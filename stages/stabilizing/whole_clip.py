"""Stabilizing a file: measure it to its end, then read it again and correct it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np

from pipeline.messages import Flow, Frame, Gap, Header, Message
from pipeline.stage import Context
from stages.motion.path_records import JsonLinesSpool, PathRecord, camera_paths
from stages.motion.path_smoothing import PathLimits, smooth_clip
from stages.stabilizing.correction import Settings, appended, corrected, cut_back, flat


class WholeClip:
    """Measure first; correct in a second reading of the source."""

    retained = 0

    def __init__(self, settings: Settings, context: Context) -> None:
        self._settings, self._context = settings, context
        self._output = context.output(settings.path)
        self._measured = self._output.part.with_name(f"{self._output.path.name}.measured.part")
        self._spool: JsonLinesSpool | None = None
        self._finished = False

    def take(self, message: Flow, record: PathRecord) -> Iterable[Message]:
        self._append({"frame": record.to_json(), "header": _header_values(message.header)})
        return ()

    def take_again(self, message: Flow) -> None:
        """Nothing is retained, so nothing comes again."""

    def gap(self, gap: Gap) -> Iterable[Message]:
        values = {"reason": gap.reason, "detail": gap.detail, "gap_seconds": gap.gap_seconds}
        self._append({"gap": values, "header": _header_values(gap.header)})
        return ()

    def finish(self) -> Iterator[Message]:
        lines = self._spool.lines() if self._spool else []
        records = [PathRecord.from_json(line["frame"]) for line in lines if "frame" in line]
        limits = PathLimits(self._settings.cutoff_hz, max_zoom=self._settings.max_zoom)
        clip = smooth_clip(camera_paths(records), limits, self._settings.method)
        self._context.status(zoom=round(clip.zoom, 4), frames_corrected_less=clip.shrunk_frames)
        corrections = [matrix for run in clip.corrections for matrix in run]
        yield from self._second_reading(lines, corrections)
        path = JsonLinesSpool(self._output.part)
        for record, correction in zip(records, corrections, strict=True):
            path.append(record.to_json(correction=flat(correction)))
        path.close()
        self._output.finish()
        self._finished = True

    def _second_reading(self, lines: list[dict[str, Any]], corrections: list[np.ndarray]) -> Iterator[Message]:
        again = self._context.reopen()
        frames = (item for item in again if isinstance(item, Frame))
        remaining = iter(corrections)
        frame = None
        for line in lines:
            header = _header(self._context.source.name, line["header"])
            if "gap" in line:
                yield Gap(header, **line["gap"])
                continue
            correction = next(remaining)
            index = line["frame"]["index"]
            while frame is None or frame.index < index:
                frame = next(frames, None)
                if frame is None:
                    break
            if frame is None or frame.index != index:
                self._context.count("frames_missing_on_second_reading")
                continue
            yield corrected(replace(frame, header=header), correction, self._settings, self._context)
        frames.close()
        getattr(again, "close", lambda: None)()

    def discard(self) -> None:
        self._finished = True
        self._output.discard()

    def state(self) -> dict[str, Any]:
        return {"bytes": self._spool.length if self._spool else 0}

    def restore(self, state: Mapping[str, Any]) -> None:
        self._spool = cut_back(self._measured, state["bytes"], self._context)

    def close(self) -> None:
        if self._spool is not None:
            self._spool.close()
        if self._finished:
            self._measured.unlink(missing_ok=True)

    def _append(self, values: dict[str, Any]) -> None:
        self._spool = appended(self._spool, self._measured, values)


def _header_values(header: Header) -> dict[str, Any]:
    time_base = [header.time_base.numerator, header.time_base.denominator]
    return {**vars(header), "time_base": time_base}


def _header(source: str, values: Mapping[str, Any]) -> Header:
    return Header(**{**values, "source": source, "time_base": Fraction(*values["time_base"])})

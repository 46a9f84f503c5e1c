"""The stage: measures the camera's motion, smooths its path, and moves every frame onto it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline import stage
from pipeline.errors import ConfigError
from pipeline.messages import EndOfStream, Flow, Gap, Message, Stabilized
from pipeline.sections import Sections
from pipeline.segments import Division, Gathers, WorksInSections
from pipeline.stage import Context
from stages.stabilization.options import StabilizationOptions

if TYPE_CHECKING:
    from stages.stabilization.look_ahead import LookAhead
    from stages.stabilization.measured_part import MeasuredPart
    from stages.stabilization.measurement import Measurement
    from stages.stabilization.sectioned_measurement import SectionedMeasurement
    from stages.stabilization.whole_clip import WholeClip

_PARTS = ("stages.stabilization.look_ahead", "stages.stabilization.measurement", "stages.stabilization.whole_clip")
"""Not imported with this module, since the command line reads the options alone: they take half a second."""

_MEASURED = "measured.jsonl"
"""What a section's measurement is called in its folder."""


class Stabilization(stage.Stage, Gathers, WorksInSections):
    """Moves every frame to where a steady camera would have shown it, without a black border.

    ``whole_clip`` measures the camera's motion in the whole file, then reads the file again and corrects it along the
    best path. ``look_ahead`` corrects each frame after a bounded delay, for cameras.

    A killed worker loses nothing: the measurement of a frame is in a file before the frame is acknowledged, and the
    snapshot says how much of that file is valid. Frames that wait for what follows them stay unacknowledged; the
    snapshot holds the smoother's state, the checkpoint the pictures by which frames of a file are put right.
    """

    class Options(StabilizationOptions):
        """See `stages.stabilization.options`."""

    reads = (Flow,)
    writes = Stabilized
    takes_10_bits = True
    accuracy = "coarse"
    passes_gaps = False
    snapshot_bytes = 1_000_000  # path over the look-ahead: 66 kB at 60 frames/s, grows with the rate; world: 25 kB

    options: Options

    @classmethod
    def modules(cls, given: Mapping[str, Any]) -> Iterable[str]:
        return (*_PARTS, "raftline.kernels.ahead.stabilization")

    @classmethod
    def yields_at_end(cls, options: Any) -> bool:
        return options.smoothing != "look_ahead"

    @classmethod
    def divided(cls, options: StabilizationOptions, file: str) -> Division | None:
        filled = options.zooming == "none" and options.border == "fill"  # from the frames before
        if options.smoothing == "look_ahead" or filled or options.moves is not None or options.measured is not None:
            return None
        moves = {"moves": file}
        return Division({**moves, "smoothing": "whole_clip"}, "stages.stabilization:MovedFrames", moves)

    @classmethod
    def in_one_piece(cls, file: str) -> str | None:
        from stages.stabilization.moves import read_head

        return read_head(Path(file))[1]

    @classmethod
    def sections(cls, options: StabilizationOptions) -> Sections | None:
        return Sections.of_minutes(options.section_minutes)

    @classmethod
    def of_section(cls, number: int, end: int | None) -> Mapping[str, Any]:
        return {"smoothing": "whole_clip", "measured": _MEASURED, "section": number, "section_end": end}

    @classmethod
    def gather(cls, options: Any, context: Context, parts: Sequence[Path]) -> int:
        from stages.stabilization.measured_part import lines_of
        from stages.stabilization.whole_clip import WholeClip

        whole = WholeClip(options, context)
        lines = lines_of([part / _MEASURED for part in parts])
        for _ in whole.finish_of(lines):
            pass
        return sum("frame" in line for line in lines)

    def open(self) -> None:
        source, wanted = self.context.source, self.options.smoothing
        if wanted == "whole_clip" and source.read_once:
            raise ConfigError(
                f"stage {self.context.stage!r}: smoothing: whole_clip reads its input twice, but "
                f"{source.display} is {'live' if source.live else 'standard input'}; use smoothing: look_ahead"
            )
        looks_ahead = wanted == "look_ahead" or source.read_once
        if looks_ahead and self.options.zooming == "dynamic":
            raise ConfigError(
                f"stage {self.context.stage!r}: zooming: dynamic needs the whole clip; with smoothing: look_ahead use "
                "zooming: static or none"
            )
        self._mode, self._measurement = self._new_mode(looks_ahead), self._new_measurement(looks_ahead)
        self._last = (0, 0)
        self.context.status(smoothing="look_ahead" if looks_ahead else "whole_clip")

    def _new_mode(self, looks_ahead: bool) -> LookAhead | WholeClip | MeasuredPart:
        from stages.stabilization.look_ahead import LookAhead
        from stages.stabilization.measured_part import MeasuredPart
        from stages.stabilization.whole_clip import WholeClip

        whole = WholeClip if self.options.measured is None else MeasuredPart
        return (LookAhead if looks_ahead else whole)(self.options, self.context)

    def _new_measurement(self, looks_ahead: bool) -> Measurement | SectionedMeasurement:
        from stages.stabilization.measurement import Measurement
        from stages.stabilization.sectioned_measurement import SectionedMeasurement

        if looks_ahead:
            return Measurement(self.options, self.context, self.options.look_ahead_seconds)
        new = partial(Measurement, self.options, self.context, float("inf"))
        sections = Sections.of_minutes(self.options.section_minutes)
        return SectionedMeasurement(new, sections, self.options.section, self.options.section_end)

    def process(self, message: Flow) -> Iterable[Message]:
        if _position(message) <= self._last:
            self._measurement.remember(message.frame)
            self._mode.take_again(message)
            return
        if (record := self._measurement(message)) is not None:
            yield from self._mode.take(message, record)
        self._last = _position(message)

    def gap(self, gap: Gap) -> Iterable[Message]:
        if _position(gap) > self._last:
            yield from self._mode.gap(gap)
            self._measurement.gap()
            self._last = _position(gap)

    def flush(self, end: EndOfStream) -> Iterable[Message]:
        if end.reason == "failed":
            self._mode.discard()
        else:
            yield from self._mode.finish()

    def unacked_window(self) -> int:
        """Return the count of messages that wait for their correction; at least those that the next needs."""
        return max(self._mode.unacked_window, self._measurement.frames_needed)

    def snapshot(self) -> Mapping[str, Any]:
        return {"last": self._last, "measurement": self._measurement.state(), "mode": self._mode.state()}

    def restore(self, snapshot: Mapping[str, Any]) -> None:
        self._last = tuple(snapshot["last"])
        self._measurement.restore(snapshot["measurement"])
        self._mode.restore(snapshot["mode"])

    def checkpoint(self) -> Mapping[str, Any] | None:
        """Small pictures of a file's last frames, which later ones may put right."""
        return self._measurement.large_state()

    def restore_checkpoint(self, checkpoint: Mapping[str, Any]) -> None:
        self._measurement.restore_large(checkpoint)

    def close(self) -> None:
        if hasattr(self, "_mode"):
            self._mode.close()


def _position(message: Flow | Gap) -> tuple[int, int]:
    return message.header.epoch, message.header.sequence

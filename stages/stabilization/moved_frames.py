"""Moves frames as a file says that the stabilization of the whole clip has written."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import Field

from pipeline import stage
from pipeline.errors import InputError
from pipeline.messages import EndOfStream, Frame, Message, Stabilized

if TYPE_CHECKING:
    from stages.stabilization.moves import MovedFrame

_PARTS = ("stages.stabilization.correction", "stages.stabilization.moves")


class MovedFrames(stage.Stage):
    """Corrects the frames of a file, or of a part of it, by the moves that `stabilization` wrote (option `moves`).

    The frames must be those that were measured, each with its time: others, and missing ones, are an error.
    """

    class Options(stage.Options):
        moves: str = Field(description="file that the stage stabilization has written as its option moves says")
        span: tuple[int | None, int | None, int | None] | None = Field(
            None, description="as the decoder's: the part of the file whose frames come; null: all"
        )

    reads = (Frame,)
    writes = Stabilized
    takes_10_bits = True

    @classmethod
    def modules(cls, given: Mapping[str, Any]) -> Iterable[str]:
        return (*_PARTS, "raftline.kernels.ahead.stabilization")

    def open(self) -> None:
        from stages.stabilization.correction import Corrector
        from stages.stabilization.moves import read_head, read_moves

        file = Path(self.options.moves)
        _, first, end = self.options.span or (None, None, None)
        options, _ = read_head(file)
        self._corrector = Corrector(options, self.context)
        self._moves: Iterator[MovedFrame] = read_moves(file, first, end)
        self._done = 0

    def process(self, message: Frame) -> Iterable[Message]:
        moved = next(self._moves, None)
        self._done += 1
        if moved is None or moved.pts != message.header.pts:
            raise InputError(self._differs(f"a frame at {message.header.pts}", moved))
        yield self._corrector(replace(message, index=moved.index), *moved.move)

    def flush(self, end: EndOfStream) -> Iterable[Message]:
        if end.reason == "end" and (moved := next(self._moves, None)) is not None:
            raise InputError(self._differs("no more frames", moved))
        return ()

    def snapshot(self) -> Mapping[str, Any]:
        return {"done": self._done}

    def restore(self, snapshot: Mapping[str, Any]) -> None:
        while self._done < snapshot["done"]:
            next(self._moves)
            self._done += 1

    def _differs(self, found: str, moved: MovedFrame | None) -> str:
        wanted = "no more" if moved is None else f"one at {moved.pts}"
        return (
            f"{self.context.source.display}: found {found} where {wanted} was measured: the file was changed, or "
            "cannot be read in parts; run it again with --segment-minutes 0"
        )

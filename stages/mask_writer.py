"""Writes motion masks as PNG files, one per frame."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from pydantic import Field, field_validator

from pipeline import stage
from pipeline.messages import EndOfStream, Mask, Message
from stages.shared.image_files import png
from stages.shared.numbered_files import NumberedFiles, check_template


class MaskWriter(stage.Stage):
    """Writes each motion mask as a grey PNG of the frame's size: 255 where something moves, else 0.

    The number in the name is the index of the frame in the decoded source, from 0. Dropped frames of a camera leave a
    gap in the numbers.
    """

    class Options(stage.Options):
        path: str = Field(
            "{source}.masks/{index:06d}.png", description="PNG per frame; {source}, {stage} and {index} are replaced"
        )
        compression: int = Field(3, ge=0, le=9, description="zlib level, from 0 (fastest) to 9 (smallest files)")

        @field_validator("path")
        @classmethod
        def _is_a_png_per_index(cls, path: str) -> str:
            return check_template(path, (".png",))

    reads = (Mask,)
    writes = None
    takes_10_bits = True

    def __init__(self, options: Options, context: stage.Context) -> None:
        super().__init__(options, context)
        self._files = NumberedFiles(context, options.path)

    def process(self, message: Mask) -> Iterable[Message]:
        encoded = png(np.asarray(message.mask), self.options.compression)
        self._files.write(message.frame.index, lambda path: path.write_bytes(encoded))
        return ()

    def flush(self, end: EndOfStream) -> Iterable[Message]:
        if end.reason == "failed" and not self.context.source.live:
            self._files.discard()
        elif not self.context.source.live:
            self._files.remove_rest_of_earlier_run()
        return ()

    def snapshot(self) -> Mapping[str, Any]:
        return self._files.snapshot()

    def restore(self, snapshot: Mapping[str, Any]) -> None:
        self._files.restore(snapshot)

"""Writes motion masks as PNG, one per frame."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from pydantic import Field, field_validator

from pipeline import stage
from pipeline.messages import EndOfStream, Mask, Message
from stages.shared.numbered_files import NumberedFiles, check_template


class MaskWriter(stage.Stage):
    """Writes each mask as a grey PNG of the frame's size: 255 moves, 0 does not.

    The number in the name is the frame's index in the decoded source, from 0. Frames that a camera's run dropped
    leave a hole, so that numbers always mean the same frame.
    """

    class Options(stage.Options):
        path: str = Field(
            "{source}.masks/{index:06d}.png", description="file per frame; {source}, {stage}, {index} are filled in"
        )
        compression: int = Field(3, ge=0, le=9, description="zlib level: 0 fastest, 9 smallest")

        @field_validator("path")
        @classmethod
        def _is_a_png_per_index(cls, path: str) -> str:
            return check_template(path, (".png",))

    reads = (Mask,)
    writes = None

    def __init__(self, options: Options, context: stage.Context) -> None:
        super().__init__(options, context)
        self._files = NumberedFiles(context, options.path)

    def process(self, message: Mask) -> Iterable[Message]:
        parameters = [cv2.IMWRITE_PNG_COMPRESSION, self.options.compression]
        _, encoded = cv2.imencode(".png", np.asarray(message.mask), parameters)

        def write(path: Path) -> None:
            path.write_bytes(encoded.data)

        self._files.write(message.frame.index, write)
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

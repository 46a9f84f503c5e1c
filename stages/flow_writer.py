"""Writes optical flow, one file per frame."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import Field, field_validator

from pipeline import stage
from pipeline.errors import OutputError
from pipeline.messages import EndOfStream, Flow, Message
from raftline.flow.files import FlowFileError, write_flow
from stages.shared.numbered_files import NumberedFiles, check_template


class FlowWriter(stage.Stage):
    """Writes one file per frame: the flow from the previous frame to it, in px at every pixel.

    The suffix chooses the format. ``.flo``: Middlebury's; ``.npz``: compressed, key ``flow_px``; ``.png``: KITTI's with
    16 bits. The number in the name is the index of the later frame. A frame without flow (the first, and those after a
    gap or a cut) gets no file and is counted as ``frames_without_flow``.
    """

    class Options(stage.Options):
        path: str = Field(
            "{source}.flow/{index:06d}.flo",
            description="file per frame, .flo, .npz or .png (KITTI); {source}, {stage} and {index} are replaced",
        )

        @field_validator("path")
        @classmethod
        def _is_a_flow_file_per_index(cls, path: str) -> str:
            return check_template(path, (".flo", ".npz", ".png"))

    reads = (Flow,)
    writes = None
    takes_10_bits = True
    needs = frozenset({"flow"})

    def __init__(self, options: Options, context: stage.Context) -> None:
        super().__init__(options, context)
        self._files = NumberedFiles(context, options.path)
        self._suffix = Path(options.path).suffix

    def process(self, message: Flow) -> Iterable[Message]:
        if message.flow_px is None:
            self.context.count("frames_without_flow")
            return ()
        flow_px = np.asarray(message.flow_px).astype(np.float32)

        def write(part: Path) -> None:
            staged = part.with_name(part.name + self._suffix)  # the format follows from the suffix
            write_flow(staged, flow_px)
            staged.replace(part)

        try:
            self._files.write(message.frame.index, write)
        except FlowFileError as error:
            raise OutputError(str(error)) from error
        return ()

    def flush(self, end: EndOfStream) -> Iterable[Message]:
        if end.reason == "failed" and not self.context.source.live:
            self._files.discard()
        return ()

    def snapshot(self) -> Mapping[str, Any]:
        return self._files.snapshot()

    def restore(self, snapshot: Mapping[str, Any]) -> None:
        self._files.restore(snapshot)

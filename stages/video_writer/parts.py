"""What is left of a segment of a file, of which a `VideoPart` encoded the frames: spools, and a list of them."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Sequence
from dataclasses import replace
from io import FileIO
from pathlib import Path

from pipeline.errors import OutputError
from pipeline.stage import Output
from stages.shared.output_errors import writing
from stages.video_writer.spool import SegmentReader
from stages.video_writer.timeline import TimelineState

PART = "{stage}.json"
"""Name of the list."""


def write_part(output: Output, segments: Sequence[SegmentReader], state: TimelineState) -> None:
    """Keep the spools beyond the end of the run, and list them. Raises `OutputError`."""
    spools = []
    with writing(output.path):
        for number, segment in enumerate(segments):
            kept = output.path.with_name(f"{output.path.name}.spool-{number}")
            kept.unlink(missing_ok=True)
            try:
                os.link(segment.path, kept)
            except OSError:  # a file system without links
                shutil.copyfile(segment.path, kept)
            spools.append([kept.name, segment.id, segment.length])
        output.part.write_text(json.dumps({"spools": spools, "timeline": state.to_json()}))
    output.finish()


def read_part(folder: Path, stage: str) -> tuple[list[SegmentReader], TimelineState]:
    """What `write_part` kept of a stage. Raises `OutputError`."""
    listed = folder / PART.format(stage=stage)
    with writing(listed):
        values = json.loads(listed.read_text())
        readers = [
            SegmentReader(folder / name, identity, length, FileIO(folder / name))
            for name, identity, length in values["spools"]
        ]
    for reader in readers[1:]:
        if replace(reader.track, rate=readers[0].track.rate) != readers[0].track:
            raise OutputError(f"{reader.path}: its frames are not like those before it; run again in one piece")
    return readers, TimelineState.from_json(values["timeline"])

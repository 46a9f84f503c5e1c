"""From the decoder to the writer, as a pipeline takes a file, without the machine."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

import av

from pipeline.messages import EndReason, Frame
from pipeline.testing import TestContext
from stages.decoder import Decoder
from stages.video_writer import VideoWriter
from tests.stages.frames import end
from tests.stages.stage_bench import Machine, bench_context


@dataclass(frozen=True)
class Copy:
    """What came of a file."""

    path: Path
    """The one file that was written."""
    frames: list[Frame]
    """As the decoder made them."""
    decoder: TestContext
    """Its counts and what it said."""
    writer: Machine
    """Of the writer; `said` has its status."""

    @property
    def said(self) -> dict[str, Any]:
        """The writer's status."""
        return self.writer.context.said


def copied(
    input: Path | str,
    folder: Path,
    decoder: Mapping[str, Any] | None = None,
    before_end: Callable[[], object] = lambda: None,
    limit: int | None = None,
    reason: EndReason = "end",
    **writer: Any,
) -> Copy:
    """Decode `input` and write what was decoded into `folder`.

    Args:
        input: as a user gives it.
        folder: of the output.
        decoder: its options.
        before_end: called when all frames are with the writer.
        limit: take so many frames only.
        reason: why they end.
        writer: its options.
    """
    context = TestContext(source="clip", input=str(input))
    machine = Machine(VideoWriter, bench_context(folder, str(input)), **writer)
    frames: list[Frame] = []
    source = Decoder(Decoder.Options.model_validate(decoder or {}), context)
    try:
        for sequence, message in enumerate(islice(source.read(0), limit)):
            message = replace(message, header=replace(message.header, sequence=sequence))
            machine.deliver(message)
            frames += [message] if isinstance(message, Frame) else []
    finally:
        source.close()
    before_end()
    machine.deliver(end(10**6, reason))
    machine.close()
    (path,) = machine.context.outputs
    return Copy(path, frames, context, machine)


@dataclass(frozen=True)
class Track:
    """A track of a file, as FFmpeg reads it."""

    codec: str
    title: str
    language: str
    default: bool
    metadata: dict[str, str]


def tracks(path: Path, kind: str) -> list[Track]:
    """The tracks of a kind: ``video``, ``audio``, ``subtitle``, ``data`` or ``attachment``."""
    with av.open(f"file:{path.absolute()}") as container:
        return [_track(stream) for stream in container.streams if stream.type == kind]


def _track(stream: Any) -> Track:
    codec = stream.codec_context.codec.canonical_name if stream.codec_context else (stream.name or "")
    title = stream.metadata.get("title") or stream.metadata.get("name") or ""
    return Track(
        codec, title, stream.metadata.get("language", ""), bool(stream.disposition.value & 1), dict(stream.metadata)
    )

"""Running a Decoder without the machine."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.messages import Frame, Gap
from pipeline.redaction import redact
from pipeline.stage import SourceInfo
from pipeline.testing import TestContext
from stages.decoder import Decoder

_LIMITS = ("connect_timeout_seconds", "read_timeout_seconds", "first_connection_seconds")
_PATIENCE: dict[str, Any] = dict.fromkeys(_LIMITS, 60.0)
"""On a machine that has much else to do no camera is given up, unless a test wants that."""


@contextmanager
def decoder(input: Path | str, once: bool = True, **options: Any) -> Iterator[tuple[Decoder, TestContext]]:
    """A Decoder of this input, closed afterwards."""
    live = Decoder.is_live(str(input))
    context = TestContext(input=str(input), live=live)
    context.source = SourceInfo("clip", str(input), redact(str(input)), live, once)
    source = Decoder(Decoder.Options(**{**_PATIENCE, **options}), context)
    try:
        yield source, context
    finally:
        source.close()


def decode(input: Path | str, start_index: int = 0, **options: Any) -> tuple[list[Frame], list[Gap], dict[str, int]]:
    """Frames, gaps and counts of an input that ends."""
    with decoder(input, **options) as (source, context):
        messages = list(source.read(start_index))
    frames = [message for message in messages if isinstance(message, Frame)]
    return frames, [message for message in messages if isinstance(message, Gap)], context.counts


def fingerprint(frame: Frame) -> tuple[int, int | None, str]:
    """Index, time and pixels."""
    digest = hashlib.sha256()
    for plane in frame.planes:
        digest.update(np.ascontiguousarray(plane).tobytes())
    return frame.index, frame.header.pts, digest.hexdigest()

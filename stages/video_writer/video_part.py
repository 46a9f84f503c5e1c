"""Encodes a segment of a file."""

from __future__ import annotations

from pipeline.messages import EndOfStream
from stages.video_writer.parts import PART, write_part
from stages.video_writer.stage import VideoWriter


class VideoPart(VideoWriter):
    """Encodes frames like `video_writer`, and leaves the packets for `VideoWriter.join` to write them all at once."""

    def open(self) -> None:
        self._output = self.context.output(PART)

    def _write(self, end: EndOfStream) -> None:
        if self._writer is not None:
            self._earlier.append(self._writer.reader())
        write_part(self._output, [each for each in self._earlier if any(each.places())], self._spooled)

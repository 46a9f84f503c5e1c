"""From decoded frames to messages: index, presentation time, pixels, and a gap where the size changes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import av

from pipeline.messages import Frame, Gap
from pipeline.stage import Context
from stages.decoder.pixel_formats import PixelReader, Pixels
from stages.decoder.timestamps import PresentationTimes


class FrameMessages:
    """Makes the messages of one source, leaving out those that were delivered before a restart."""

    def __init__(self, context: Context, start_index: int, index: int = 0, most_bits: int = 10) -> None:
        """
        Args:
            context: of the source.
            start_index: index of the first frame to deliver.
            index: index of the next frame that is decoded.
            most_bits: per sample, as in `PixelReader`.
        """
        self.index = index
        self._context = context
        self._start_index = self._count_from = start_index
        self._pixels = PixelReader(most_bits)
        self._size: tuple[int, int] | None = None
        self._met: Counter[str] = Counter()
        self._counted: Counter[str] = Counter()

    def of(
        self,
        frame: av.VideoFrame,
        times: PresentationTimes,
        ntp_ns: int | None = None,
        stream_index: int | None = None,
    ) -> Iterator[Frame | Gap]:
        """The frame's message, after a gap if its size is new. Neither before the start index."""
        repaired = times.repaired
        pts = times.next_pts(frame.pts, frame.time_base)
        if times.repaired > repaired:
            self.count("repaired_pts")
        size, before = (frame.width, frame.height), self._size
        self._size = size
        if self.index >= self._start_index:
            header = self._context.header(pts, times.time_base, ntp_ns=ntp_ns)
            if before not in (None, size):
                detail = f"{before[0]}x{before[1]} became {size[0]}x{size[1]}"
                yield Gap(self._context.header(None, times.time_base), "size_change", detail)
            yield Frame(
                header, self.index, *self._read(frame), duration=frame.duration or None, stream_index=stream_index
            )
        self.index += 1

    def forget_size(self) -> None:
        """The next frame follows a gap already, whatever its size."""
        self._size = None

    def decode_again(self) -> None:
        """The source is decoded again from its first frame: deliver only what was not delivered yet."""
        self._start_index, self.index = max(self.index, self._start_index), 0
        self.forget_size()
        self._met.clear()

    def count(self, name: str) -> None:
        """Count something of the frame at hand, once: not again after a restart or in a second decoding."""
        self._met[name] += 1
        if self._met[name] > self._counted[name]:
            self._counted[name] = self._met[name]
            if self.index >= self._count_from:
                self._context.count(name)

    def _read(self, frame: av.VideoFrame) -> Pixels:
        known = self._pixels.unknown_matrix is None
        pixels = self._pixels.read(frame)
        matrix = self._pixels.unknown_matrix
        if known and matrix is not None:
            text = f"matrix {matrix} of ITU-T H.273 is not known; shown as {pixels.color_space}"
            self._context.log.warning("%s: %s", self._context.source.display, text)
            self._context.status(colors=text)
        return pixels

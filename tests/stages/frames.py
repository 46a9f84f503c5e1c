"""Small frames whose number can be read back from the pixels after lossy coding."""

from __future__ import annotations

from fractions import Fraction

import numpy as np

from pipeline.messages import EndOfStream, EndReason, Frame, Gap, Header

BITS = 8


def header(sequence: int, pts: int | None = None, time_base: Fraction = Fraction(1, 1000)) -> Header:
    return Header("clip", pts, time_base, arrival_ns=0, sequence=sequence)


def numbered_luma(number: int, height: int, width: int) -> np.ndarray:
    """`number` as eight black or white columns: it survives coding, and shows which frame an image is."""
    bits = [(number >> bit) & 1 for bit in range(BITS)]
    columns = np.repeat(np.array([40 + 160 * bit for bit in bits], np.uint8), -(-width // BITS))[:width]
    return np.tile(columns, (height, 1))


def read_number(luma: np.ndarray) -> int:
    """The number drawn by `numbered_luma`, from a decoded frame."""
    width = luma.shape[1]
    cell = -(-width // BITS)
    centres = [min(width - 1, bit * cell + cell // 2) for bit in range(BITS)]
    middle = luma[luma.shape[0] // 2]
    return sum(1 << bit for bit, x in enumerate(centres) if middle[x] > 120)


def yuv_frame(
    index: int, pts: int | None, width: int = 64, height: int = 48, time_base: Fraction = Fraction(1, 1000), **fields
) -> Frame:
    luma = numbered_luma(index % 256, height, width)
    chroma = np.full((-(-height // 2), -(-width // 2)), 128, np.uint8)
    values = {"color_space": "bt709", "color_range": "tv", **fields}
    return Frame(
        header(fields.pop("sequence", index), pts, time_base), index, width, height, "yuv420p",
        (luma, chroma, chroma.copy()), **{k: v for k, v in values.items() if k != "sequence"},
    )  # fmt: skip


def gap(sequence: int) -> Gap:
    return Gap(header(sequence), "lost_frames")


def end(sequence: int, reason: EndReason = "end") -> EndOfStream:
    return EndOfStream(header(sequence), reason)

"""Portable float maps, in which FlyingThings3D keeps its flow."""

from pathlib import Path

import numpy as np
import numpy.typing as npt

from raftline.flow.files import FlowFileError


def read_pfm_flow(path: Path) -> npt.NDArray[np.float32]:
    """(H, W, 2) float32 px: the first two of three channels, top row first.

    Raises:
        FlowFileError: not there, not a PFM of three channels, or truncated.
    """
    if not path.is_file():
        raise FlowFileError(f"flow {path}: no such file")
    lines = path.read_bytes().split(b"\n", 3)
    try:
        tag, size, scale, data = lines
        width, height = (int(number) for number in size.split())
        order = "<" if float(scale) < 0 else ">"
    except ValueError as error:
        raise FlowFileError(f"flow {path}: not a PFM file, or truncated in its header") from error
    if tag.strip() != b"PF":
        raise FlowFileError(f"flow {path}: expected a PFM of three channels (tag PF), found the tag {tag[:8]!r}")
    expected = 12 * width * height
    if width < 1 or height < 1 or len(data) != expected:
        raise FlowFileError(f"flow {path}: truncated, {width}x{height} needs {expected} bytes, found {len(data)}")
    pixels = np.frombuffer(data, f"{order}f4").reshape(height, width, 3)
    return np.ascontiguousarray(pixels[::-1, :, :2], np.float32)  # rows are stored from the bottom up

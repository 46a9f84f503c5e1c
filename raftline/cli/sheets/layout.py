"""Parts that sheets are put together from."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from pipeline.runtime.output import OutputFile
from raftline.drawing import Color
from stages.shared.image_files import png
from stages.shared.output_errors import write_whole

CELL_WIDTH_PX = 336
"""Width of an image on a sheet. This and the other sizes and colors are chosen by hand."""
GAP_PX = 6
TEXT_PX = 13
"""Height of capitals."""
GROUND: Color = (22, 23, 28)
TITLE: Color = (235, 235, 240)
QUIET: Color = (160, 164, 176)


def cell(image: np.ndarray) -> np.ndarray:
    """The image at the width of a cell, a tall one fitted into a square: uint8 (H, W, 3) RGB."""
    height, width = image.shape[:2]
    scale = min(CELL_WIDTH_PX / width, CELL_WIDTH_PX / height)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    small = cv2.resize(image, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC)
    fitted = strip(small.shape[0], CELL_WIDTH_PX)
    left = (CELL_WIDTH_PX - size[0]) // 2
    fitted[:, left : left + size[0]] = small
    return fitted


def strip(height: int, width: int) -> np.ndarray:
    """An empty part of a sheet, uint8 (height, width, 3) RGB."""
    return np.full((height, width, 3), GROUND, np.uint8)


def write_sheet(path: Path, sheet: np.ndarray) -> None:
    """Write uint8 (H, W, 3) RGB as PNG, complete or not at all. Raises `OutputError`."""
    write_whole(OutputFile(path), png(sheet))

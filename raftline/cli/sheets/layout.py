"""Parts that sheets of pictures are put together from."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np

from pipeline.errors import RaftlineError
from raftline.drawing import Color
from stages.shared.output_errors import writing

CELL_WIDTH_PX = 336
GROUND: Color = (22, 23, 28)
TITLE: Color = (235, 235, 240)
QUIET: Color = (160, 164, 176)


def cell(picture: np.ndarray) -> np.ndarray:
    """uint8 (H, W, 3) RGB at the width of a cell; a tall picture is fitted into a square."""
    height, width = picture.shape[:2]
    scale = min(CELL_WIDTH_PX / width, CELL_WIDTH_PX / height)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    small = cv2.resize(picture, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC)
    fitted = strip(small.shape[0], CELL_WIDTH_PX)
    left = (CELL_WIDTH_PX - size[0]) // 2
    fitted[:, left : left + size[0]] = small
    return fitted


def strip(height: int, width: int) -> np.ndarray:
    """An empty part of a sheet, uint8 (height, width, 3) RGB."""
    return np.full((height, width, 3), GROUND, np.uint8)


def write_png(out: Path, sheet: np.ndarray) -> None:
    """Write uint8 (H, W, 3) RGB, whole or not at all. Raises `OutputError`."""
    _, encoded = cv2.imencode(".png", cv2.cvtColor(sheet, cv2.COLOR_RGB2BGR))
    part = out.with_name(out.name + ".part")
    with writing(out):
        part.write_bytes(encoded.data)
        os.replace(part, out)


def sheet_command(module: str, about: str | None, make: Callable[[Path], Path], metavar: str, help: str) -> int:
    """``python -m MODULE PATH``: makes the sheet of a path and says where it lies, or what was wrong. Exit code."""
    name = module.rpartition(".")[2].replace("_", " ")
    parser = argparse.ArgumentParser(prog=f"python -m {module}", description=about)
    parser.add_argument("path", type=Path, metavar=metavar, help=help)
    try:
        print(f"{name}: {make(parser.parse_args().path)}")
    except RaftlineError as error:
        print(f"{name}: {error}", file=sys.stderr)
        return error.exit_code
    return 0

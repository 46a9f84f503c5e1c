"""Carrying a flow forward on the CPU, in machine code made by numba at first use.

One thread: at the 1/8 grid of 1080p it takes a few tenths of a millisecond, less than sharing it out would save.
"""

from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from raftline.kernels.compiled import compiled
from raftline.kernels.forward_splat.reference import Carried

_Array = npt.NDArray[Any]


def forward_splat_cpu(flow: Tensor, error: Tensor | None, values: Tensor | None) -> Carried:
    """As `raftline.kernels.forward_splat.forward_splat`, arguments already checked. Results are channels-last."""
    batch, _, height, width = flow.shape
    flow = flow.float()
    channels = flow if values is None else torch.cat([flow, values.float()], dim=1)
    channels = channels.permute(0, 2, 3, 1).contiguous()
    errors = torch.empty(batch, 0, 0) if error is None else error[:, 0].float().contiguous()
    carried = torch.empty_like(channels)
    landed = torch.empty(batch, 1, height, width, dtype=torch.bool)
    for image in range(batch):
        filled = landed[image, 0].numpy()
        _land(channels[image].numpy(), errors[image].numpy(), carried[image].numpy(), filled)
        _fill_holes(carried[image].numpy(), filled)
    carried = carried.permute(0, 3, 1, 2)
    return Carried(carried[:, :2], None if values is None else carried[:, 2:].to(values.dtype), landed)


def _fill_holes(values: _Array, filled: _Array) -> None:
    """values (h, w, C) float32, zero in holes; filled (h, w) bool, which stays as it is."""
    height, width, channels = values.shape
    if (height == 1 and width == 1) or filled.all():
        return
    coarse = np.empty(((height + 1) // 2, (width + 1) // 2, channels), np.float32)
    coarse_filled = np.empty(coarse.shape[:2], np.bool_)
    _pull(values, filled, coarse, coarse_filled)
    _fill_holes(coarse, coarse_filled)
    _push(coarse, values, filled)


@compiled
def _land(channels, error, carried, landed):  # type: ignore[no-untyped-def]
    """channels, carried (h, w, C) float32; error (h, w) float32 or empty; landed (h, w) bool."""
    height, width, count = channels.shape
    origin = np.full((height, width), -1, np.int64)
    best = np.empty((height, width), np.float32)
    for row in range(height):
        for column in range(width):
            u = channels[row, column, 0]
            v = channels[row, column, 1]
            x = np.rint(np.float32(column) + u)
            y = np.rint(np.float32(row) + v)
            # False for NaN.
            if not (x >= 0 and x < width and y >= 0 and y < height):
                continue
            undefined = 0
            for channel in range(2, count):
                undefined += not np.isfinite(channels[row, column, channel])
            if undefined > 0:
                continue
            priority = u * u + v * v
            if error.size > 0:
                priority = -error[row, column]
                if np.isnan(priority):
                    priority = -np.float32(np.inf)
            i = int(y)
            j = int(x)
            if origin[i, j] < 0 or priority >= best[i, j]:
                best[i, j] = priority
                origin[i, j] = row * width + column
    for i in range(height):
        for j in range(width):
            landed[i, j] = origin[i, j] >= 0
            if landed[i, j]:
                row = origin[i, j] // width
                column = origin[i, j] - row * width
                for channel in range(count):  # by elements: to assign an array takes numba 3 s more to compile
                    carried[i, j, channel] = channels[row, column, channel]
            else:
                for channel in range(count):
                    carried[i, j, channel] = np.float32(0)


@compiled
def _pull(values, filled, coarse, coarse_filled):  # type: ignore[no-untyped-def]
    """The mean of the filled ones of each 2x2 cells; values (h, w, C), coarse (ceil(h / 2), ceil(w / 2), C)."""
    height, width, count = values.shape
    for i in range(coarse.shape[0]):
        for j in range(coarse.shape[1]):
            number = 0
            coarse[i, j] = 0
            for row in range(2 * i, min(2 * i + 2, height)):
                for column in range(2 * j, min(2 * j + 2, width)):
                    if filled[row, column]:
                        number += 1
                        for channel in range(count):
                            coarse[i, j, channel] += values[row, column, channel]
            coarse_filled[i, j] = number > 0
            if number > 1:
                share = np.float32(1) / np.float32(number)
                for channel in range(count):
                    coarse[i, j, channel] *= share


@compiled
def _push(coarse, values, filled):  # type: ignore[no-untyped-def]
    """Interpolate the coarse cells into the holes; a coarse cell lies in the middle of its four."""
    height, width, count = values.shape
    near = np.float32(0.75)
    far = np.float32(0.25)
    for row in range(height):
        i = row // 2
        other_i = min(max(i + 2 * (row % 2) - 1, 0), coarse.shape[0] - 1)
        for column in range(width):
            if filled[row, column]:
                continue
            j = column // 2
            other_j = min(max(j + 2 * (column % 2) - 1, 0), coarse.shape[1] - 1)
            for channel in range(count):
                here = near * coarse[i, j, channel] + far * coarse[i, other_j, channel]
                there = near * coarse[other_i, j, channel] + far * coarse[other_i, other_j, channel]
                values[row, column, channel] = near * here + far * there

"""What is drawn over a frame, as JSON: what moves, its boxes, the flow, and the camera's own motion and path."""

from __future__ import annotations

import base64
from typing import Any

import numpy as np

from pipeline.messages import Array, Flow, Frame, Header, Mask, Stabilized

KINDS = frozenset(("mask", "boxes", "flow", "colors", "camera", "path"))
OF_MASKS, OF_FLOW, OF_STABILIZED = {"mask", "boxes", "camera", "path"}, {"flow", "colors"}, {"path"}
"""The kinds for which each of these messages is read."""
_MASK_SIDE_PX = 320
"""Longest side of a mask: a browser draws it over a picture that is seldom larger than twice that. Chosen by hand."""
_MOST_RUNS = 4000
"""Of a mask; a finer one is noise, and made coarser. Chosen by hand."""
_ARROWS = 24
"""Along the longest side. Chosen by hand."""
_ARROW_UNITS = 4
"""Of a px, in which the flow is told."""
_COLORS = 96
"""Cells of color along the longest side. Chosen by hand: 10 kB a frame, and drawn smoothly."""


def of_mask(message: Mask, kinds: frozenset[str]) -> dict[str, Any]:
    """Overlays of the kinds ``mask``, ``boxes``, ``camera`` and, of it, ``path``.

    Keys: ``boxes``: [id, x, y, width, height in px, whether it moves, vx, vy in px/s]; ``camera``: row-major 3x3, px of
    the frame before to px of this one; ``mask``: see `runs`; ``uncertain``. Pixels are fetched for ``mask`` alone.

    Raises:
        StalePayloadError: they were recycled meanwhile.
    """
    told = _about(message.header, message.frame)
    if "boxes" in kinds:
        told["boxes"] = [[each.id, *each.box, int(each.moves), *(round(v, 1) for v in each.velocity_px_s)]
                         for each in message.objects]  # fmt: skip
        told["uncertain"] = message.uncertain
    if kinds & {"camera", "path"} and message.camera is not None:
        told["camera"] = [round(value, 6) for value in message.camera]
    if "mask" in kinds:
        told["mask"] = runs(message.mask)
    return told


def of_flow(message: Flow, kinds: frozenset[str]) -> dict[str, Any]:
    """Overlays of the kinds ``flow``, arrows, and ``colors``: ``size`` [columns, rows], and u and v of each in 1/4 px.

    Keys: ``flow``: ``uv`` as a list by rows; ``colors``: ``uv`` as int8 in base64, so that 32 px are the most. Both are
    null where there is no flow.
    """
    told = _about(message.header, message.frame)
    if message.grid_px is None:
        return told | dict.fromkeys(kinds & OF_FLOW)
    grid = np.asarray(message.grid_px)
    if "flow" in kinds:
        size, step, units = _in_units(grid, _ARROWS)
        told["flow"] = {"size": size, "step": step * 8, "uv": units.ravel().tolist()}
    if "colors" in kinds:
        size, step, units = _in_units(grid, _COLORS)
        small = np.clip(units, -127, 127).astype(np.int8)
        told["colors"] = {"size": size, "step": step * 8, "uv": base64.b64encode(small.tobytes()).decode()}
    return told


def of_stabilized(message: Stabilized) -> dict[str, Any]:
    """Overlay of the kind ``path``: ``correction``, row-major 3x3, px of the original to px of the corrected frame."""
    return _about(message.header, message.frame) | {"correction": [round(value, 6) for value in message.correction]}


def _in_units(grid: np.ndarray, most: int) -> tuple[list[int], int, np.ndarray]:
    """[columns, rows] of larger cells, `most` along the longest side, their size in cells, and (rows, columns, 2)."""
    step = max(1, -(-max(grid.shape[:2]) // most))
    rows, columns = grid.shape[0] // step, grid.shape[1] // step
    cells = grid[: rows * step, : columns * step].reshape(rows, step, columns, step, 2).mean((1, 3))
    return [columns, rows], step, np.rint(np.nan_to_num(cells) * _ARROW_UNITS).astype(int)


def runs(mask: Array) -> dict[str, Any]:
    """A mask as the runs of what moves: ``size`` [width, height] and ``runs``, start and length of each, by rows.

    Args:
        mask: uint8 (H, W). No more is fetched of it than is told.

    Raises:
        StalePayloadError: it was recycled meanwhile.
    """
    step = max(1, -(-max(mask.shape) // _MASK_SIDE_PX))
    small = mask[step // 2 :: step, step // 2 :: step] > 0
    while True:
        height, width = small.shape
        padded = np.zeros(height * (width + 1) + 1, bool)  # a column that ends each row's runs, and a start
        padded[1:].reshape(height, width + 1)[:, :width] = small
        edges = np.flatnonzero(padded[1:] != padded[:-1])
        if len(edges) <= 2 * _MOST_RUNS:
            break
        small = small[1::2, 1::2]
    begins, lengths = edges[::2], edges[1::2] - edges[::2]
    starts = begins - begins // (width + 1)
    return {"size": [width, height], "runs": np.stack([starts, lengths], 1).ravel().tolist()}


def _about(header: Header, frame: Frame) -> dict[str, Any]:
    size = {"width": frame.width, "height": frame.height}
    return {"type": "overlay", "index": frame.index, **size, "arrival_ms": round(header.arrival_ns / 1e6, 1)}

"""What is drawn over a frame, as JSON: what moves, its boxes, the flow, and the camera's own motion."""

from __future__ import annotations

from typing import Any

import numpy as np

from pipeline.messages import Flow, Header, Mask

KINDS = frozenset(("mask", "boxes", "flow", "camera"))
_MASK_SIDE_PX = 320
"""Longest side of a mask: a browser draws it over a picture that is seldom larger than twice that. Chosen by hand."""
_MOST_RUNS = 4000
"""Of a mask; a finer one is noise, and made coarser. Chosen by hand."""
_ARROWS = 24
"""Along the longest side. Chosen by hand."""
_ARROW_UNITS = 4
"""Of a px, in which the flow is told."""


def of_mask(message: Mask, kinds: frozenset[str]) -> dict[str, Any]:
    """Overlays of the kinds ``mask``, ``boxes`` and ``camera``.

    Keys: ``boxes``: [id, x, y, width, height in px, whether it moves, vx, vy in px/s]; ``camera``: row-major 3x3, px of
    the frame before to px of this one; ``mask``: see `runs`; ``uncertain``. Pixels are fetched for ``mask`` alone.

    Raises:
        StalePayloadError: they were recycled meanwhile.
    """
    told = _about(message.header, message.frame.index, message.frame.width, message.frame.height)
    if "boxes" in kinds:
        told["boxes"] = [[each.id, *each.box, int(each.moves), *(round(v, 1) for v in each.velocity_px_s)]
                         for each in message.objects]  # fmt: skip
        told["uncertain"] = message.uncertain
    if "camera" in kinds and message.camera is not None:
        told["camera"] = [round(value, 6) for value in message.camera]
    if "mask" in kinds:
        told["mask"] = runs(np.asarray(message.mask))
    return told


def of_flow(message: Flow) -> dict[str, Any]:
    """Overlay of the kind ``flow``: ``size`` [columns, rows] of arrows and ``uv``, their u and v in 1/4 px, by rows."""
    told = _about(message.header, message.frame.index, message.frame.width, message.frame.height)
    if message.grid_px is None:
        return told | {"flow": None}
    grid = np.asarray(message.grid_px)
    step = max(1, -(-max(grid.shape[:2]) // _ARROWS))
    rows, columns = grid.shape[0] // step, grid.shape[1] // step
    cells = grid[: rows * step, : columns * step].reshape(rows, step, columns, step, 2).mean((1, 3))
    units = np.rint(np.nan_to_num(cells) * _ARROW_UNITS).astype(int)
    return told | {"flow": {"size": [columns, rows], "step": step * 8, "uv": units.ravel().tolist()}}


def runs(mask: np.ndarray) -> dict[str, Any]:
    """A mask as the runs of what moves: ``size`` [width, height] and ``runs``, start and length of each, by rows.

    Args:
        mask: uint8 (H, W).
    """
    step = max(1, -(-max(mask.shape) // _MASK_SIDE_PX))
    while True:
        small = mask[step // 2 :: step, step // 2 :: step] > 0
        height, width = small.shape
        padded = np.zeros(height * (width + 1) + 1, bool)  # a column that ends each row's runs, and a start
        padded[1:].reshape(height, width + 1)[:, :width] = small
        edges = np.flatnonzero(padded[1:] != padded[:-1])
        if len(edges) <= 2 * _MOST_RUNS:
            break
        step *= 2
    begins, lengths = edges[::2], edges[1::2] - edges[::2]
    starts = begins - begins // (width + 1)
    return {"size": [width, height], "runs": np.stack([starts, lengths], 1).ravel().tolist()}


def _about(header: Header, index: int, width: int, height: int) -> dict[str, Any]:
    arrival_ms = round(header.arrival_ns / 1e6, 1)
    return {"type": "overlay", "index": index, "width": width, "height": height, "arrival_ms": arrival_ms}

"""Bounds of what a layer shows, so that a CPU need not look at the rest of the frame."""

import numpy as np

from raftline.synthetic.scene import Layer

Bounds = tuple[slice, slice]
"""Rows and columns of the frame."""
_MARGIN_PX = 2
"""For the edge, which is blended over a pixel, and for rounding."""


def bounds_of(layer: Layer, height: int, width: int) -> Bounds | None:
    """Bound `layer` in all three frames of height x width px; None where it is never visible."""
    if layer.shape_map is None:
        return slice(0, height), slice(0, width)
    corners = np.array([[-1, 1, -1, 1], [-1, -1, 1, 1]]) - layer.shape_map[:, 2:]
    square = np.linalg.solve(layer.shape_map[:, :2], corners)
    bend_px = 0.0 if layer.bend is None else float(np.abs(layer.bend.amplitudes).sum(axis=1).max())
    places = [square]
    for matrix in (layer.to_first, layer.to_third):
        seen = matrix[:, :2] @ square + matrix[:, 2:]
        # A bend shifts the plane before it is projected, which at most doubles lengths here.
        places += [seen[:2] / seen[2] - 2 * bend_px, seen[:2] / seen[2] + 2 * bend_px]
    points = np.concatenate(places, axis=1)
    left, top = np.floor(points.min(axis=1)).astype(int) - _MARGIN_PX
    right, bottom = np.ceil(points.max(axis=1)).astype(int) + _MARGIN_PX + 1
    rows = slice(int(np.clip(top, 0, height)), int(np.clip(bottom, 0, height)))
    columns = slice(int(np.clip(left, 0, width)), int(np.clip(right, 0, width)))
    return None if rows.start == rows.stop or columns.start == columns.stop else (rows, columns)

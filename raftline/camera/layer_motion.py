"""The flow of one frame divided into two layers: what follows the camera, and what moves past it as one.

Constants without another reason were tuned by hand, see `background_belief`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from raftline.camera.transforms import transform_points

_GATE_PX, _GATE_FRAME_PX, _GATE_SHARE = 1.0, 1280, 0.03
"""Flow off a motion by as much belongs to it by half; as the gate of `camera_motion`."""
_LEAST_APART = 1.5
"""Motion between two layers that tells them apart, in gates."""
_LEAST_SHARE = 0.08
"""Share of the trusted flow that makes a layer."""
_ROUNDS = 4
"""Of a mean that leaves out what is far off."""


@dataclass(frozen=True)
class Layers:
    """Two layers of a frame, on a grid of cells."""

    flow_px: np.ndarray
    """(h, w, 2) float32."""
    weight: np.ndarray
    """(h, w) float32 >= 0: trust in the flow."""
    follows: np.ndarray
    """(h, w) float32, 0-1: the cell's flow is the camera's."""
    label: np.ndarray
    """(h, w) float32: -1 where it is the camera's, 1 where it is the other layer's, 0 where it is neither's or not
    known."""
    apart_px: np.ndarray | None
    """(2,) px by which the other layer moves more than the camera's; None: there is no other."""
    rim: float
    """1 if the camera's layer alone holds the frame's rim, -1 if the other one does."""


def layers_of(
    flow_px: np.ndarray, weights: np.ndarray, x: np.ndarray, y: np.ndarray, matrix: np.ndarray, width: int
) -> Layers:
    """Divide the flow of a frame.

    Args:
        flow_px: (h, w, 2) float32 px.
        weights: (h, w) >= 0: trust in it.
        x: (w,) px: places of the columns.
        y: (h,) px: places of the rows.
        matrix: (3, 3) px to px: the camera's motion.
        width: Width of the frame, px.
    """
    points = np.stack(np.meshgrid(x, y), axis=-1).reshape(-1, 2)
    finite = np.isfinite(flow_px[..., 0]) & np.isfinite(flow_px[..., 1])
    flow_px = np.where(finite[..., None], flow_px, 0).astype(np.float32)
    weight = (weights * finite).astype(np.float32)
    rest = flow_px - (transform_points(matrix, points) - points).reshape(flow_px.shape).astype(np.float32)
    typical_px = float(np.median(np.hypot(*np.moveaxis(flow_px, 2, 0))))
    gate_px = max(_GATE_PX, width / _GATE_FRAME_PX) + _GATE_SHARE * typical_px
    follows = _near(rest, np.zeros(2), gate_px)
    apart_px = _other(rest, weight * (1 - follows), gate_px, float(weight.sum()))
    if apart_px is None:
        return Layers(flow_px, weight, follows, -follows * np.minimum(4 * weight, 1), None, 0.0)
    label = (_near(rest, apart_px, gate_px) - follows) * np.minimum(4 * weight, 1)
    rim = np.concatenate([label[0], label[-1], label[1:-1, 0], label[1:-1, -1]])
    return Layers(flow_px, weight, follows, label, apart_px, float(-rim.sum() / max(np.abs(rim).sum(), 1.0)))


def _near(rest: np.ndarray, motion: np.ndarray, gate_px: float) -> np.ndarray:
    """Return (h, w) float32, 0-1: how near flow `rest` (h, w, 2) is to a motion (2,) px."""
    squared = ((rest - motion.astype(np.float32)) ** 2).sum(axis=-1) / np.float32(gate_px**2)
    return (1 / (1 + squared**2)).astype(np.float32)


def _other(rest: np.ndarray, weight: np.ndarray, gate_px: float, total: float) -> np.ndarray | None:
    """Return the motion (2,) px that most of what does not follow the camera shares, if it is enough."""
    if weight.sum() <= _LEAST_SHARE * total:
        return None
    flat, heavy = rest.reshape(-1, 2), weight.ravel()
    motion = np.array([_median(flat[:, k], heavy) for k in (0, 1)])
    near = heavy
    for at in range(_ROUNDS, 0, -1):
        near = heavy * _near(flat, motion, gate_px * at)
        motion = (near[:, None] * flat).sum(axis=0) / max(float(near.sum()), 1e-6)
    enough = near.sum() > _LEAST_SHARE * total
    return motion if enough and np.hypot(*motion) > _LEAST_APART * gate_px else None


def _median(values: np.ndarray, weights: np.ndarray) -> float:
    order = np.argsort(values)
    cumulative = np.cumsum(weights[order])
    return float(values[order[np.searchsorted(cumulative, cumulative[-1] / 2)]])

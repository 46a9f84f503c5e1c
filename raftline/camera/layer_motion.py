"""The flow of one frame divided into two layers: what follows the camera, and what moves past it as one.

Constants without another reason were tuned by hand, see `background_belief`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from raftline.flow.median import median
from raftline.kernels.compiled import compiled

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
    finite = np.isfinite(flow_px[..., 0]) & np.isfinite(flow_px[..., 1])
    flow_px = np.where(finite[..., None], flow_px, 0).astype(np.float32)
    weight = (weights * finite).astype(np.float32)
    typical_px = median(np.hypot(flow_px[..., 0], flow_px[..., 1]))
    gate_px = max(_GATE_PX, width / _GATE_FRAME_PX) + _GATE_SHARE * typical_px
    rest, follows = np.empty(flow_px.shape, np.float32), np.empty(weight.shape, np.float32)
    _leave(flow_px, x, y, matrix, gate_px, rest, follows)
    apart_px = _other(rest, weight * (1 - follows), gate_px, float(weight.sum()))
    if apart_px is None:
        return Layers(flow_px, weight, follows, -follows * np.minimum(4 * weight, 1), None, 0.0)
    label = (_near(rest, apart_px, gate_px) - follows) * np.minimum(4 * weight, 1)
    rim = np.concatenate([label[0], label[-1], label[1:-1, 0], label[1:-1, -1]])
    return Layers(flow_px, weight, follows, label, apart_px, float(-rim.sum() / max(np.abs(rim).sum(), 1.0)))


@compiled
def _leave(flow_px: Any, x: Any, y: Any, matrix: Any, gate_px: Any, rest: Any, follows: Any) -> None:
    """Leave of flow (h, w, 2) what `matrix` does not explain, and tell how near to none, 0-1 (h, w), that is.

    `transforms.transform_xy`, spelt out.
    """
    for i in range(y.size):
        for j in range(x.size):
            away = matrix[2, 0] * x[j] + matrix[2, 1] * y[i] + matrix[2, 2]
            u = (matrix[0, 0] * x[j] + matrix[0, 1] * y[i] + matrix[0, 2]) / away - x[j]
            v = (matrix[1, 0] * x[j] + matrix[1, 1] * y[i] + matrix[1, 2]) / away - y[i]
            u, v = flow_px[i, j, 0] - np.float32(u), flow_px[i, j, 1] - np.float32(v)
            rest[i, j, 0], rest[i, j, 1] = u, v
            squared = (u * u + v * v) / (gate_px * gate_px)
            follows[i, j] = 1 / (1 + squared * squared)


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
    shared = _settle(flat, heavy, gate_px, _ROUNDS, motion)
    return motion if shared > _LEAST_SHARE * total and np.hypot(*motion) > _LEAST_APART * gate_px else None


@compiled
def _settle(rest: Any, weights: Any, gate_px: Any, rounds: Any, motion: Any) -> Any:
    """Let `motion` (2,) settle on a mean of `rest` (N, 2) that leaves out what is far off; return its weight."""
    total = 0.0
    for at in range(rounds, 0, -1):
        total, u, v = 0.0, 0.0, 0.0
        reach = (gate_px * at) * (gate_px * at)
        for n in range(weights.size):
            off_u, off_v = rest[n, 0] - motion[0], rest[n, 1] - motion[1]
            squared = (off_u * off_u + off_v * off_v) / reach
            near = weights[n] / (1 + squared * squared)
            total += near
            u += near * rest[n, 0]
            v += near * rest[n, 1]
        motion[0], motion[1] = u / max(total, 1e-6), v / max(total, 1e-6)
    return total


def _median(values: np.ndarray, weights: np.ndarray) -> float:
    order = np.argsort(values)
    cumulative = np.cumsum(weights[order])
    return float(values[order[np.searchsorted(cumulative, cumulative[-1] / 2)]])

"""The result of a session for a frame, and the session's status; the same for every estimator."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from raftline.kernels.cell import CELL_PX
from raftline.raft.padding import Padding

Start = Literal["cold", "warm", "duplicate", "scene_cut", "resumed", "registered"]


@dataclass(frozen=True)
class FlowResult:
    """Flow from the previous frame to this one; where it is resumed, from the frame before that."""

    grid_px: npt.NDArray[np.float32]
    """(H', W', 2) in px of the full resolution, x right, y down. Cell (row, column) covers the 8x8 px that begin at
    x = 8 * column - padding.left, y = 8 * row - padding.top of the frame."""
    flow_px: npt.NDArray[np.float32] | None
    """(H, W, 2) in px: where each pixel of the previous frame went. None where it was not asked for."""
    start: Start
    """cold: there was no last flow to start from. warm: there was. duplicate: this frame is the last one
    again; its flow is zero, and nothing was run. scene_cut: a cold start between frames that have little in common:
    do not trust the flow. resumed: a cold start, from the frame before the previous one: that had little in common with
    either, and the scene cut before it is withdrawn. registered: the frames move as one, which was measured on their
    pixels; the network did not run."""
    iterations: int
    """Updates that were run; 0 for a duplicate and for estimators that have none."""
    padding: Padding
    """Pixels that the frame was padded by before it was divided into cells."""
    confidence: npt.NDArray[np.float32] | None = None
    """(H', W') in [0, 1]: confidence of the grid's flow (`raftline.flow.confidence`); below 0.5 the cell is occluded.
    None where it was not asked for."""
    scaled_down: bool = False
    """Whether it was estimated at the size of `FlowOptions.one_motion_side_px`, or at half size (`network_size`)."""
    unexplained: float = 0.0
    """Share of the frame, 0 to 1, that flow estimated at half size does not explain (`network_size` adaptive)."""


@dataclass(frozen=True)
class SessionStatus:
    """What a session runs on, for logs, `doctor` and the status page."""

    estimator: str
    """"raft-small", "raft-large" or "dis-PRESET"; "raft" before its network is loaded."""
    device: str
    """"cpu", or "cuda:0 (NAME)"."""
    runtime: str
    """What runs the convolutions: "torch", "openvino" or "none"."""
    precision: str
    """Arithmetic, such as "float32", or that of each part."""
    lookup: str
    """Which implementation samples the correlation: "numba", "cupy", "reference", or "none"."""
    correlation: str
    """How correlation is held: "all-pairs" (memory quadratic in the pixels), "on-demand" (linear), "auto" before
    the first pair, or "none"."""
    update_loop: str
    """"recorded": the iterations are replayed from a CUDA graph. "eager": each operation as it comes. "none"."""
    cpu_threads: int
    fallbacks: tuple[str, ...]
    """Each fallback that had to be used, and why; empty where there was none."""


def zero_result(
    padding: Padding, height: int, width: int, full_resolution: bool, confidence: bool = False
) -> FlowResult:
    """Make the result for a duplicate of a height x width frame."""
    rows = (height + padding.top + padding.bottom) // CELL_PX
    columns = (width + padding.left + padding.right) // CELL_PX
    grid_px = np.zeros((rows, columns, 2), np.float32)
    flow_px = np.zeros((height, width, 2), np.float32) if full_resolution else None
    trusted = np.ones((rows, columns), np.float32) if confidence else None
    return FlowResult(grid_px, flow_px, "duplicate", 0, padding, trusted)

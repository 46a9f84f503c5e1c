"""Flow of a stream, frame after frame: each is encoded once and matched with the one before it."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from stages.kernels.forward_splat import forward_splat
from stages.kernels.lookup import lookup_choice
from stages.raft.change import ChangeDetector
from stages.raft.correlation import choose_correlation
from stages.raft.model import EncodedFrame, Raft, RefinedFlow
from stages.raft.padding import Padding
from stages.raft.preprocess import check_rgb, to_network_input
from stages.raft.result import CELL_PX, FlowResult, SessionStatus, Start, zero_result


@dataclass(frozen=True)
class SessionOptions:
    """How a stream is estimated.

    Raises:
        ValueError: a value out of its range, naming it.
    """

    iterations: int = 12
    """Updates per frame, at most."""
    warm_start: bool = False
    """Start from the last flow carried forward, instead of zero. Pays for smooth, large motion at few iterations;
    weights that were not trained for it drift a little with every frame (the default ones do)."""
    early_stop_px: float | None = None
    """Stop when the mean update is shorter than this; None runs all iterations."""
    duplicate_threshold: float | None = 0.5
    """Grey levels: a frame is the last one again if no block of 16x16 px differs by more on average. None: never."""
    scene_cut_threshold: float | None = 0.4
    """Share of the picture, 0 to 1, that is not found in the last frame, above which it is a cut. None: never."""

    def __post_init__(self) -> None:
        if self.iterations < 1:
            raise ValueError(f"iterations: expected at least 1, found {self.iterations}")
        if self.early_stop_px is not None and self.early_stop_px < 0:
            raise ValueError(f"early_stop_px: expected 0 px or more, found {self.early_stop_px}")
        check_change_thresholds(self.duplicate_threshold, self.scene_cut_threshold)


def check_change_thresholds(duplicate_threshold: float | None, scene_cut_threshold: float | None) -> None:
    """Raises ValueError for a threshold out of its range, naming it."""
    if duplicate_threshold is not None and duplicate_threshold < 0:
        raise ValueError(f"duplicate_threshold: expected 0 grey levels or more, found {duplicate_threshold}")
    if scene_cut_threshold is not None and not 0 <= scene_cut_threshold <= 1:
        raise ValueError(f"scene_cut_threshold: expected 0 to 1, found {scene_cut_threshold}")


class FlowSession:
    """RAFT over one stream. Holds the last frame's features and the last flow; the model may be shared.

    With `warm_start` and `early_stop_px` off, the flow of each pair is that of the model called on the pair.

    Args:
        model: in eval mode, on the device to run on (`stages.raft.weights.load_raft`).
        options: see SessionOptions.
    """

    def __init__(self, model: Raft, options: SessionOptions | None = None) -> None:
        self._model = model
        self._options = options or SessionOptions()
        self._device = next(model.parameters()).device
        self._changes = ChangeDetector(self._options.duplicate_threshold, self._options.scene_cut_threshold)
        self._last_frame: EncodedFrame | None = None
        self._last_flow: Tensor | None = None

    @torch.inference_mode()
    def __call__(self, frame_rgb: npt.NDArray[np.uint8], full_resolution: bool = True) -> FlowResult | None:
        """Flow from the previous frame to this one, or None for the first frame of a run.

        A run begins with the session, after `reset()`, and with a frame of another size than the last.

        Args:
            frame_rgb: (H, W, 3) uint8, any size from 1x1. It is not kept.
            full_resolution: whether `flow_px` is wanted; the grid alone is cheaper.

        Raises:
            ValueError: another dtype or shape.
        """
        check_rgb(frame_rgb)
        height, width = frame_rgb.shape[:2]
        padding = Padding.for_size(height, width)
        change = self._changes.judge(frame_rgb)
        if change == "duplicate" and self._last_frame is not None:
            return zero_result(padding, height, width, full_resolution)
        encoded = self._model.encode(to_network_input(frame_rgb, padding, self._device))
        last_frame, self._last_frame = self._last_frame, encoded
        if change == "first" or last_frame is None:
            self._last_flow = None
            return None
        start: Start = "cold"
        flow_init = None
        if change == "scene_cut":
            start = "scene_cut"
        elif self._options.warm_start and self._last_flow is not None:
            start, flow_init = "warm", forward_splat(self._last_flow).flow
        refined = self._model.refine(
            last_frame, encoded, self._options.iterations, flow_init, self._options.early_stop_px
        )
        self._last_flow = None if change == "scene_cut" else refined.flow
        return self._result(refined, start, padding, full_resolution)

    def reset(self) -> None:
        """End the run: after a gap the next frame is a first one."""
        self._changes.reset()
        self._last_frame = self._last_flow = None

    @property
    def status(self) -> SessionStatus:
        """What this session runs on."""
        choice = lookup_choice(self._device)
        return SessionStatus(
            estimator=f"raft-{self._model.architecture}",
            device=_device_name(self._device),
            precision="float32",
            lookup=choice.name,
            correlation=choose_correlation(self._device, 1, 16, 16, torch.float32),
            cpu_threads=torch.get_num_threads(),
            fallbacks=() if choice.fallback is None else (choice.fallback,),
        )

    def _result(self, refined: RefinedFlow, start: Start, padding: Padding, full_resolution: bool) -> FlowResult:
        grid_px = _to_array(CELL_PX * refined.flow)
        flow_px = _to_array(padding.unpad(self._model.upsample(refined))) if full_resolution else None
        return FlowResult(grid_px, flow_px, start, refined.iterations, padding)


def _to_array(flow: Tensor) -> npt.NDArray[np.float32]:
    return flow[0].permute(1, 2, 0).contiguous().cpu().numpy()


def _device_name(device: torch.device) -> str:
    return f"{device} ({torch.cuda.get_device_name(device)})" if device.type == "cuda" else str(device)

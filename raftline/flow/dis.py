"""OpenCV's Dense Inverse Search (Kroeger et al., ECCV 2016): a second estimator, for many streams on few cores."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from raftline.flow.changed_part import Box
from raftline.flow.one_motion import moves_as_one
from raftline.flow.options import DisPreset, FlowOptions
from raftline.flow.result import FlowResult, SessionStatus, Start, zero_result
from raftline.flow.scene_change import ChangeDetector
from raftline.flow.store import FlowStore, StoredFlow
from raftline.kernels.cell import CELL_PX
from raftline.raft.padding import Padding
from raftline.raft.rgb import check_rgb, luma_of

# OpenCV takes None for "allocate the result", which its type stubs do not say.
_NEW_ARRAY: Any = None


class _Setting(NamedTuple):
    preset: int
    """OpenCV's."""
    halvings: int
    """How often it halves the frames."""
    quick: bool = False
    """Three variational refinements instead of five, and no flow taken over from neighbouring patches."""


_PRESETS: dict[DisPreset, tuple[_Setting, ...]] = {
    "ultrafast": (_Setting(cv2.DISOPTICAL_FLOW_PRESET_ULTRAFAST, 2),),
    "fast": (_Setting(cv2.DISOPTICAL_FLOW_PRESET_FAST, 2),),
    "medium": (_Setting(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM, 1),),
    "adaptive": (
        _Setting(cv2.DISOPTICAL_FLOW_PRESET_FAST, 2, quick=True),
        _Setting(cv2.DISOPTICAL_FLOW_PRESET_FAST, 1),
    ),
}
"""OpenCV's presets, halving as OpenCV does but for the last, in the order in which they are tried: the next one where
parts of the frame move on their own. There the medium preset would take 1.4 times the time of the fast one at its size,
for flow that is 0.03 px from it in most cells and leaves as much shake."""
_QUICK_REFINEMENTS = 3
"""Three quarters of the preset's time, for flow as near to that of full size on two handheld clips: 0.2 px in most
cells. At twice the size, where parts of the frame move on their own, it is not enough: two layers are left with three
times the shake."""


class DisSession:
    """DIS over one stream, with the interface of `raftline.flow.session.FlowSession`. Every start is cold.

    Args:
        options: their dis_preset, duplicates, scene_cut and threads are read.
        store: where flow between two frames that follow each other is looked for before it is estimated, and kept.
    """

    def __init__(self, options: FlowOptions | None = None, store: FlowStore | None = None) -> None:
        self._store = store
        self._options = options or FlowOptions(estimator="dis")
        if self._options.threads is not None:
            cv2.setNumThreads(self._options.threads)
        self._dis = _Dis(self._options.dis_preset)
        self._changes = ChangeDetector(self._options.duplicates, self._options.scene_cut)
        self._last_luma: npt.NDArray[np.uint8] | None = None
        self._luma_before_cut: npt.NDArray[np.uint8] | None = None

    def __call__(
        self,
        frame_rgb: npt.NDArray[np.uint8],
        *,
        full_resolution: bool = True,
        confidence: bool = False,
        changed: Box | None = None,
    ) -> FlowResult | None:
        """Flow from the previous frame to this one, or None for the first frame of a run; as FlowSession's.

        It is always that of the whole frame, wherever that changes.
        """
        del changed
        check_rgb(frame_rgb)
        return self.of_luma(luma_of(frame_rgb), full_resolution=full_resolution, confidence=confidence)

    def of_luma(
        self, luma: npt.NDArray[np.uint8], *, full_resolution: bool = True, confidence: bool = False
    ) -> FlowResult | None:
        """The same of a frame's luma, (H, W) uint8 from 0, black, to 255, white: DIS looks at nothing else.

        It is kept until the next call.
        """
        height, width = luma.shape
        padding = Padding.for_size(height, width)
        change = self._changes.judge(luma)
        if change == "duplicate" and self._last_luma is not None:
            return zero_result(padding, height, width, full_resolution, confidence)
        luma = _padded(luma, padding)
        last_luma, self._last_luma = self._last_luma, luma
        before_cut, self._luma_before_cut = self._luma_before_cut, last_luma if change == "scene_cut" else None
        if change == "first" or last_luma is None:
            return None
        if change == "resumed" and before_cut is not None:
            last_luma = before_cut
        stored = None if self._store is None or full_resolution else self._store.get(last_luma, luma, confidence)
        if stored is not None:
            start: Start = "cold" if change == "continuous" else change
            return FlowResult(stored.grid_px, None, start, 0, padding, stored.confidence)
        flow = self._dis(last_luma, luma)
        grid_px = _grid(flow, luma.shape)
        trusted = None
        if confidence:
            back_px = _grid(self._dis(luma, last_luma), luma.shape)
            trusted = _confidence(grid_px, back_px)
        flow_px = np.ascontiguousarray(_of_frame(flow, luma.shape, padding)) if full_resolution else None
        if self._store is not None and not full_resolution:
            self._store.put(last_luma, luma, StoredFlow(grid_px, "cold", 0, trusted))
        start = "cold" if change == "continuous" else change
        return FlowResult(grid_px, flow_px, start, 0, padding, trusted)

    def reset(self) -> None:
        """End the run: after a gap the next frame is a first one."""
        self._changes.reset()
        self._last_luma = self._luma_before_cut = None

    def full_state(self) -> dict[str, Any]:
        """All that the next frame depends on: arrays, which are no copies."""
        lumas = {"last": self._last_luma, "before_cut": self._luma_before_cut}
        return {**lumas, "changes": self._changes.full_state()}

    def restore_full(self, state: Mapping[str, Any]) -> None:
        """Go on exactly where `full_state` was taken."""
        self._last_luma, self._luma_before_cut = state["last"], state["before_cut"]
        self._changes.restore_full(state["changes"])

    @property
    def status(self) -> SessionStatus:
        """What this session runs on."""
        return SessionStatus(
            estimator=f"dis-{self._options.dis_preset}",
            device="cpu",
            runtime="none",
            precision="float32",
            lookup="none",
            correlation="none",
            update_loop="none",
            cpu_threads=cv2.getNumThreads(),
            fallbacks=(),
        )


def estimate_dis_px(
    image1: npt.NDArray[np.uint8], image2: npt.NDArray[np.uint8], preset: DisPreset = "medium"
) -> npt.NDArray[np.float32]:
    """DIS on one pair of (H, W, 3) uint8 RGB images -> (H, W, 2) px."""
    padding = Padding.for_size(*image1.shape[:2])
    earlier, later = (_padded(luma_of(image), padding) for image in (image1, image2))
    return _of_frame(_Dis(preset)(earlier, later), earlier.shape, padding)


class _Dis:
    """(H, W) uint8 luma of two frames, with whole cells -> flow from the earlier to the later at a part of their size.

    Flow is float32 (h, w, 2) in px of (H, W).
    """

    def __init__(self, preset: DisPreset) -> None:
        self._presets = [_AtFinestScale(each) for each in _PRESETS[preset]]

    def __call__(self, earlier: npt.NDArray[np.uint8], later: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        first, *better = self._presets
        flow = first(earlier, later)
        for each in better:
            if moves_as_one(flow, earlier.shape[1] // flow.shape[1], first.scaled(earlier)):
                break
            flow = each(earlier, later)
        return flow


class _AtFinestScale:
    """One of OpenCV's presets, given frames that are scaled down to the finest scale it looks at.

    OpenCV begins by that, and ends by enlarging what it found, which takes a fourth of its time and tells nothing new.
    """

    def __init__(self, setting: _Setting) -> None:
        self._dis = cv2.DISOpticalFlow.create(setting.preset)
        self._factor = 2**setting.halvings
        self._scaled: list[tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]] = []
        self._dis.setFinestScale(0)
        if setting.quick:
            self._dis.setVariationalRefinementIterations(_QUICK_REFINEMENTS)
            self._dis.setUseSpatialPropagation(False)

    def __call__(self, earlier: npt.NDArray[np.uint8], later: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        small, small_later = self.scaled(earlier), self.scaled(later)
        self._scaled = [(earlier, small), (later, small_later)]
        flow = np.asarray(self._dis.calc(small, small_later, _NEW_ARRAY), np.float32) * np.float32(self._factor)
        return np.nan_to_num(flow, copy=False, nan=0.0, posinf=0.0, neginf=0.0)

    def scaled(self, luma: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
        """A frame at the finest scale; one of the last two frames is scaled once."""
        for whole, small in self._scaled:
            if whole is luma:
                return small
        size = (luma.shape[1] // self._factor, luma.shape[0] // self._factor)
        return cv2.resize(luma, size, interpolation=cv2.INTER_AREA).astype(np.uint8, copy=False)


def _padded(luma: npt.NDArray[np.uint8], padding: Padding) -> npt.NDArray[np.uint8]:
    sides = (padding.top, padding.bottom, padding.left, padding.right)
    return cv2.copyMakeBorder(luma, *sides, cv2.BORDER_REPLICATE).astype(np.uint8, copy=False)


def _of_frame(flow: npt.NDArray[np.float32], padded: tuple[int, ...], padding: Padding) -> npt.NDArray[np.float32]:
    """Enlarge flow to the size (H, W) of the padded frames and cut the padding off."""
    height, width = padded
    flow = np.asarray(cv2.resize(flow, (width, height), interpolation=cv2.INTER_LINEAR), np.float32)
    return flow[padding.top : height - padding.bottom, padding.left : width - padding.right]


def _grid(flow: npt.NDArray[np.float32], padded: tuple[int, ...]) -> npt.NDArray[np.float32]:
    size = (padded[1] // CELL_PX, padded[0] // CELL_PX)
    return np.asarray(cv2.resize(flow, size, interpolation=cv2.INTER_AREA), np.float32)


def _confidence(grid_px: npt.NDArray[np.float32], back_px: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    import torch  # here: the rest of this estimator needs none, and loading it takes longer than 50 frames

    from raftline.flow.confidence import round_trip_confidence

    forward, back = (torch.from_numpy(each).permute(2, 0, 1)[None] for each in (grid_px, back_px))
    return round_trip_confidence(forward, back)[0].numpy()

"""What can be set for the flow of a stream."""

from dataclasses import dataclass
from typing import Literal, get_args

from raftline.raft.correlation import CorrelationChoice

WarmStart = Literal["never", "chosen", "always"]


@dataclass(frozen=True)
class SessionOptions:
    """How a stream is estimated.

    Raises:
        ValueError: a value out of its range, naming it.
    """

    iterations: int = 12
    """Updates per frame, at most."""
    warm_start: WarmStart = "chosen"
    """Where the iterations begin. never: at zero. always: at the last flow carried forward. chosen: each cell at zero,
    at the camera's motion or at the last flow carried forward, whichever the two frames fit best
    (`raftline.flow.warm_start`)."""
    early_stop_px: float | None = None
    """Stop when the mean update is shorter than this; None runs all iterations."""
    correlation: CorrelationChoice = "auto"
    """How it is held: auto (by device and free memory), all-pairs or on-demand."""
    duplicate_threshold: float | None = 0.5
    """Grey levels: a frame is the last one again if no block of 16x16 px differs by more on average. None: never."""
    scene_cut_threshold: float | None = 0.4
    """Share of the picture, 0 to 1, that is not found in the last frame, above which it is a cut. None: never."""
    cold_iterations: int = 12
    """Updates where there is no last flow to go on from, if that are more: the first pair of a stream or after a cut.
    With `warm_start` never all pairs are alike, and take `iterations`."""
    region_matching: bool = True
    """After the first update look for regions where their flow does not lead, up to 64 px away: small things that move
    far are not left behind (`raftline.flow.region_matching`)."""
    variational_refinement: bool = True
    """Bring the flow nearer to the pictures, pixel by pixel (`raftline.flow.variational`); the grid is then its mean
    over each cell. Without it the grid is the network's, and full resolution costs nothing where it is not asked
    for."""

    def __post_init__(self) -> None:
        if self.iterations < 1:
            raise ValueError(f"iterations: expected at least 1, found {self.iterations}")
        if self.cold_iterations < 1:
            raise ValueError(f"cold_iterations: expected at least 1, found {self.cold_iterations}")
        if self.early_stop_px is not None and self.early_stop_px < 0:
            raise ValueError(f"early_stop_px: expected 0 px or more, found {self.early_stop_px}")
        if self.warm_start not in get_args(WarmStart):
            raise ValueError(f"warm_start: expected never, chosen or always, found {self.warm_start!r}")
        if self.correlation not in get_args(CorrelationChoice):
            raise ValueError(f"correlation: expected auto, all-pairs or on-demand, found {self.correlation!r}")
        check_change_thresholds(self.duplicate_threshold, self.scene_cut_threshold)


def check_change_thresholds(duplicate_threshold: float | None, scene_cut_threshold: float | None) -> None:
    """Raises ValueError for a threshold out of its range, naming it."""
    if duplicate_threshold is not None and duplicate_threshold < 0:
        raise ValueError(f"duplicate_threshold: expected 0 grey levels or more, found {duplicate_threshold}")
    if scene_cut_threshold is not None and not 0 <= scene_cut_threshold <= 1:
        raise ValueError(f"scene_cut_threshold: expected 0 to 1, found {scene_cut_threshold}")

"""Errors of flow: the measures of KITTI, Sintel and Middlebury, for one pair and for many."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Flow = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]
# Sintel's tables: by the length of the true flow, px.
SPEEDS_PX = ((0.0, 10.0), (10.0, 40.0), (40.0, np.inf))


@dataclass(frozen=True)
class PairScore:
    """Errors of one pair."""

    dataset: str
    scene: str
    pair: str
    epe_px: float
    """Mean distance between estimated and true flow, over the pixels whose flow is known."""
    p99_px: float
    """99th percentile of that distance."""
    pixels: int
    wrong: tuple[int, int, int]
    """Pixels wrong by more than 1, 3 and 5 px."""
    outliers: int
    """Pixels wrong by more than 3 px and more than 5 % of the true flow's length (KITTI's Fl)."""
    speeds: tuple[tuple[float, int], ...]
    """Sum of the distances and number of pixels, by the length of the true flow: s0-10, s10-40, s40+."""
    matched: tuple[float, int]
    """The same for pixels that the later frame shows too; (0, 0) where unknown."""
    unmatched: tuple[float, int]
    """The same for pixels that are hidden or outside in the later frame."""


@dataclass(frozen=True)
class SceneScore:
    """A row of the table. A mean over no pixels is None."""

    dataset: str
    scene: str
    pairs: int
    epe_px: float
    fl_all_percent: float
    iterations: int
    over_1px_percent: float
    over_3px_percent: float
    over_5px_percent: float
    s0_10_px: float | None
    s10_40_px: float | None
    s40_px: float | None
    matched_px: float | None
    unmatched_px: float | None
    p99_px: float
    """Mean over the pairs."""


def score_pair(
    flow_px: Flow, truth_px: Flow, dataset: str, scene: str, pair: str, hidden: Mask | None = None
) -> PairScore:
    """Compare flow with ground truth.

    Args:
        flow_px: (H, W, 2) px.
        truth_px: (H, W, 2) px, NaN where unknown.
        dataset: named in the score, as are `scene` and `pair`.
        hidden: (H, W) bool: not visible in the later frame; None where unknown.

    Raises:
        ValueError: different sizes, or no pixel with known flow.
    """
    if flow_px.shape != truth_px.shape:
        raise ValueError(
            f"{dataset} {scene} {pair}: the images are {flow_px.shape[1]}x{flow_px.shape[0]}, "
            f"the flow {truth_px.shape[1]}x{truth_px.shape[0]}"
        )
    known = np.isfinite(truth_px).all(axis=2)
    if not known.any():
        raise ValueError(f"{dataset} {scene} {pair}: no pixel of the true flow is known")
    truth = truth_px[known].astype(np.float64)
    errors = np.linalg.norm(flow_px[known] - truth, axis=1)
    lengths = np.linalg.norm(truth, axis=1)
    unseen = None if hidden is None else hidden[known]
    nothing = (0.0, 0)
    return PairScore(
        dataset,
        scene,
        pair,
        epe_px=float(errors.mean()),
        p99_px=float(np.quantile(errors, 0.99)),
        pixels=errors.size,
        wrong=(int((errors > 1).sum()), int((errors > 3).sum()), int((errors > 5).sum())),
        outliers=int(((errors > 3) & (errors > 0.05 * lengths)).sum()),
        speeds=tuple(_sum(errors, (lengths >= low) & (lengths < high)) for low, high in SPEEDS_PX),
        matched=nothing if unseen is None else _sum(errors, ~unseen),
        unmatched=nothing if unseen is None else _sum(errors, unseen),
    )


def summarise(scores: Sequence[PairScore], iterations: int, average_over_images: bool) -> SceneScore:
    """Combine the pairs of one scene: over all pixels, or with the end-point error over images, as KITTI does."""
    pixels = [score.pixels for score in scores]
    total = sum(pixels)
    epe_px = np.average([score.epe_px for score in scores], weights=None if average_over_images else pixels)

    def percent(count: int) -> float:
        return 100 * count / total

    over = [percent(sum(score.wrong[number] for score in scores)) for number in range(3)]
    slow, medium, fast = (_mean([score.speeds[number] for score in scores]) for number in range(3))
    return SceneScore(
        scores[0].dataset,
        scores[0].scene,
        len(scores),
        float(epe_px),
        percent(sum(score.outliers for score in scores)),
        iterations,
        *over,
        s0_10_px=slow,
        s10_40_px=medium,
        s40_px=fast,
        matched_px=_mean([score.matched for score in scores]),
        unmatched_px=_mean([score.unmatched for score in scores]),
        p99_px=float(np.mean([score.p99_px for score in scores])),
    )


def _sum(errors: npt.NDArray[np.float64], chosen: Mask) -> tuple[float, int]:
    return float(errors[chosen].sum()), int(chosen.sum())


def _mean(sums: Sequence[tuple[float, int]]) -> float | None:
    pixels = sum(count for _, count in sums)
    return sum(total for total, _ in sums) / pixels if pixels else None

"""End-point error and outliers over flow data sets, by the protocol of the RAFT paper."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from stages.kernels.forward_splat import forward_splat
from stages.raft.dis import estimate_dis_px
from stages.raft.model import Raft
from stages.raft.padding import Padding, PaddingMode
from stages.raft.preprocess import to_network_input
from stages.raft.weights import load_raft
from training.datasets import FlowDataset, FlowPair, FlowScene, open_dataset, read_image, read_truth

DIS = "dis"


@dataclass(frozen=True)
class PairScore:
    """One pair against its exact flow."""

    dataset: str
    scene: str
    pair: str
    epe_px: float
    """Mean distance between estimated and true flow, over the pixels whose flow is known."""
    outliers: int
    """Pixels wrong by more than 3 px and more than 5 % of the true flow's length (KITTI's Fl)."""
    pixels: int


@dataclass(frozen=True)
class SceneScore:
    """A row of the table."""

    dataset: str
    scene: str
    pairs: int
    epe_px: float
    fl_all_percent: float
    iterations: int


@dataclass(frozen=True)
class Evaluation:
    """What `evaluate` found."""

    weights: str
    iterations: int | None
    """As asked for; None where each data set had its own (in its rows)."""
    warm_start: bool
    results: tuple[SceneScore, ...]
    pair_scores: tuple[PairScore, ...]

    def to_json(self) -> dict[str, Any]:
        """Plain values: weights, iterations, warm_start, results."""
        return {
            "weights": self.weights,
            "iterations": self.iterations,
            "warm_start": self.warm_start,
            "results": [asdict(row) for row in self.results],
        }


Progress = Callable[[PairScore, int, int], None]
PairFlow = Callable[[npt.NDArray[np.uint8], npt.NDArray[np.uint8], bool], npt.NDArray[np.float32]]


def evaluate(
    weights: str | Path,
    datasets: Sequence[str],
    iterations: int | None = None,
    warm_start: bool = False,
    *,
    device: str = "cpu",
    progress: Progress | None = None,
) -> Evaluation:
    """Score weights on data sets, given as `name:folder`.

    Args:
        weights: as `stages.raft.weights.load_raft` takes them, or "dis" for OpenCV's DIS (medium).
        iterations: None takes each data set's own: 20, KITTI 24.
        warm_start: within a scene, start each pair from the last flow carried forward.
        progress: called after each pair with its score, how many are done, and how many there are.

    Raises:
        DatasetError, WeightsError, FlowFileError: all are ValueErrors whose message names the file.
        ValueError: iterations below 1.
    """
    if iterations is not None and iterations < 1:
        raise ValueError(f"iterations: expected at least 1, found {iterations}")
    opened = [open_dataset(argument) for argument in datasets]
    model = None if str(weights) == DIS else load_raft(weights, device)
    total = sum(len(pair.truths) for dataset in opened for scene in dataset.scenes for pair in scene.pairs)
    scores: list[PairScore] = []
    rows: list[SceneScore] = []
    for dataset in opened:
        count = iterations if iterations is not None else dataset.iterations
        for scene in dataset.scenes:
            scene_scores = []
            for score in _score_scene(model, dataset, scene, count, warm_start):
                scene_scores.append(score)
                scores.append(score)
                if progress is not None:
                    progress(score, len(scores), total)
            rows.extend(_summarise(dataset, scene_scores, count))
    return Evaluation(str(weights), iterations, warm_start, tuple(rows), tuple(scores))


def _score_scene(
    model: Raft | None, dataset: FlowDataset, scene: FlowScene, iterations: int, warm_start: bool
) -> Iterator[PairScore]:
    estimate: PairFlow
    if model is None:
        estimate = _estimate_dis
    else:
        estimate = _RaftEstimate(model, iterations, dataset.padding)
    for pair in scene.pairs:
        flow_px = estimate(read_image(pair.image1), read_image(pair.image2), warm_start and scene.consecutive)
        for kind, path in pair.truths.items():
            name = kind if dataset.name == "kitti" else scene.name
            yield _score(flow_px, read_truth(path), dataset.name, name, pair)


def _estimate_dis(image1: npt.NDArray[np.uint8], image2: npt.NDArray[np.uint8], carry: bool) -> npt.NDArray[np.float32]:
    return estimate_dis_px(image1, image2)


class _RaftEstimate:
    """Pairwise flow in float32; `carry` starts from the last call's flow, carried forward."""

    def __init__(self, model: Raft, iterations: int, padding: PaddingMode) -> None:
        self._model = model
        self._iterations = iterations
        self._padding_mode: PaddingMode = padding
        self._last_flow: Tensor | None = None

    @torch.inference_mode()
    def __call__(
        self, image1: npt.NDArray[np.uint8], image2: npt.NDArray[np.uint8], carry: bool
    ) -> npt.NDArray[np.float32]:
        padding = Padding.for_size(*image1.shape[:2], mode=self._padding_mode)
        device = next(self._model.parameters()).device
        earlier, later = (self._model.encode(to_network_input(image, padding, device)) for image in (image1, image2))
        start = None if not carry or self._last_flow is None else forward_splat(self._last_flow).flow
        refined = self._model.refine(earlier, later, self._iterations, start)
        self._last_flow = refined.flow
        return padding.unpad(self._model.upsample(refined))[0].permute(1, 2, 0).cpu().numpy()


def _score(
    flow_px: npt.NDArray[np.float32], truth_px: npt.NDArray[np.float32], dataset: str, scene: str, pair: FlowPair
) -> PairScore:
    if flow_px.shape != truth_px.shape:
        raise ValueError(
            f"{dataset} {scene} {pair.name}: the pictures are {flow_px.shape[1]}x{flow_px.shape[0]}, "
            f"the flow {truth_px.shape[1]}x{truth_px.shape[0]}"
        )
    known = np.isfinite(truth_px).all(axis=2)
    if not known.any():
        raise ValueError(f"{dataset} {scene} {pair.name}: no pixel of the true flow is known")
    truth = truth_px[known].astype(np.float64)
    errors = np.linalg.norm(flow_px[known] - truth, axis=1)
    outliers = (errors > 3) & (errors > 0.05 * np.linalg.norm(truth, axis=1))
    return PairScore(dataset, scene, pair.name, float(errors.mean()), int(outliers.sum()), int(known.sum()))


def _summarise(dataset: FlowDataset, scores: Sequence[PairScore], iterations: int) -> Iterator[SceneScore]:
    for scene in dict.fromkeys(score.scene for score in scores):
        of_scene = [score for score in scores if score.scene == scene]
        pixels = [score.pixels for score in of_scene]
        weights = None if dataset.average_over_images else pixels
        epe_px = float(np.average([score.epe_px for score in of_scene], weights=weights))
        fl_all_percent = 100 * sum(score.outliers for score in of_scene) / sum(pixels)
        yield SceneScore(dataset.name, scene, len(of_scene), epe_px, fl_all_percent, iterations)

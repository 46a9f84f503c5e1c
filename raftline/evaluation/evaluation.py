"""End-point error and outliers over flow data sets, by the protocol of the RAFT paper."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from raftline.evaluation.evaluation_sets import Codec, EvaluationSet, Image, Run, open_evaluation_set
from raftline.evaluation.scores import PairScore, SceneScore, score_pair, summarise
from raftline.flow.dis import estimate_dis_px
from raftline.flow.update_loop import UpdateLoop, UpdateOptions
from raftline.flow.variational import luma_of, refine_in_pictures
from raftline.raft.model import EncodedFrame
from raftline.raft.padding import Padding, PaddingMode
from raftline.raft.preprocess import to_network_input
from raftline.raft.weights.loading import load_raft

DIS = "dis"
Flow = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Evaluation:
    """What `evaluate` found."""

    weights: str
    iterations: int | None
    """As asked for; None where each data set had its own (in its rows)."""
    warm_start: bool
    chosen_start: bool
    """The warm start was the best of zero, the camera's motion and the carried flow (`raftline.flow.warm_start`)."""
    cold_iterations: int | None
    """At least so many where a scene begins, with a warm start; None: as many as elsewhere."""
    region_matching: bool
    """Regions were looked for again after the first iteration (`raftline.flow.region_matching`)."""
    variational_refinement: bool
    """The flow was refined variationally (`raftline.flow.variational`)."""
    results: tuple[SceneScore, ...]
    pair_scores: tuple[PairScore, ...]

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "weights": self.weights,
            "iterations": self.iterations,
            "warm_start": self.warm_start,
            "chosen_start": self.chosen_start,
            "cold_iterations": self.cold_iterations,
            "region_matching": self.region_matching,
            "variational_refinement": self.variational_refinement,
            "results": [asdict(row) for row in self.results],
        }


Progress = Callable[[PairScore, int, int], None]


def evaluate(
    weights: str | Path,
    datasets: Sequence[str],
    iterations: int | None = None,
    warm_start: bool = False,
    *,
    chosen_start: bool = False,
    cold_iterations: int | None = None,
    region_matching: bool = False,
    variational_refinement: bool = False,
    device: str = "cpu",
    codec: Codec | None = None,
    progress: Progress | None = None,
) -> Evaluation:
    """Score weights on data sets, given as `open_evaluation_set` takes them.

    Args:
        weights: as `raftline.raft.weights.loading.load_raft` takes them, or "dis" for OpenCV's DIS (medium).
        iterations: None takes each data set's own: 20, KITTI 24.
        warm_start: within a scene, start each pair from the last flow carried forward.
        chosen_start: with `warm_start`, from the best of that, zero and the camera's motion, as sessions do.
        cold_iterations: with `warm_start`, where a scene begins and there is no last flow, if that are more; as
            sessions do. None: as everywhere.
        region_matching: look again for regions after the first iteration, as sessions do.
        variational_refinement: refine the flow variationally, as sessions do.
        codec: sends frames through a real encoder and back, for `still` sets.
        progress: called after each pair with its score, how many are done, and how many there are.

    Raises:
        DatasetError, WeightsError, FlowFileError: all are ValueErrors whose message names the file.
        ValueError: iterations or cold_iterations below 1.
    """
    for name, wanted in (("iterations", iterations), ("cold_iterations", cold_iterations)):
        if wanted is not None and wanted < 1:
            raise ValueError(f"{name}: expected at least 1, found {wanted}")
    sets = [open_evaluation_set(argument, codec) for argument in datasets]
    update_loop = None if str(weights) == DIS else UpdateLoop(load_raft(weights, device))
    total = sum(len(opened) for opened in sets)
    scores: list[PairScore] = []
    rows: list[SceneScore] = []
    for opened in sets:
        count = iterations if iterations is not None else opened.iterations
        of_set = []
        for run in opened.runs():
            estimate = (
                _estimate_dis
                if update_loop is None
                else _RaftEstimate(
                    update_loop,
                    opened.padding,
                    UpdateOptions(
                        count, warm_start="chosen" if chosen_start else "always", region_matching=region_matching
                    ),
                    cold_iterations or 1,
                    variational_refinement,
                )
            )
            for score in _score_run(estimate, opened, run, warm_start):
                of_set.append(score)
                if progress is not None:
                    progress(score, len(scores) + len(of_set), total)
        scores += of_set
        rows.extend(_rows(of_set, count, opened.average_over_images))
    return Evaluation(
        str(weights),
        iterations,
        warm_start,
        chosen_start,
        cold_iterations,
        region_matching,
        variational_refinement,
        tuple(rows),
        tuple(scores),
    )


def _score_run(estimate: "_Estimator", opened: EvaluationSet, run: Run, warm_start: bool) -> Iterator[PairScore]:
    for pair in run.pairs:
        flow_px = estimate(pair.image1, pair.image2, warm_start and run.consecutive)
        for scene, truth_px in pair.truths_px.items():
            yield score_pair(flow_px, truth_px, opened.name, scene, pair.name, pair.hidden)


def _rows(scores: Sequence[PairScore], iterations: int, average_over_images: bool) -> Iterator[SceneScore]:
    for scene in dict.fromkeys(score.scene for score in scores):
        yield summarise([score for score in scores if score.scene == scene], iterations, average_over_images)


class _Estimator(Protocol):
    """Flow of the pairs of one run. `carry`: start from the last call's flow, carried forward."""

    def __call__(self, image1: Image, image2: Image, carry: bool) -> Flow: ...


def _estimate_dis(image1: Image, image2: Image, carry: bool) -> Flow:
    return estimate_dis_px(image1, image2)


class _RaftEstimate:
    """Pairwise flow in float32. A frame in which one pair ends and the next begins is encoded once."""

    def __init__(
        self,
        update_loop: UpdateLoop,
        padding: PaddingMode,
        options: UpdateOptions,
        cold_iterations: int,
        variational_refinement: bool,
    ) -> None:
        """`options` are those of a pair that begins where the one before it led."""
        self._update_loop = update_loop
        self._padding_mode: PaddingMode = padding
        self._options = options
        self._cold_iterations = max(options.iterations, cold_iterations)
        self._variational_refinement = variational_refinement
        self._last_flow: Tensor | None = None
        self._last_frame: _ReadFrame | None = None

    @torch.inference_mode()
    def __call__(self, image1: Image, image2: Image, carry: bool) -> Flow:
        padding = Padding.for_size(*image1.shape[:2], mode=self._padding_mode)
        earlier, later = self._read(image1, padding), self._read(image2, padding)
        self._last_frame = later
        options = self._options
        if not carry:
            options = replace(options, warm_start="never")
        elif self._last_flow is None:
            options = replace(options, iterations=self._cold_iterations)
        refined = self._update_loop(earlier.encoded, later.encoded, self._last_flow if carry else None, options)
        self._last_flow = refined.flow
        flow_px = padding.unpad(self._update_loop.model.upsample(refined))
        if self._variational_refinement:
            flow_px = refine_in_pictures(earlier.luma, later.luma, flow_px)
        return flow_px[0].permute(1, 2, 0).cpu().numpy()

    def _read(self, image: Image, padding: Padding) -> "_ReadFrame":
        if self._last_frame is not None and self._last_frame.image is image:
            return self._last_frame
        padded = to_network_input(image, padding, self._update_loop.device)
        return _ReadFrame(image, self._update_loop.model.encode(padded), luma_of(padded, padding.window(padded)))


class _ReadFrame(NamedTuple):
    image: Image
    encoded: EncodedFrame
    luma: Tensor
    """(1, 1, H, W), without the padding."""

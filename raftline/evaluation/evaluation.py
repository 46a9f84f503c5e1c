"""End-point error and outliers over flow data sets, by the protocol of the RAFT paper."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from raftline.evaluation.evaluation_sets import Codec, EvaluationSet, Image, Run, open_evaluation_set
from raftline.evaluation.protocol import PROTOCOL
from raftline.evaluation.scores import PairScore, SceneScore, score_pair, summarise
from raftline.flow.dis import estimate_dis_px
from raftline.flow.network import open_raft
from raftline.flow.options import DisPreset, FlowOptions
from raftline.flow.update_loop import UpdateLoop
from raftline.flow.variational import luma_of, refine_on_images
from raftline.raft.model import EncodedFrame
from raftline.raft.padding import Padding, PaddingMode
from raftline.raft.preprocess import to_network_input

DIS = "dis"
Flow = npt.NDArray[np.float32]


Progress = Callable[[PairScore, int, int], None]


@dataclass(frozen=True)
class Evaluation:
    """What `evaluate` found."""

    weights: str
    """As given."""
    iterations: int | None
    """As asked for; None where each data set had its own (in its rows)."""
    options: FlowOptions
    results: tuple[SceneScore, ...]
    pair_scores: tuple[PairScore, ...]

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        reported = ("warm_start", "cold_iterations", "region_matching", "variational_refinement")
        return {
            "weights": self.weights,
            "iterations": self.iterations,
            **{name: getattr(self.options, name) for name in reported},
            "results": [asdict(row) for row in self.results],
        }


def evaluate(
    weights: str | Path,
    datasets: Sequence[str],
    options: FlowOptions = PROTOCOL,
    *,
    iterations: int | None = None,
    codec: Codec | None = None,
    progress: Progress | None = None,
) -> Evaluation:
    """Measure weights on data sets.

    Args:
        weights: as `raftline.raft.weights.loading.load_raft` takes them, or "dis" for OpenCV's DIS. They replace the
            options' estimator and weights.
        datasets: as `open_evaluation_set` takes them, such as "sintel:DIR".
        options: how flow is estimated; begin with PROTOCOL, as in `replace(PROTOCOL, warm_start="always")`. Within a
            scene `warm_start` and `cold_iterations` work as in a stream. Duplicates and scene cuts are not looked for.
        iterations: replaces the options' number; None takes each data set's own, 20, or 24 on KITTI.
        codec: sends frames through a real encoder and back, for `still` sets.
        progress: called after each pair with its score, how many are done, and how many there are.

    Raises:
        DatasetError, WeightsError, FlowFileError: all are ValueErrors whose message names the file.
        ValueError: iterations below 1.
    """
    weights = str(weights)
    options = replace(options, **({"estimator": DIS} if weights == DIS else {"estimator": "raft", "weights": weights}))
    if iterations is not None:
        options = replace(options, iterations=iterations)
    sets = [open_evaluation_set(argument, codec) for argument in datasets]
    update_loop = open_raft(options) if options.estimator == "raft" else None
    total = sum(len(opened) for opened in sets)
    scores: list[PairScore] = []
    rows: list[SceneScore] = []
    for opened in sets:
        used = replace(options, iterations=opened.iterations) if iterations is None else options
        of_set = []
        for score in _score_set(opened, used, update_loop):
            of_set.append(score)
            if progress is not None:
                progress(score, len(scores) + len(of_set), total)
        scores += of_set
        rows.extend(_rows(of_set, used.iterations, opened.average_over_images))
    return Evaluation(weights, iterations, options, tuple(rows), tuple(scores))


def _score_set(opened: EvaluationSet, options: FlowOptions, update_loop: UpdateLoop | None) -> Iterator[PairScore]:
    for run in opened.runs():
        estimate: _Estimator = partial(_estimate_dis, options.dis_preset)
        if update_loop is not None:
            estimate = _RaftEstimate(update_loop, opened.padding, options)
        yield from _score_run(estimate, opened, run, options.warm_start != "never")


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


def _estimate_dis(preset: DisPreset, image1: Image, image2: Image, carry: bool) -> Flow:
    return estimate_dis_px(image1, image2, preset)


class _RaftEstimate:
    """Pairwise flow. A frame in which one pair ends and the next begins is encoded once."""

    def __init__(self, update_loop: UpdateLoop, padding: PaddingMode, options: FlowOptions) -> None:
        self._update_loop = update_loop
        self._padding_mode: PaddingMode = padding
        self._options = options
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
            options = replace(options, iterations=max(options.iterations, options.cold_iterations))
        coarse = self._update_loop(earlier.encoded, later.encoded, self._last_flow if carry else None, options)
        self._last_flow = coarse.flow
        flow_px = padding.unpad(self._update_loop.model.upsample(coarse))
        if self._options.variational_refinement:
            flow_px = refine_on_images(earlier.luma, later.luma, flow_px)
        return flow_px[0].permute(1, 2, 0).cpu().numpy()

    def _read(self, image: Image, padding: Padding) -> "_ReadFrame":
        if self._last_frame is not None and self._last_frame.image is image:
            return self._last_frame
        padded = to_network_input(image, padding, self._update_loop.device)
        return _ReadFrame(image, self._update_loop.model.encode(padded), luma_of(padded, padding.crop(padded)))


class _ReadFrame(NamedTuple):
    image: Image
    encoded: EncodedFrame
    luma: Tensor
    """(1, 1, H, W), without the padding."""

"""Opening and calling a session: models, devices, weights and frames, and what is said when they are wrong."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch

from raftline.flow.estimators import open_session
from raftline.flow.network import open_raft
from raftline.flow.options import FlowOptions
from raftline.flow.session import FlowSession
from raftline.flow.update_loop import UpdateLoop
from raftline.raft.weights.loading import load_raft
from tests.raftline.raft.recipes import waves

Frame = npt.NDArray[np.uint8]


@pytest.fixture(scope="module")
def update_loop() -> UpdateLoop:
    return open_raft(FlowOptions(device="cpu", precision="float32"))


@pytest.mark.parametrize(
    ("frame", "found"),
    [
        (np.zeros((5, 5), np.uint8), r"found uint8 of \(5, 5\)\. It is grey: .* np\.dstack"),
        (np.zeros((5, 5, 3), np.float32), r"found float32 of \(5, 5, 3\)\. It is floating point: .* \(255 \* frame"),
        (
            np.zeros((3, 5, 7), np.uint8),
            r"found uint8 of \(3, 5, 7\)\. It is channels first: frame\.transpose\(1, 2, 0\)",
        ),
        (np.zeros((3, 5, 7), np.float32), r"found float32 of .* channels first: .*; floating point: "),
        (np.zeros((1, 5, 5, 3), np.uint8), r"found uint8 of \(1, 5, 5, 3\)\. It is a batch: "),
        (np.zeros((0, 5, 3), np.uint8), r"found uint8 of \(0, 5, 3\)$"),
        (np.zeros((5, 5, 4), np.uint8), r"found uint8 of \(5, 5, 4\)\. It is four channels: "),
    ],
)
@pytest.mark.parametrize("estimator", ["raft", "dis"])
def test_a_wrong_frame_is_refused_with_what_was_found_and_what_to_do(
    update_loop: UpdateLoop, estimator: Any, frame: Frame, found: str
) -> None:
    with pytest.raises(ValueError, match=f"frame_rgb: expected uint8 RGB of shape \\(height, width, 3\\), {found}"):
        open_session(FlowOptions(estimator=estimator), lambda: update_loop)(frame)


def test_what_is_no_array_is_refused(update_loop: UpdateLoop) -> None:
    with pytest.raises(TypeError, match=r"expected uint8 RGB .*, a NumPy array; found Tensor"):
        FlowSession(update_loop)(torch.zeros(5, 5, 3))  # type: ignore[arg-type]


def test_a_session_runs_a_loaded_model_an_update_loop_or_the_default_weights() -> None:
    options = FlowOptions(iterations=1, device="cpu", runtime="torch", precision="float32")
    sessions = [FlowSession(model, options) for model in (load_raft(device="cpu"), open_raft(options), None)]
    for session in sessions:
        session(waves(128, 128))
    results = [session(waves(128, 128, 1)) for session in sessions]
    assert results[0] is not None
    for result in results[1:]:
        assert result is not None and np.array_equal(result.grid_px, results[0].grid_px)
    with pytest.raises(TypeError, match="model: expected what load_raft returns, an UpdateLoop or None, found str"):
        FlowSession("default")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"estimator: FlowSession runs raft, found 'dis'\. Use .*open_session"):
        FlowSession(None, FlowOptions(estimator="dis"))


def test_a_device_or_weights_that_are_not_there_are_refused() -> None:
    with pytest.raises(ValueError, match="device: expected auto, cpu, cuda or cuda:N, found 'gpu'"):
        FlowSession(options=FlowOptions(device="gpu"))
    with pytest.raises(
        ValueError, match=r"weights 'nowhere\.pth': no such file\. Give the path of .* or one of: default"
    ):
        FlowSession(options=FlowOptions(weights="nowhere.pth"))


def test_cuda_without_a_gpu_is_refused_and_not_replaced() -> None:
    if torch.cuda.is_available():
        pytest.skip("there is a GPU here")
    with pytest.raises(ValueError, match=r"device 'cuda': .* Use device: auto or cpu"):
        FlowSession(options=FlowOptions(device="cuda"))
    with pytest.raises(ValueError, match=r"device 'cuda': .* Use device: auto or cpu"):
        load_raft(device="cuda")

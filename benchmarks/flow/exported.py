"""torchvision's RAFT as other runtimes take it: exported once for one size and one number of iterations.

Their packages are asked for here alone: ``pip install openvino onnx onnxscript onnxruntime``.
"""

from __future__ import annotations

import logging
import tempfile
import warnings
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from benchmarks.flow.peers import PairFlow, pair_flow, torchvision_network
from raftline.raft.model import Raft

Network = Callable[[Tensor, Tensor], Tensor]


def exported_flows(model: Raft, size: tuple[int, int], iterations: int, threads: int) -> dict[str, PairFlow]:
    """The same network by name of the runtime, of those that are installed. `size` is (width, height), padded to 8."""
    network = _Pair(torchvision_network(model), iterations).eval()
    example = tuple(torch.rand(1, 3, size[1], size[0]) * 255 for _ in range(2))
    makers = {"OpenVINO": ("openvino", _openvino), "ONNX Runtime": ("onnxruntime", _onnxruntime)}
    made = {name: make(network, example, threads) for name, (package, make) in makers.items() if find_spec(package)}
    return {name: pair_flow(called, torch.device("cpu"), None) for name, called in made.items()}


class _Pair(nn.Module):
    """Two images of [0, 255] -> flow in px, of the last iteration."""

    def __init__(self, network: nn.Module, iterations: int) -> None:
        super().__init__()
        self.network, self.iterations = network, iterations

    def forward(self, image1: Tensor, image2: Tensor) -> Tensor:
        return self.network(image1 / 127.5 - 1, image2 / 127.5 - 1, num_flow_updates=self.iterations)[-1]


def _openvino(network: nn.Module, example: tuple[Tensor, ...], threads: int) -> Network:
    import openvino

    with warnings.catch_warnings(), torch.inference_mode():
        warnings.simplefilter("ignore")
        converted = openvino.convert_model(network, example_input=example)
    converted.reshape({place: list(each.shape) for place, each in enumerate(example)})
    core = openvino.Core()
    settings: dict[str, Any] = {"INFERENCE_NUM_THREADS": threads, "PERFORMANCE_HINT": "LATENCY"}
    request = core.compile_model(converted, "CPU", settings).create_infer_request()

    def called(image1: Tensor, image2: Tensor) -> Tensor:
        request.infer([image1.numpy(), image2.numpy()])
        return torch.from_numpy(np.array(request.get_output_tensor(0).data))

    return called


def _onnxruntime(network: nn.Module, example: tuple[Tensor, ...], threads: int) -> Network:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        logging.getLogger("torch.onnx").setLevel(logging.CRITICAL)  # torchvision's own operators, which are not used
        path = Path(folder) / "raft.onnx"
        torch.onnx.export(network, example, str(path), dynamo=True, opset_version=20, verbose=False)
        session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    names = [each.name for each in session.get_inputs()]

    def called(image1: Tensor, image2: Tensor) -> Tensor:
        fed = dict(zip(names, (image1.numpy(), image2.numpy()), strict=True))
        return torch.from_numpy(session.run(None, fed)[0])

    return called

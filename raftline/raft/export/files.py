"""The network written as a file of another runtime, run there, and compared with torch."""

from __future__ import annotations

import logging
import tempfile
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from raftline.raft.export.modules import (
    PAIR_INPUTS,
    PAIR_OUTPUTS,
    STREAM_INPUTS,
    STREAM_OUTPUTS,
    PairNetwork,
    StreamStep,
)
from raftline.raft.model import Raft

Kind = Literal["pair", "stream"]
Format = Literal["onnx", "openvino"]
SUFFIXES: dict[Format, str] = {"onnx": ".onnx", "openvino": ".xml"}
ALLOWED_PX = 1e-3
"""Largest difference from torch, px: sums in another order over all iterations."""
_OPSET = 20
"""ONNX's; the first with what torch's exporter writes for the lookup."""
_LEAST_CELLS, _MOST_CELLS = 16, 1024
"""Of 8 px along each side: 128 px, as the network needs, to 8192 px."""
_TRACED_CELLS, _CHECKED_CELLS = (17, 20), ((17, 20), (24, 16))
"""Rows and columns of cells at which it is exported and, also at another size, checked."""


@dataclass(frozen=True)
class Exported:
    """A network that was exported."""

    path: Path
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    largest_difference_px: float
    """From torch, over every pixel at two sizes."""


def export_network(model: Raft, kind: Kind, iterations: int, kind_of_file: Format, path: Path) -> Exported:
    """Write the network for frames of any size that is a multiple of 8, at least 128 px, and check the file.

    Args:
        model: as loaded for the CPU in float32.
        kind: "pair": two frames to their flow; "stream": one step of a stream.
        iterations: updates of the flow. They are written out one by one: time and size grow with them.
        kind_of_file: "onnx", or "openvino" (an .xml beside a .bin).
        path: of the file.

    Raises:
        ImportError: a package that this needs is not installed.
        RuntimeError: the file's flow differs from torch's; it is left where it is.
    """
    made = PairNetwork if kind == "pair" else StreamStep
    module = made(model, iterations).eval()
    inputs, outputs = (PAIR_INPUTS, PAIR_OUTPUTS) if kind == "pair" else (STREAM_INPUTS, STREAM_OUTPUTS)
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        onnx = path if kind_of_file == "onnx" else Path(folder) / "network.onnx"
        _write_onnx(module, example(model, kind, *_TRACED_CELLS), onnx, inputs, outputs)
        if kind_of_file == "openvino":
            _write_openvino(onnx, path)
    run = _run_onnx(path) if kind_of_file == "onnx" else _run_openvino(path)
    worst = max(_difference_px(module, run, example(model, kind, *cells)) for cells in _CHECKED_CELLS)
    if worst > ALLOWED_PX:
        raise RuntimeError(f"{path}: flow differs from torch's by up to {worst:.2g} px; allowed are {ALLOWED_PX} px")
    return Exported(path, inputs, outputs, worst)


def example(model: Raft, kind: Kind, rows: int, columns: int) -> tuple[Tensor, ...]:
    """Arguments of rows x columns cells: a smooth texture that moves by 3 px right and 2 px down."""
    noise = torch.rand(1, 3, 8 * rows + 22, 8 * columns + 22, generator=torch.Generator().manual_seed(0))
    smooth = F.avg_pool2d(noise, 9, stride=1)
    texture = 255 * (smooth - smooth.min()) / (smooth.max() - smooth.min())
    height, width = 8 * rows, 8 * columns
    first, second = texture[..., 4 : 4 + height, 4 : 4 + width], texture[..., 2 : 2 + height, 1 : 1 + width]
    if kind == "pair":
        return first.contiguous(), second.contiguous()
    with torch.no_grad():
        encoded = model.encode(first / 127.5 - 1)
    flow = torch.full((1, 2, rows, columns), 0.25)
    return (second.contiguous(), *(part.contiguous() for part in encoded), flow)


def _write_onnx(
    module: nn.Module, arguments: tuple[Tensor, ...], path: Path, inputs: tuple[str, ...], outputs: tuple[str, ...]
) -> None:
    rows, columns = (torch.export.Dim(name, min=_LEAST_CELLS, max=_MOST_CELLS) for name in ("rows", "columns"))
    frames = {2: 8 * rows, 3: 8 * columns}
    shapes = tuple(frames if name.startswith("image") else {2: rows, 3: columns} for name in inputs)
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)  # operators of torchvision, which are not used
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            module,
            arguments,
            dynamo=True,
            opset_version=_OPSET,
            dynamic_shapes=shapes,
            input_names=list(inputs),
            output_names=list(outputs),
            verbose=False,
        )
        assert program is not None
        program.save(str(path))


def _write_openvino(onnx: Path, path: Path) -> None:
    import openvino

    openvino.save_model(openvino.convert_model(str(onnx)), str(path), compress_to_fp16=False)


Run = Callable[[dict[str, np.ndarray]], np.ndarray]


def _run_onnx(path: Path) -> Run:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    wanted = {each.name for each in session.get_inputs()}
    return lambda given: np.asarray(session.run(["flow_px"], {k: v for k, v in given.items() if k in wanted})[0])


def _run_openvino(path: Path) -> Run:
    import openvino

    compiled = openvino.Core().compile_model(str(path), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    wanted = {name for each in compiled.inputs for name in each.names}
    return lambda given: compiled({k: v for k, v in given.items() if k in wanted})["flow_px"]


def _difference_px(module: nn.Module, run: Run, arguments: tuple[Tensor, ...]) -> float:
    names = PAIR_INPUTS if len(arguments) == len(PAIR_INPUTS) else STREAM_INPUTS
    with torch.no_grad():
        found: Any = module(*arguments)
    expected = (found[0] if isinstance(found, tuple) else found).numpy()
    given = run({name: argument.numpy() for name, argument in zip(names, arguments, strict=True)})
    return float(np.abs(given - expected).max())


def compile_for_tensorrt(model: Raft, iterations: int, size: tuple[int, int], path: Path) -> str | None:
    """Write the network of a pair of frames (width, height) by Torch-TensorRT. Returns why it cannot, or None."""
    if not torch.cuda.is_available():
        return "there is no NVIDIA GPU that torch can use: TensorRT builds for the GPU it runs on"
    try:
        import torch_tensorrt  # pyright: ignore[reportMissingImports]
    except ImportError:
        return "torch_tensorrt is not installed: pip install torch-tensorrt"
    module = PairNetwork(model, iterations).eval().cuda()
    images = [torch.zeros(1, 3, size[1], size[0], device="cuda") for _ in range(2)]
    compiled = torch_tensorrt.compile(module, ir="dynamo", inputs=images)
    torch_tensorrt.save(compiled, str(path), inputs=images)
    return None

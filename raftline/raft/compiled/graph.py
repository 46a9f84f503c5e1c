"""One compiled graph, called with tensors."""

from __future__ import annotations

import functools
import threading
from typing import Any, Literal

import numpy as np
import torch
from openvino import CompiledModel, Core, Model
from openvino import Tensor as SharedTensor
from torch import Tensor

from raftline.raft.compiled.layers import Layers

Arithmetic = Literal["f32", "bf16"]
"""Of everything that does not multiply in 8 bits, in OpenVINO's words."""


class CompiledGraph:
    """Compiled for the CPU and its number of threads. Calls from several threads follow one another."""

    def __init__(self, compiled: CompiledModel) -> None:
        self._compiled = compiled
        self._shapes = [tuple(output.shape) for output in compiled.outputs]
        self._request = compiled.create_infer_request()
        self._lock = threading.Lock()

    @classmethod
    def of(cls, layers: Layers, arithmetic: Arithmetic, threads: int) -> CompiledGraph:
        """Compile layers."""
        model: Any = Model(layers.outputs, layers.inputs)  # pyright: ignore[reportGeneralTypeIssues]
        return cls(_core().compile_model(model, "CPU", _settings(arithmetic, threads)))

    @classmethod
    def read(cls, blob: bytes, arithmetic: Arithmetic, threads: int) -> CompiledGraph | None:
        """What `written` returned, on this processor, with the same settings; None: it cannot be read."""
        try:
            return cls(_core().import_model(blob, "CPU", _settings(arithmetic, threads)))
        except RuntimeError:
            return None

    def written(self) -> bytes:
        """The graph as bytes."""
        return self._compiled.export_model().getvalue()

    def __call__(self, *inputs: Tensor) -> list[Tensor]:
        """(1, C, H, W) float32 in, the same out, channels-last in memory; what is so already is not copied."""
        lying = [each.permute(0, 2, 3, 1).contiguous() for each in inputs]
        outputs = [torch.empty(shape) for shape in self._shapes]
        with self._lock:
            for number, each in enumerate(lying):
                self._request.set_input_tensor(number, _shared(each))
            for number, each in enumerate(outputs):
                self._request.set_output_tensor(number, _shared(each))
            self._request.infer(share_outputs=True)  # else they are copied
        return [each.permute(0, 3, 1, 2) for each in outputs]


def processor() -> str:
    """What graphs are compiled for: its name, and the arithmetic that is fast on it."""
    properties = (_core().get_property("CPU", name) for name in ("FULL_DEVICE_NAME", "OPTIMIZATION_CAPABILITIES"))
    return " ".join(map(str, properties))


def _settings(arithmetic: Arithmetic, threads: int) -> dict[str, Any]:
    return {
        "INFERENCE_PRECISION_HINT": arithmetic,
        "INFERENCE_NUM_THREADS": threads,
        # Without a stream the calling thread computes, alone, and no other is started.
        "NUM_STREAMS": 0 if threads == 1 else 1,
        # Several processes share the cores, and each would pin its threads to the first of them.
        "ENABLE_CPU_PINNING": False,
    }


def _shared(tensor: Tensor) -> SharedTensor:
    array: Any = tensor.numpy()
    return SharedTensor(np.asarray(array), shared_memory=True)


@functools.cache
def _core() -> Core:
    return Core()

"""Layers of the network as nodes of an OpenVINO graph.

Graphs are made node by node rather than traced: that takes milliseconds, imports no converter (OpenVINO's reports its
use to its maker unless told not to), and leaves room for 8-bit arithmetic where it does no harm.
"""

from __future__ import annotations

from typing import Any, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt
import openvino.opset13 as nodes
import torch
from openvino import Node, Output
from torch import Tensor, nn

from raftline.raft.encoders import BottleneckBlock, ConvNormReLU, Encoder, InstanceNorm, ResidualBlock

Value: TypeAlias = "Node | Output"
"""What one node gives another: (1, C, H, W)."""
Ranges: TypeAlias = dict[str, npt.NDArray[np.float32]]
"""By the name of a convolution: (3, C), the least, greatest and mean value of each channel of its input."""

_WEIGHT_LEVELS = 255
_WEIGHT_HEADROOM = 2.0
"""Weights take the inner half of their 8 bits. Without VNNI the CPU adds two products of 8 bits in 16, which then
cannot overflow: 2 * 255 * 64 < 2^15. On every CPU, so that all give the same flow up to the order of sums."""
_LEAST_RANGE = 1e-3
"""Least range of a channel, as a share of the largest channel's: one that was still while ranges were measured can
move later. Chosen by hand."""


class Layers:
    """A graph in the making.

    Inputs and outputs are (1, H, W, C): the memory of a channels-last tensor as it lies.

    Args:
        ranges: convolutions that are named here multiply in 8 bits; None: no convolution.
    """

    def __init__(self, ranges: Ranges | None = None) -> None:
        self._ranges = ranges or {}
        self.inputs: list[Any] = []
        self.outputs: list[Value] = []
        self.observable: dict[str, Value] = {}
        """What each convolution that may multiply in 8 bits is given."""

    def input(self, channels: int, height: int, width: int) -> Value:
        """Add an input; the graph's inputs are in the order of the calls."""
        self.inputs.append(nodes.parameter([1, height, width, channels], np.float32))
        return nodes.transpose(self.inputs[-1], [0, 3, 1, 2])

    def output(self, *values: Value) -> None:
        """Add outputs, in this order."""
        self.outputs += [nodes.transpose(value, [0, 2, 3, 1]) for value in values]

    def convolution(
        self,
        name: str,
        x: Value,
        weight: Tensor,
        bias: Tensor | None,
        padding: tuple[int, ...],
        stride: tuple[int, ...] = (1, 1),
        exact: bool = False,
    ) -> Value:
        """Convolve; `exact`: never in 8 bits."""
        kernel = weight.detach().float().contiguous().numpy()
        taken: Value = nodes.constant(kernel)
        if not exact:
            self.observable[name] = x
            if name in self._ranges:
                x, taken, correction = _quantized(x, kernel, self._ranges[name])
                bias = correction if bias is None else bias.detach() + correction
        y = nodes.convolution(x, taken, list(stride), list(padding), list(padding), [1, 1])
        return y if bias is None else nodes.add(y, _per_channel(bias))

    def conv2d(self, name: str, x: Value, layer: nn.Conv2d, exact: bool = False) -> Value:
        """A convolution of the network."""
        assert not isinstance(layer.padding, str)
        return self.convolution(name, x, layer.weight, layer.bias, layer.padding, layer.stride, exact)

    def conv_norm_relu(self, name: str, x: Value, layers: ConvNormReLU, exact: bool = False) -> Value:
        """A convolution with what follows it; a batch norm becomes part of it."""
        convolution = layers[0]
        assert isinstance(convolution, nn.Conv2d)
        for layer in list(layers)[1:]:
            if isinstance(layer, nn.BatchNorm2d):
                convolution = nn.utils.fuse_conv_bn_eval(convolution, layer)
        x = self.conv2d(name, x, convolution, exact)
        for layer in list(layers)[1:]:
            if isinstance(layer, InstanceNorm):
                x = nodes.mvn(x, np.array([2, 3]), True, 1e-5, "inside_sqrt")  # torch's epsilon
            elif isinstance(layer, nn.ReLU):
                x = nodes.relu(x)
        return x

    def encoder(self, name: str, x: Value, encoder: Encoder) -> Value:
        """(1, 3, H, W) -> (1, out_channels, H/8, W/8)."""
        x = self.conv_norm_relu(f"{name}.convnormrelu", x, encoder.convnormrelu)
        for stage in ("layer1", "layer2", "layer3"):
            for number, block in enumerate(getattr(encoder, stage)):
                x = self._block(f"{name}.{stage}.{number}", x, block)
        return self.conv2d(f"{name}.conv", x, encoder.conv, exact=True)  # cheap, and all of its error is matched

    def _block(self, name: str, x: Value, block: ResidualBlock | BottleneckBlock) -> Value:
        y = x
        for part in ("convnormrelu1", "convnormrelu2", "convnormrelu3"):
            if hasattr(block, part):
                y = self.conv_norm_relu(f"{name}.{part}", y, getattr(block, part))
        if isinstance(block.downsample, ConvNormReLU):
            x = self.conv_norm_relu(f"{name}.downsample", x, block.downsample)
        return nodes.relu(nodes.add(x, y))


class _Quantized(NamedTuple):
    """The input and the weights of a convolution in 8 bits, and what their rounding takes from its output."""

    x: Value
    weight: Value
    correction: Tensor
    """(out_channels,): what the rounding of the weights takes away on average."""


def _quantized(x: Value, kernel: npt.NDArray[np.float32], range_: npt.NDArray[np.float32]) -> _Quantized:
    """Quantize what a convolution multiplies.

    Channels of the input have ranges of their own, and so have the weights that they meet. Each channel is divided by a
    scale that its weights are multiplied by, so that neither channels of small values nor those of small weights are
    left with few levels (SmoothQuant, arXiv 2211.10438, section 4, with its alpha of 0.5). The mean of what rounded
    weights add is known from the mean of the input, and subtracted (arXiv 1906.04721, section 4.2).
    """
    least, greatest, mean = range_
    size = np.maximum(np.maximum(-least, greatest), 1e-12).reshape(1, -1, 1, 1)
    size = np.maximum(size, _LEAST_RANGE * size.max())
    met = np.maximum(np.abs(kernel).max(axis=(0, 2, 3)).reshape(1, -1, 1, 1), 1e-12)
    scale = np.sqrt(size / met)
    limit = (scale * (size / scale).max()).astype(np.float32)
    low = np.float32(-128 / 127 if least.min() < 0 else 0)
    scaled = kernel * limit
    widest = _WEIGHT_HEADROOM * np.maximum(np.abs(scaled).max(axis=(1, 2, 3), keepdims=True), 1e-12)
    step = 2 * widest / (_WEIGHT_LEVELS - 1)
    rounded = np.round(scaled / step) * step
    correction = ((scaled - rounded) / limit).sum(axis=(2, 3)) @ mean
    return _Quantized(
        nodes.fake_quantize(x, limit * low, limit, low, np.float32(1), 256),
        nodes.fake_quantize(nodes.constant(rounded), -widest, widest, -widest, widest, _WEIGHT_LEVELS),
        torch.from_numpy(correction.astype(np.float32)),
    )


def _per_channel(values: Tensor) -> npt.NDArray[np.float32]:
    return values.detach().to(torch.float32).numpy().reshape(1, -1, 1, 1)

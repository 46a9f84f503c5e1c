"""The parts of the network as graphs, each of one frame or pair at a time."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import numpy as np
import openvino.opset13 as nodes
import torch
from torch import Tensor

from raftline.raft.compiled.layers import Layers, Value
from raftline.raft.encoders import ConvNormReLU
from raftline.raft.model import LEVELS, Raft
from raftline.raft.update import ConvGRU
from raftline.raft.upsample import GuidedMaskPredictor

Part: TypeAlias = Callable[[Layers, Raft, int, int], None]
"""Adds a part of the network, for H x W of its first input."""

_FLOW = 2


def encoders(layers: Layers, model: Raft, height: int, width: int) -> None:
    """Image (3 channels) -> features, hidden, context, guide: an `EncodedFrame`; no guide where it has no channels."""
    image = layers.input(3, height, width)
    features = layers.encoder("feature_encoder", image, model.feature_encoder)
    encoded = layers.encoder("context_encoder", image, model.context_encoder)
    split = nodes.variadic_split(encoded, 1, [model.dimensions.hidden, model.dimensions.context])
    context = nodes.relu(split.output(1))
    layers.output(features, nodes.tanh(split.output(0)), context)
    if isinstance(model.mask_predictor, GuidedMaskPredictor):
        patches = layers.conv2d("mask_predictor.patches", image, model.mask_predictor.patches)
        layers.output(nodes.concat([nodes.relu(patches), context], 1))


def context_terms(layers: Layers, model: Raft, height: int, width: int) -> None:
    """Context -> what it adds to the gates of each GRU (`GateTerms`): zr, q, ..."""
    context = layers.input(model.dimensions.context, height, width)
    for name, gru in _recurrent(model):
        _, zr_weight = gru.split(torch.cat([gru.convz.weight, gru.convr.weight]))
        _, q_weight = gru.split(gru.convq.weight)
        zr_bias = torch.cat([_bias(gru.convz), _bias(gru.convr)])
        layers.output(
            layers.convolution(f"{name}.zr_context", context, zr_weight, zr_bias, gru.padding),
            layers.convolution(f"{name}.q_context", context, q_weight, gru.convq.bias, gru.padding),
        )


def update(layers: Layers, model: Raft, height: int, width: int) -> None:
    """Hidden, correlation, flow, context terms zr, q, ... -> hidden, flow update: an `UpdateBlock`."""
    dims, block = model.dimensions, model.update_block
    hidden = layers.input(dims.hidden, height, width)
    correlation = layers.input(LEVELS * (2 * dims.radius + 1) ** 2, height, width)
    flow = layers.input(_FLOW, height, width)
    motion = _motion(layers, model, flow, correlation)
    for name, gru in _recurrent(model):
        zr_context = layers.input(2 * dims.hidden, height, width)
        q_context = layers.input(dims.hidden, height, width)
        hidden = _gru(layers, name, gru, hidden, motion, flow, zr_context, q_context)
    wide = nodes.relu(layers.conv2d("update_block.flow_head.conv1", hidden, block.flow_head.conv1))
    layers.output(hidden, layers.conv2d("update_block.flow_head.conv2", wide, block.flow_head.conv2, exact=True))


def upsampling_weights(layers: Layers, model: Raft, height: int, width: int) -> None:
    """Hidden, or for guided upsampling hidden, guide and the steps of the flow -> 576 weights, before the softmax."""
    predictor = model.mask_predictor
    assert predictor is not None
    guided = isinstance(predictor, GuidedMaskPredictor)
    seen = layers.input(_first(predictor.convrelu).in_channels, height, width)
    wide = layers.conv_norm_relu("mask_predictor.convrelu", seen, predictor.convrelu)
    weights = layers.conv2d("mask_predictor.conv", wide, predictor.conv)
    layers.output(weights if guided else nodes.multiply(weights, np.float32(0.25)))


def _motion(layers: Layers, model: Raft, flow: Value, correlation: Value) -> Value:
    """Motion features without the flow itself: see `MotionEncoder`."""
    encoder, name = model.update_block.motion_encoder, "update_block.motion_encoder"
    seen = layers.conv_norm_relu(f"{name}.convcorr1", correlation, encoder.convcorr1, exact=True)
    if isinstance(encoder.convcorr2, ConvNormReLU):
        seen = layers.conv_norm_relu(f"{name}.convcorr2", seen, encoder.convcorr2)
    # Flow has no bounds that 8 bits could be spread over, and its convolutions are small.
    flow_features = layers.conv_norm_relu(f"{name}.convflow1", flow, encoder.convflow1, exact=True)
    flow_features = layers.conv_norm_relu(f"{name}.convflow2", flow_features, encoder.convflow2, exact=True)
    return layers.conv_norm_relu(f"{name}.conv", nodes.concat([seen, flow_features], 1), encoder.conv)


def _gru(
    layers: Layers,
    name: str,
    gru: ConvGRU,
    hidden: Value,
    motion: Value,
    flow: Value,
    zr_context: Value,
    q_context: Value,
) -> Value:
    """See `ConvGRU`; the flow, the last channels of the motion features, is convolved apart, exactly."""
    zr_weight, _ = gru.split(torch.cat([gru.convz.weight, gru.convr.weight]))
    q_weight, _ = gru.split(gru.convq.weight)

    def outer(part: str, weight: Tensor, context: Value) -> Value:
        by_flow = layers.convolution(f"{name}.{part}_flow", flow, weight[:, -_FLOW:], None, gru.padding, exact=True)
        return nodes.add(context, by_flow)

    zr_outer, q_outer = outer("zr", zr_weight, zr_context), outer("q", q_weight, q_context)
    hx = nodes.concat([hidden, motion], 1)
    zr = layers.convolution(f"{name}.zr", hx, zr_weight[:, :-_FLOW], None, gru.padding)
    gates = nodes.split(nodes.sigmoid(nodes.add(zr, zr_outer)), 1, 2)
    z, r = gates.output(0), gates.output(1)
    rhx = nodes.concat([nodes.multiply(r, hidden), motion], 1)
    q = nodes.tanh(nodes.add(layers.convolution(f"{name}.q", rhx, q_weight[:, :-_FLOW], None, gru.padding), q_outer))
    return nodes.add(hidden, nodes.multiply(z, nodes.subtract(q, hidden)))


def _recurrent(model: Raft) -> list[tuple[str, ConvGRU]]:
    named = model.update_block.recurrent_block.named_children()
    return [(f"update_block.recurrent_block.{name}", gru) for name, gru in named if isinstance(gru, ConvGRU)]


def _bias(layer: torch.nn.Conv2d) -> torch.Tensor:
    assert layer.bias is not None
    return layer.bias


def _first(layers: ConvNormReLU) -> torch.nn.Conv2d:
    convolution = layers[0]
    assert isinstance(convolution, torch.nn.Conv2d)
    return convolution

"""Learning block by block from a teacher: each block of the network gets the teacher's input of that block and learns
what the teacher's block makes of it.

No block waits for the ones before it to be right, so a network from scratch comes near its teacher in a small part of
the steps that the distance between last layers takes. Blocks are what lies between two features of the teacher: the
encoders' residual blocks, the motion encoder, the recurrent block, the flow head.
"""

import itertools
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from raftline.kernels.cell import CELL_PX
from raftline.kernels.forward_splat import forward_splat
from raftline.raft.encoders import BottleneckBlock, ConvNormReLU, Encoder, ResidualBlock
from raftline.raft.model import EncodedFrame, Raft, UpdateState
from raftline.raft.update import MotionEncoder
from raftline.synthetic.clip_batch import ClipBatch, network_input
from raftline.training.objective import StepLoss, arithmetic, frames_of
from raftline.training.options import TrainOptions

_STILL_CELLS = 0.01
"""Shorter updates count as none: 0.08 px. Chosen by hand."""


class _Updates(NamedTuple):
    """The teacher's iterations, N of them over all pairs of a batch. Sizes as in `raftline.raft.model`."""

    context: Tensor
    flow: Tensor
    correlation: Tensor
    hidden: Tensor
    motion: Tensor
    """Before the ReLU, without the flow."""
    next_hidden: Tensor
    delta: Tensor


class BlockObjective:
    """The sum over the blocks of the squared distance to the teacher's outputs, relative to their variance.

    Raises:
        ValueError: no teacher, or one of another architecture.
    """

    def __init__(self, model: Raft, options: TrainOptions, teacher: Raft | None) -> None:
        if teacher is None or teacher.architecture != model.architecture:
            found = "none" if teacher is None else f"RAFT-{teacher.architecture}"
            raise ValueError(
                f"distillation.blocks: expected distillation.teacher to be a RAFT-{model.architecture}, as is trained; "
                f"found {found}"
            )
        self._model = model
        self._teacher = teacher
        self._options = options

    def __call__(self, clips: ClipBatch, step: int, random: np.random.Generator) -> StepLoss:
        """The loss of `clips`, whose flow is not looked at. End-point errors are NaN: validation tells them."""
        images = network_input(clips.frames).flatten(0, 1).contiguous()
        with arithmetic(self._options.precision.encoders, images.device):
            features, by_features = _encoded(self._model.feature_encoder, self._teacher.feature_encoder, images)
            contexts, by_context = _encoded(self._model.context_encoder, self._teacher.context_encoder, images)
        frames = frames_of(self._teacher.frame(images, features, contexts), *clips.frames.shape[:2])
        with arithmetic(self._options.precision.update, images.device):
            by_update = self._update_distance(self._taught_updates(frames, random))
        unknown = torch.full_like(by_update.detach(), torch.nan)
        return StepLoss(by_features + by_context + by_update, unknown, unknown)

    @torch.no_grad()
    def _taught_updates(self, frames: list[EncodedFrame], random: np.random.Generator) -> _Updates:
        """The teacher's way from zero on the first pair; on the second from that flow, carried on and disturbed."""
        updates: list[_Updates] = []
        start: Tensor | None = None
        for earlier, later in itertools.pairwise(frames):
            terms, state = self._teacher.begin(earlier, self._teacher.correlate(earlier, later), start)
            for _ in range(self._options.iterations):
                flow = state.coords - terms.origin
                correlation = terms.correlation.lookup(state.coords)
                block = self._teacher.update_block
                motion = _motion(block.motion_encoder, flow, correlation)
                motion_features = torch.cat([F.relu(motion), flow], dim=1)
                hidden = block.recurrent_block(state.hidden, motion_features, terms.gates)
                delta = block.flow_head(hidden)
                updates.append(_Updates(earlier.context, flow, correlation, state.hidden, motion, hidden, delta))
                state = UpdateState(hidden, state.coords + delta)
            start = self._disturbed(forward_splat(state.coords - terms.origin).flow, random)
        return _Updates(*(torch.cat(parts) for parts in zip(*updates, strict=True)))

    def _disturbed(self, start: Tensor, random: np.random.Generator) -> Tensor:
        deviation = random.uniform(0, self._options.warm_start.noise_px / CELL_PX)
        noise = random.standard_normal(start.shape, np.float32) * deviation
        return start + torch.from_numpy(noise).to(start.device)

    def _update_distance(self, taught: _Updates) -> Tensor:
        block = self._model.update_block
        motion = _motion(block.motion_encoder, taught.flow, taught.correlation)
        motion_features = torch.cat([F.relu(taught.motion), taught.flow], dim=1)
        hidden = block.recurrent_block(taught.hidden, motion_features, block.recurrent_block.prepare(taught.context))
        delta = block.flow_head(taught.next_hidden)
        change = (taught.next_hidden - taught.hidden).square().mean()
        by_hidden = (hidden - taught.next_hidden).square().mean() / change
        size = taught.delta.square().mean(dim=(1, 2, 3)) + _STILL_CELLS**2
        by_delta = ((delta - taught.delta).square().mean(dim=(1, 2, 3)) / size).mean()
        return _rectified_distance(motion, taught.motion) + by_hidden + by_delta


def _encoded(ours: Encoder, theirs: Encoder, images: Tensor) -> tuple[Tensor, Tensor]:
    """-> the teacher's last output, and the distance summed over the blocks."""
    distances = []
    x = images
    for block, taught in zip(_blocks(ours), _blocks(theirs), strict=True):
        with torch.no_grad():
            wanted = _before_relu(taught, x)
        found = _before_relu(block, x)
        if isinstance(block, nn.Conv2d):
            distances.append(_relative(found, wanted))
            x = wanted
        else:
            distances.append(_rectified_distance(found, wanted))
            x = F.relu(wanted)
    return x.float(), torch.stack(distances).sum()


def _blocks(encoder: Encoder) -> list[nn.Module]:
    return [encoder.convnormrelu, *encoder.layer1, *encoder.layer2, *encoder.layer3, encoder.conv]


def _before_relu(block: nn.Module, x: Tensor) -> Tensor:
    if isinstance(block, ConvNormReLU):
        return nn.Sequential(*list(block)[:-1])(x)
    return block.before_relu(x) if isinstance(block, (ResidualBlock, BottleneckBlock)) else block(x)


def _motion(encoder: MotionEncoder, flow: Tensor, correlation: Tensor) -> Tensor:
    return _before_relu(encoder.conv, encoder.seen(flow, correlation))


def _rectified_distance(ours: Tensor, theirs: Tensor) -> Tensor:
    """Before and after the ReLU: after it alone, an output that is wrongly 0 has no gradient by which to come back."""
    return _relative(ours, theirs) + _relative(F.relu(ours), F.relu(theirs))


def _relative(ours: Tensor, theirs: Tensor) -> Tensor:
    """Mean squared distance over the mean variance of the channels."""
    ours, theirs = ours.float(), theirs.float()
    variance = (theirs - theirs.mean(dim=(2, 3), keepdim=True)).square().mean()
    return (ours - theirs).square().mean() / variance.clamp(min=1e-12)

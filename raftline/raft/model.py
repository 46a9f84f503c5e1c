"""RAFT, small and large (Teed and Deng, arXiv 2003.12039).

Each frame is encoded on its own (`encode`), the flow of a pair of encoded frames is updated iteratively (`refine`),
and the flow is upsampled to full resolution (`upsample`). `forward` does all three for a pair of images; a stream
calls them one by one and encodes each frame once.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn

from raftline.kernels.crop import Crop
from raftline.raft.choices import RuntimeName
from raftline.raft.correlation import LEVELS, Correlation, correlate
from raftline.raft.encoders import BottleneckBlock, Encoder, InstanceNorm, ResidualBlock
from raftline.raft.precision import FLOAT32, Precision
from raftline.raft.update import FlowHead, GateTerms, MotionEncoder, RecurrentBlock, UpdateBlock
from raftline.raft.upsample import GuidedMaskPredictor, MaskPredictor, Upsampling, upsample_bilinear, upsample_convex

Architecture = Literal["small", "large"]


class EncodedFrame(NamedTuple):
    """All that the network needs of one frame."""

    features: Tensor
    """(B, C, H/8, W/8): matched against the other frame's."""
    hidden: Tensor
    """(B, hidden, H/8, W/8): the GRU's first state, after tanh."""
    context: Tensor
    """(B, context, H/8, W/8): after ReLU."""
    guide: Tensor
    """(B, guide, H/8, W/8): features of the image for guided upsampling; no channels for other upsampling."""


class PairTerms(NamedTuple):
    """What stays the same over the iterations of one pair."""

    correlation: Correlation
    gates: list[GateTerms]
    origin: Tensor
    """(B, 2, H/8, W/8) float32: each cell's own (x, y)."""


class UpdateState(NamedTuple):
    """What an iteration changes."""

    hidden: Tensor
    """(B, hidden, H/8, W/8)."""
    coords: Tensor
    """(B, 2, H/8, W/8) float32: where each cell went, (x, y) in cells."""


class CoarseFlow(NamedTuple):
    """Flow on the 1/8 grid: the outcome of the updates."""

    flow: Tensor
    """(B, 2, H/8, W/8) in cells of the 1/8 grid: multiply by 8 for pixels."""
    hidden: Tensor
    """(B, hidden, H/8, W/8): the GRU's last state, from which the upsampling weights are read."""
    guide: Tensor
    """Of the earlier frame, as in EncodedFrame."""
    iterations: int
    """Updates that were run; fewer than asked for after an early stop."""


@dataclass(frozen=True)
class RaftDimensions:
    """What differs between small and large: table 4 of the paper's appendix, and the authors' core/raft.py."""

    block: type[ResidualBlock] | type[BottleneckBlock]
    widths: tuple[int, int, int, int]
    features: int
    hidden: int
    context: int
    context_norm: type[nn.BatchNorm2d] | None
    radius: int
    corr_widths: tuple[int, ...]
    flow_widths: tuple[int, int]
    motion: int
    gru_kernels: tuple[tuple[int, int], ...]
    flow_head: int
    upsampling: Upsampling
    """The paper's; see `Raft`."""


DIMENSIONS: dict[Architecture, RaftDimensions] = {
    "small": RaftDimensions(
        block=BottleneckBlock,
        widths=(32, 32, 64, 96),
        features=128,
        hidden=96,
        context=64,
        context_norm=None,
        radius=3,
        corr_widths=(96,),
        flow_widths=(64, 32),
        motion=82,
        gru_kernels=((3, 3),),
        flow_head=128,
        upsampling="bilinear",
    ),
    "large": RaftDimensions(
        block=ResidualBlock,
        widths=(64, 64, 96, 128),
        features=256,
        hidden=128,
        context=128,
        context_norm=nn.BatchNorm2d,
        radius=4,
        corr_widths=(256, 192),
        flow_widths=(128, 64),
        motion=128,
        gru_kernels=((1, 5), (5, 1)),
        flow_head=256,
        upsampling="convex",
    ),
}


class Raft(nn.Module):
    """The network. `Raft("small")` has 990,162 parameters, `Raft("large")` 5,257,536.

    Args:
        architecture: "small" or "large".
        upsampling: how flow is upsampled to full resolution; None: as in the paper. "guided" also looks at the image,
            and adds 450,848 parameters to small.

    Raises:
        ValueError: another architecture.
    """

    runtime: RuntimeName = "torch"
    """What runs the convolutions."""

    def __init__(self, architecture: Architecture, upsampling: Upsampling | None = None) -> None:
        super().__init__()
        if architecture not in DIMENSIONS:
            raise ValueError(f"architecture: found {architecture!r}, allowed are {', '.join(map(repr, DIMENSIONS))}")
        dims = DIMENSIONS[architecture]
        self.architecture: Architecture = architecture
        self.dimensions = dims
        self.precision = FLOAT32
        self.feature_encoder = Encoder(dims.block, dims.widths, dims.features, InstanceNorm)
        self.context_encoder = Encoder(dims.block, dims.widths, dims.hidden + dims.context, dims.context_norm)
        corr_channels = LEVELS * (2 * dims.radius + 1) ** 2
        self.update_block = UpdateBlock(
            MotionEncoder(corr_channels, dims.corr_widths, dims.flow_widths, dims.motion),
            RecurrentBlock(dims.hidden, dims.context, dims.motion, dims.gru_kernels),
            FlowHead(dims.hidden, dims.flow_head),
        )
        self.upsampling: Upsampling = upsampling or dims.upsampling
        self.mask_predictor: MaskPredictor | GuidedMaskPredictor | None = None
        if self.upsampling == "convex":
            self.mask_predictor = MaskPredictor(dims.hidden, 256)  # the authors' core/update.py
        elif self.upsampling == "guided":
            # Chosen by hand, to cost a small part of an update; the shipped weights have this shape.
            self.mask_predictor = GuidedMaskPredictor(dims.hidden, dims.context, patches=64, width=160)

    def forward(self, image1: Tensor, image2: Tensor, iterations: int = 12, flow_init: Tensor | None = None) -> Tensor:
        """Estimate the flow from image1 to image2.

        Args:
            image1, image2: (B, 3, H, W) RGB in [-1, 1]; H and W multiples of 8, at least 128.
            iterations: updates of the flow.
            flow_init: (B, 2, H/8, W/8) in cells, or None for zero.

        Returns:
            (B, 2, H, W) in px: where each pixel of image1 went; x right, y down.
        """
        earlier, later = self.encode(image1), self.encode(image2)
        coarse = self.refine(earlier, later, iterations, flow_init)
        return self.upsample(coarse)

    def to_precision(self, precision: Precision) -> "Raft":
        """Convert the weights, for inference. Back to float32 is possible, but what was rounded off is lost."""
        self.precision = precision
        encoders = {*self.feature_encoder.modules(), *self.context_encoder.modules()}
        for module in self.modules():
            # What norms have learnt stays float32: they take inputs of 16 bits as they are.
            if isinstance(module, nn.Conv2d):
                module.to(precision.encoders if module in encoders else precision.update)
        return self

    def encode(self, image: Tensor) -> EncodedFrame:
        """Encode (B, 3, H, W) RGB in [-1, 1]; H and W are multiples of 8."""
        image = image.to(self.precision.encoders)
        features = self.feature_encoder(image).to(self.precision.correlation)
        return self.frame(image, features, self.context_encoder(image).to(self.precision.update))

    def frame(self, image: Tensor, features: Tensor, encoded: Tensor) -> EncodedFrame:
        """Combine the outputs of both encoders into what the updates and the upsampling need."""
        hidden, context = encoded.split([self.dimensions.hidden, self.dimensions.context], dim=1)
        context, guide = torch.relu(context), context[:, :0]
        if isinstance(self.mask_predictor, GuidedMaskPredictor):
            guide = self.mask_predictor.guide(image.to(self.precision.update), context)
        return EncodedFrame(features, torch.tanh(hidden), context, guide)

    def refine(
        self, earlier: EncodedFrame, later: EncodedFrame, iterations: int, flow_init: Tensor | None = None
    ) -> CoarseFlow:
        """Return the flow after the last of `iterations` updates, 1 or more."""
        *_, coarse = self.iterate(earlier, later, iterations, flow_init)
        return coarse

    def iterate(
        self, earlier: EncodedFrame, later: EncodedFrame, iterations: int, flow_init: Tensor | None = None
    ) -> Iterator[CoarseFlow]:
        """Yield the flow after each update.

        As in the paper, gradients pass from one update to the next through the hidden state, not through the flow.
        """
        terms, state = self.begin(earlier, self.correlate(earlier, later), flow_init)
        for done in range(1, iterations + 1):
            state = self.step(terms, state)
            yield CoarseFlow(state.coords - terms.origin, state.hidden, earlier.guide, done)

    def begin(
        self, earlier: EncodedFrame, correlation: Correlation, flow_init: Tensor | None = None
    ) -> tuple[PairTerms, UpdateState]:
        """Compute what `step` needs of a pair, and the state before the first update."""
        origin = grid_coordinates(earlier.hidden)
        terms = PairTerms(correlation, self.update_block.recurrent_block.prepare(earlier.context), origin)
        return terms, UpdateState(earlier.hidden, origin if flow_init is None else origin + flow_init)

    def correlate(self, earlier: EncodedFrame, later: EncodedFrame) -> Correlation:
        """Correlate two encoded frames; `raftline.raft.correlation.choose_correlation` says how the result is held."""
        return correlate(earlier.features, later.features, self.dimensions.radius)

    def step(self, terms: PairTerms, state: UpdateState) -> UpdateState:
        """Run one update. No value is read on the host, so that it can be recorded."""
        coords = state.coords.detach()
        dtype = self.precision.update
        correlation, flow = terms.correlation.lookup(coords).to(dtype), (coords - terms.origin).to(dtype)
        hidden, delta = self.update_block(state.hidden, terms.gates, correlation, flow)
        return UpdateState(hidden, coords + delta.float())

    def upsample(self, coarse: CoarseFlow, crop: Crop | None = None) -> Tensor:
        """Upsample to (B, 2, H, W) float32 in px, or the crop of it; channels-last in memory."""
        if self.mask_predictor is None:
            return upsample_bilinear(coarse.flow, crop)
        return upsample_convex(coarse.flow, self.upsampling_weights(coarse), crop)

    def upsampling_weights(self, coarse: CoarseFlow) -> Tensor:
        """Predict (B, 576, H/8, W/8) weights, before the softmax. Not for bilinear upsampling."""
        assert self.mask_predictor is not None
        if isinstance(self.mask_predictor, GuidedMaskPredictor):
            return self.mask_predictor(coarse.hidden, coarse.guide, coarse.flow)
        return self.mask_predictor(coarse.hidden)


def grid_coordinates(like: Tensor) -> Tensor:
    """Make (B, 2, H, W) float32: the (x, y) of each cell itself."""
    batch, _, height, width = like.shape
    y = torch.arange(height, device=like.device, dtype=torch.float32)
    x = torch.arange(width, device=like.device, dtype=torch.float32)
    grid_y, grid_x = torch.meshgrid(y, x, indexing="ij")
    coordinates = torch.stack([grid_x, grid_y]).expand(batch, 2, height, width)
    return coordinates.contiguous(memory_format=torch.channels_last)

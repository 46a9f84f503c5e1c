"""What is exported: the network of a pair, and one step of a stream, in plain operations that every runtime has."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from raftline.kernels.bilinear_upsample import reference as bilinear_reference
from raftline.kernels.convex_upsample import reference as convex_reference
from raftline.kernels.lookup import reference as lookup_reference
from raftline.raft.correlation import AllPairsCorrelation
from raftline.raft.model import CoarseFlow, EncodedFrame, Raft

STREAM_INPUTS = ("image", "features", "hidden", "context", "guide", "flow")
STREAM_OUTPUTS = ("flow_px", "next_features", "next_hidden", "next_context", "next_guide", "next_flow")
PAIR_INPUTS, PAIR_OUTPUTS = ("image1", "image2"), ("flow_px",)


class PairNetwork(nn.Module):
    """Two frames -> flow at every pixel.

    Args:
        model: in eval mode, float32, on the CPU.
        iterations: updates of the flow.
    """

    def __init__(self, model: Raft, iterations: int) -> None:
        super().__init__()
        self.model, self.iterations = model, iterations

    def forward(self, image1: Tensor, image2: Tensor) -> Tensor:
        """Estimate (1, 2, H, W) px from images (1, 3, H, W) of [0, 255]; H and W are multiples of 8."""
        earlier, later = (self.model.encode(image / 127.5 - 1) for image in (image1, image2))
        return _full_size(self.model, _updated(self.model, earlier, later, None, self.iterations))


class StreamStep(nn.Module):
    """A frame, and what the step before left -> flow at every pixel, and what the next step takes.

    Args:
        model: in eval mode, float32, on the CPU.
        iterations: updates of the flow.
    """

    def __init__(self, model: Raft, iterations: int) -> None:
        super().__init__()
        self.model, self.iterations = model, iterations

    def forward(
        self, image: Tensor, features: Tensor, hidden: Tensor, context: Tensor, guide: Tensor, flow: Tensor
    ) -> tuple[Tensor, ...]:
        """Go one frame further.

        Args:
            image: (1, 3, H, W) of [0, 255], the new frame; H and W are multiples of 8.
            features, hidden, context, guide: of the last frame, (1, C, H/8, W/8) each.
            flow: (1, 2, H/8, W/8) in cells of 8 px, where the updates start: the last step's, or zeros.

        Returns:
            (1, 2, H, W) px from the last frame to this one; then this frame's features, hidden, context and guide, and
            the flow in cells.
        """
        earlier, later = EncodedFrame(features, hidden, context, guide), self.model.encode(image / 127.5 - 1)
        coarse = _updated(self.model, earlier, later, flow, self.iterations)
        return (_full_size(self.model, coarse), *later, coarse.flow)


class _PlainLookup:
    """The correlation of all pairs, looked up by operations of torch alone."""

    def __init__(self, earlier: Tensor, later: Tensor, radius: int) -> None:
        self.radius = radius
        with torch.no_grad():
            self._levels = AllPairsCorrelation(earlier, later, radius).levels

    def lookup(self, coords: Tensor) -> Tensor:
        """See `raftline.raft.correlation.Correlation`."""
        return lookup_reference.lookup(self._levels, coords, self.radius)


def _updated(
    model: Raft, earlier: EncodedFrame, later: EncodedFrame, flow_init: Tensor | None, iterations: int
) -> CoarseFlow:
    correlation = _PlainLookup(earlier.features, later.features, model.dimensions.radius)
    terms, state = model.begin(earlier, correlation, flow_init)
    for _ in range(iterations):
        state = model.step(terms, state)
    return CoarseFlow(state.coords - terms.origin, state.hidden, earlier.guide, iterations)


def _full_size(model: Raft, coarse: CoarseFlow) -> Tensor:
    if model.mask_predictor is None:
        return bilinear_reference.bilinear_upsample(coarse.flow)
    return convex_reference.convex_upsample(coarse.flow, model.upsampling_weights(coarse))

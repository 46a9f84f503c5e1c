"""The update operator: motion encoder, ConvGRU, flow head (section 3.3 of arXiv 2003.12039).

The context does not change from one iteration to the next, and a convolution is linear in its input channels:
what the context adds to the GRU's gates is computed once per pair (`RecurrentBlock.prepare`), a quarter of the
update's arithmetic in RAFT-small. The reset and update gates read the same input and are one convolution.
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from raftline.raft.encoders import ConvNormReLU


class MotionEncoder(nn.Module):
    """Correlation and flow -> motion features. The flow itself is the last two channels."""

    def __init__(
        self, corr_channels: int, corr_widths: tuple[int, ...], flow_widths: tuple[int, int], out_channels: int
    ) -> None:
        super().__init__()
        self.convcorr1 = ConvNormReLU(corr_channels, corr_widths[0], 1)
        self.convcorr2 = ConvNormReLU(corr_widths[0], corr_widths[1], 3) if len(corr_widths) == 2 else nn.Identity()
        self.convflow1 = ConvNormReLU(2, flow_widths[0], 7)
        self.convflow2 = ConvNormReLU(flow_widths[0], flow_widths[1], 3)
        self.conv = ConvNormReLU(corr_widths[-1] + flow_widths[-1], out_channels - 2, 3)

    def forward(self, flow: Tensor, correlation: Tensor) -> Tensor:
        motion = self.conv(self.seen(flow, correlation))
        return torch.cat([motion, flow], dim=1)

    def seen(self, flow: Tensor, correlation: Tensor) -> Tensor:
        """What the last convolution makes motion features of."""
        corr_features = self.convcorr2(self.convcorr1(correlation))
        flow_features = self.convflow2(self.convflow1(flow))
        return torch.cat([corr_features, flow_features], dim=1)


class GateTerms(NamedTuple):
    """What stays the same over the iterations of one pair."""

    zr_weight: Tensor
    zr_context: Tensor
    q_weight: Tensor
    q_context: Tensor


class ConvGRU(nn.Module):
    """A convolutional gated recurrent unit over [hidden, context, motion] channels."""

    def __init__(self, hidden: int, context: int, motion: int, kernel_size: tuple[int, int]) -> None:
        super().__init__()
        self.hidden = hidden
        self.context = context
        self.padding = (kernel_size[0] // 2, kernel_size[1] // 2)
        channels = hidden + context + motion
        self.convz = nn.Conv2d(channels, hidden, kernel_size, padding=self.padding)
        self.convr = nn.Conv2d(channels, hidden, kernel_size, padding=self.padding)
        self.convq = nn.Conv2d(channels, hidden, kernel_size, padding=self.padding)

    def split(self, weight: Tensor) -> tuple[Tensor, Tensor]:
        """Kernel over all input channels -> (over hidden and motion, over context)."""
        begin, end = self.hidden, self.hidden + self.context
        return torch.cat([weight[:, :begin], weight[:, end:]], dim=1), weight[:, begin:end]

    def prepare(self, context: Tensor) -> GateTerms:
        zr_weight, zr_context_weight = self.split(torch.cat([self.convz.weight, self.convr.weight]))
        q_weight, q_context_weight = self.split(self.convq.weight)
        zr_bias = torch.cat([self.convz.bias, self.convr.bias])  # type: ignore[list-item]
        zr_context = F.conv2d(context, zr_context_weight, zr_bias, padding=self.padding)
        q_context = F.conv2d(context, q_context_weight, self.convq.bias, padding=self.padding)
        layout = torch.channels_last if context.is_contiguous(memory_format=torch.channels_last) else None
        if layout is not None:
            zr_weight, q_weight = zr_weight.contiguous(memory_format=layout), q_weight.contiguous(memory_format=layout)
        return GateTerms(zr_weight, zr_context, q_weight, q_context)

    def forward(self, hidden: Tensor, motion: Tensor, terms: GateTerms) -> Tensor:
        hx = torch.cat([hidden, motion], dim=1)
        zr = torch.sigmoid(F.conv2d(hx, terms.zr_weight, padding=self.padding) + terms.zr_context)
        z, r = zr.chunk(2, dim=1)
        rhx = torch.cat([r * hidden, motion], dim=1)
        q = torch.tanh(F.conv2d(rhx, terms.q_weight, padding=self.padding) + terms.q_context)
        # Under autocast the gates are of 16 bits, the hidden state is not.
        return torch.lerp(hidden, q.to(hidden.dtype), z.to(hidden.dtype))


class RecurrentBlock(nn.Module):
    """One ConvGRU (3x3, small) or two (1x5 then 5x1, large)."""

    def __init__(self, hidden: int, context: int, motion: int, kernel_sizes: tuple[tuple[int, int], ...]) -> None:
        super().__init__()
        for number, kernel_size in enumerate(kernel_sizes, start=1):
            self.add_module(f"convgru{number}", ConvGRU(hidden, context, motion, kernel_size))

    def prepare(self, context: Tensor) -> list[GateTerms]:
        return [gru.prepare(context) for gru in self.children()]  # type: ignore[operator]

    def forward(self, hidden: Tensor, motion: Tensor, terms: list[GateTerms]) -> Tensor:
        for gru, gru_terms in zip(self.children(), terms, strict=True):
            hidden = gru(hidden, motion, gru_terms)
        return hidden


class FlowHead(nn.Module):
    """Hidden state -> flow update in cells of the 1/8 grid."""

    def __init__(self, in_channels: int, hidden: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, hidden, 3, padding=1)
        self.conv2 = nn.Conv2d(hidden, 2, 3, padding=1)

    def forward(self, hidden: Tensor) -> Tensor:
        return self.conv2(F.relu(self.conv1(hidden)))


class UpdateBlock(nn.Module):
    """(hidden state, flow, correlation) -> (new hidden state, flow update)."""

    def __init__(self, motion_encoder: MotionEncoder, recurrent_block: RecurrentBlock, flow_head: FlowHead) -> None:
        super().__init__()
        self.motion_encoder = motion_encoder
        self.recurrent_block = recurrent_block
        self.flow_head = flow_head

    def forward(
        self, hidden: Tensor, terms: list[GateTerms], correlation: Tensor, flow: Tensor
    ) -> tuple[Tensor, Tensor]:
        motion = self.motion_encoder(flow, correlation)
        hidden = self.recurrent_block(hidden, motion, terms)
        return hidden, self.flow_head(hidden)

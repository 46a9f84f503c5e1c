"""The feature encoder and the context encoder: one network, differing in width and normalisation.

Module names follow torchvision's state-dict keys, so that its files load as they are.
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Norm = Callable[[int], nn.Module]


class InstanceNorm(nn.Module):
    """Zero mean and unit variance per image and channel, without parameters.

    A group norm with one channel per group: unlike torch's instance norm it keeps channels-last memory, and takes a
    quarter of the time on a CPU.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.channels = channels

    def forward(self, x: Tensor) -> Tensor:
        if x.is_cpu and x.dtype is torch.bfloat16 and self.channels % 16:
            # torch has vector instructions for this in float32 only: a quarter of the time, conversions included.
            return F.group_norm(x.float(), self.channels).to(x.dtype)
        return F.group_norm(x, self.channels)


class ConvNormReLU(nn.Sequential):
    """Convolution with "same" padding, then an optional norm, then an optional ReLU."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        *,
        norm: Norm | None = None,
        stride: int = 1,
        relu: bool = True,
    ) -> None:
        layers: list[nn.Module] = [
            nn.Conv2d(in_channels, out_channels, kernel_size, stride=stride, padding=kernel_size // 2)
        ]
        if norm is not None:
            layers.append(norm(out_channels))
        if relu:
            layers.append(nn.ReLU(inplace=True))
        super().__init__(*layers)


def _projection(in_channels: int, out_channels: int, norm: Norm | None, stride: int) -> nn.Module:
    if stride == 1:
        return nn.Identity()
    return ConvNormReLU(in_channels, out_channels, 1, norm=norm, stride=stride, relu=False)


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions and a shortcut: RAFT-large."""

    def __init__(self, in_channels: int, out_channels: int, norm: Norm | None, stride: int) -> None:
        super().__init__()
        self.convnormrelu1 = ConvNormReLU(in_channels, out_channels, 3, norm=norm, stride=stride)
        self.convnormrelu2 = ConvNormReLU(out_channels, out_channels, 3, norm=norm)
        self.downsample = _projection(in_channels, out_channels, norm, stride)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        return self.relu(self.before_relu(x))

    def before_relu(self, x: Tensor) -> Tensor:
        return self.downsample(x) + self.convnormrelu2(self.convnormrelu1(x))


class BottleneckBlock(nn.Module):
    """1x1 down to a quarter of the channels, 3x3, 1x1 up, and a shortcut: RAFT-small."""

    def __init__(self, in_channels: int, out_channels: int, norm: Norm | None, stride: int) -> None:
        super().__init__()
        inner = out_channels // 4
        self.convnormrelu1 = ConvNormReLU(in_channels, inner, 1, norm=norm)
        self.convnormrelu2 = ConvNormReLU(inner, inner, 3, norm=norm, stride=stride)
        self.convnormrelu3 = ConvNormReLU(inner, out_channels, 1, norm=norm)
        self.downsample = _projection(in_channels, out_channels, norm, stride)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        return self.relu(self.before_relu(x))

    def before_relu(self, x: Tensor) -> Tensor:
        return self.downsample(x) + self.convnormrelu3(self.convnormrelu2(self.convnormrelu1(x)))


class Encoder(nn.Module):
    """(B, 3, H, W) in [-1, 1] -> (B, out_channels, H/8, W/8). H and W are multiples of 8.

    `widths` are the channels after the stem and after each of the three pairs of blocks.
    """

    def __init__(
        self,
        block: type[ResidualBlock] | type[BottleneckBlock],
        widths: tuple[int, int, int, int],
        out_channels: int,
        norm: Norm | None,
    ) -> None:
        super().__init__()
        self.convnormrelu = ConvNormReLU(3, widths[0], 7, norm=norm, stride=2)
        self.layer1 = self._two_blocks(block, widths[0], widths[1], norm, stride=1)
        self.layer2 = self._two_blocks(block, widths[1], widths[2], norm, stride=2)
        self.layer3 = self._two_blocks(block, widths[2], widths[3], norm, stride=2)
        self.conv = nn.Conv2d(widths[3], out_channels, 1)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    @staticmethod
    def _two_blocks(
        block: type[ResidualBlock] | type[BottleneckBlock],
        in_channels: int,
        out_channels: int,
        norm: Norm | None,
        stride: int,
    ) -> nn.Sequential:
        return nn.Sequential(
            block(in_channels, out_channels, norm, stride),
            block(out_channels, out_channels, norm, 1),
        )

    def forward(self, image: Tensor) -> Tensor:
        x = self.convnormrelu(image)
        x = self.layer3(self.layer2(self.layer1(x)))
        return self.conv(x)

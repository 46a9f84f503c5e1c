"""The encoders' parts that are written differently from the paper's, against its meaning."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from raftline.raft.encoders import InstanceNorm

# torch takes the variance from sums of squares, and loses digits where the mean is several times the spread.
FLOAT32_TOLERANCE = 1e-4
# Eight bits of mantissa.
BFLOAT16_RELATIVE = 2.0**-8


def normal_numbers(channels: int) -> Tensor:
    """(2, channels, 24, 40), channels-last, every image and channel with a mean and a spread of its own."""
    generator = torch.Generator().manual_seed(0)
    numbers = torch.randn(2, channels, 24, 40, generator=generator)
    spread, mean = torch.randn(2, 2, channels, 1, 1, generator=generator)
    return (numbers * spread.abs().clamp(min=0.5) + mean).contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("channels", [8, 24, 32])
def test_every_image_and_channel_gets_zero_mean_and_unit_variance(channels: int) -> None:
    x = normal_numbers(channels)
    expected = torch.nn.functional.instance_norm(x)
    torch.testing.assert_close(InstanceNorm(channels)(x), expected, atol=FLOAT32_TOLERANCE, rtol=0)


@pytest.mark.parametrize("channels", [8, 24, 32])
def test_a_norm_in_bfloat16_sums_in_float32_and_keeps_the_layout(channels: int) -> None:
    x = normal_numbers(channels).bfloat16()
    found = InstanceNorm(channels)(x)
    assert found.dtype is torch.bfloat16
    assert found.is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(
        found.float(), InstanceNorm(channels)(x.float()), atol=FLOAT32_TOLERANCE, rtol=BFLOAT16_RELATIVE
    )

"""The losses of compression, on any device: JPEG's and H.264's quantised blocks, without their bit streams.

Simulated are transform blocks, a dead zone, chroma at half the resolution, prediction from the last decoded frame (so
that what does not change is copied, errors included) and a deblocking filter. H.264's intra prediction and sub-pixel
motion search are not.
"""

import functools
import math

import torch
import torch.nn.functional as F
from torch import Tensor

BLOCK = 8
"""Side of a transform block, px: JPEG's, and the larger one of H.264's High profile."""
# ITU-T T.81, annex K, tables K.1 and K.2: quantisation at quality 50.
_LUMA = (
    (16, 11, 10, 16, 24, 40, 51, 61),
    (12, 12, 14, 19, 26, 58, 60, 55),
    (14, 13, 16, 24, 40, 57, 69, 56),
    (14, 17, 22, 29, 51, 87, 80, 62),
    (18, 22, 37, 56, 68, 109, 103, 77),
    (24, 35, 55, 64, 81, 104, 113, 92),
    (49, 64, 78, 87, 103, 121, 120, 101),
    (72, 92, 95, 98, 112, 100, 103, 99),
)
_CHROMA_LOW = ((17, 18, 24, 47), (18, 21, 26, 66), (24, 26, 56, 99), (47, 66, 99, 99))
_CHROMA_HIGH = 99.0
# BT.601, full range, as JFIF.
_TO_YCC = ((0.299, 0.587, 0.114), (-0.168736, -0.331264, 0.5), (0.5, -0.418688, -0.081312))
_TO_RGB = ((1.0, 0.0, 1.402), (1.0, -0.344136, -0.714136), (1.0, 1.772, 0.0))
# Rounding offsets of H.264's reference encoder (JM), as shares of a quantisation step.
_INTRA_DEAD_ZONE = 1 / 3
_INTER_DEAD_ZONE = 1 / 6


def jpeg(frames: Tensor, quality: Tensor) -> Tensor:
    """Quantise frames as JPEG does.

    Args:
        frames: (N, 3, H, W) RGB, 0 to 255, sides multiples of 8.
        quality: (N,), libjpeg's scale from 1 to 100.

    Returns:
        The same shape.
    """
    scale = torch.where(quality < 50, 5000 / quality.clamp(min=1), 200 - 2 * quality) / 100
    steps = (_tables(frames.device) * scale.view(-1, 1, 1, 1)).round().clamp_(min=1)
    planes = _to_ycc(frames)
    quantised = torch.round(_transform(planes - 128) / steps[:, :, None, :, None, :])
    return _to_rgb(_inverse(quantised * steps[:, :, None, :, None, :]) + 128)


def h264_like(frames: Tensor, flows: Tensor, quantiser: Tensor) -> Tensor:
    """Quantise one intra frame, and frames predicted from the one before.

    Args:
        frames: (N, T, 3, H, W) RGB, 0 to 255, sides multiples of 8.
        flows: (N, T - 1, 2, H, W) px: the motion vectors, averaged by block and rounded to whole pixels.
        quantiser: (N,) H.264's QP, 0 to 51.

    Returns:
        The same shape as `frames`.
    """
    step = (0.625 * 2 ** (quantiser / 6)).view(-1, 1, 1, 1)  # ITU-T H.264, 8.5: doubles every 6, 0.625 at 0
    planes = _to_ycc(frames.flatten(0, 1)).view_as(frames)
    decoded = [_deblock(_coded(planes[:, 0] - 128, step, _INTRA_DEAD_ZONE) + 128, step)]
    for number in range(1, frames.shape[1]):
        predicted = _predicted(decoded[-1], flows[:, number - 1])
        residual = _coded(planes[:, number] - predicted, step, _INTER_DEAD_ZONE)
        decoded.append(_deblock(predicted + residual, step))
    return _to_rgb(torch.stack(decoded, dim=1).flatten(0, 1)).view_as(frames)


def _coded(planes: Tensor, step: Tensor, dead_zone: float) -> Tensor:
    levels = _transform(planes) / step[..., None, None]
    return _inverse(levels.sign() * torch.floor(levels.abs() + dead_zone) * step[..., None, None])


def _predicted(last: Tensor, flow: Tensor) -> Tensor:
    """Fetch each block from where its mean flow, in whole pixels, came from."""
    height, width = last.shape[-2:]
    vectors = F.avg_pool2d(flow, BLOCK).round().repeat_interleave(BLOCK, 2).repeat_interleave(BLOCK, 3)
    y = torch.arange(height, device=last.device, dtype=torch.float32)[:, None] - vectors[:, 1]
    x = torch.arange(width, device=last.device, dtype=torch.float32) - vectors[:, 0]
    index = y.clamp(0, height - 1).long() * width + x.clamp(0, width - 1).long()
    return last.flatten(2).gather(2, index.flatten(1)[:, None].expand(-1, 3, -1)).view_as(last)


def _deblock(planes: Tensor, step: Tensor) -> Tensor:
    """Smooth each block edge by a quarter of its jump, if the jump is below a quantisation step. Chosen by hand."""
    planes = planes.clone()
    for axis in (2, 3):
        size = planes.shape[axis]
        before = torch.arange(BLOCK - 1, size - 1, BLOCK, device=planes.device)
        p, q = planes.index_select(axis, before), planes.index_select(axis, before + 1)
        jump = q - p
        change = torch.where(jump.abs() < step, jump / 4, 0.0)
        planes.index_copy_(axis, before, p + change)
        planes.index_copy_(axis, before + 1, q - change)
    return planes


def _transform(planes: Tensor) -> Tensor:
    """(N, C, H, W) -> (N, C, H/8, 8, W/8, 8): orthonormal DCT of each block, frequency in the places of 8."""
    batch, channels, height, width = planes.shape
    matrix = _cosines(planes.device)
    rows = (planes.reshape(-1, BLOCK) @ matrix.T).view(batch, channels, height // BLOCK, BLOCK, width)
    return (matrix @ rows).view(batch, channels, height // BLOCK, BLOCK, width // BLOCK, BLOCK)


def _inverse(coefficients: Tensor) -> Tensor:
    batch, channels, blocks_y, _, blocks_x, _ = coefficients.shape
    matrix = _cosines(coefficients.device)
    rows = matrix.T @ coefficients.reshape(batch, channels, blocks_y, BLOCK, blocks_x * BLOCK)
    return (rows.reshape(-1, BLOCK) @ matrix).view(batch, channels, blocks_y * BLOCK, blocks_x * BLOCK)


def _to_ycc(frames: Tensor) -> Tensor:
    """Y, Cb, Cr about 128 for chroma, which is brought to half the resolution and back."""
    ycc = torch.einsum("ij,njhw->nihw", _matrix(_TO_YCC, frames.device), frames)
    chroma = F.avg_pool2d(ycc[:, 1:], 2)
    chroma = F.interpolate(chroma, scale_factor=2, mode="nearest")
    return torch.cat([ycc[:, :1], chroma + 128], dim=1)


def _to_rgb(planes: Tensor) -> Tensor:
    centred = torch.cat([planes[:, :1], planes[:, 1:] - 128], dim=1)
    return torch.einsum("ij,njhw->nihw", _matrix(_TO_RGB, planes.device), centred).clamp_(0, 255)


@functools.lru_cache(maxsize=8)
def _matrix(values: tuple[tuple[float, ...], ...], device: torch.device) -> Tensor:
    return torch.tensor(values, device=device)


@functools.lru_cache(maxsize=4)
def _cosines(device: torch.device) -> Tensor:
    """(8, 8): row k is the k-th cosine."""
    k = torch.arange(BLOCK, dtype=torch.float64)
    matrix = torch.cos(math.pi * (2 * k + 1) * k[:, None] / (2 * BLOCK)) * math.sqrt(2 / BLOCK)
    matrix[0] /= math.sqrt(2)
    return matrix.float().to(device)


@functools.lru_cache(maxsize=4)
def _tables(device: torch.device) -> Tensor:
    """(3, 8, 8): of Y, Cb, Cr."""
    chroma = torch.full((BLOCK, BLOCK), _CHROMA_HIGH)
    chroma[:4, :4] = torch.tensor(_CHROMA_LOW)
    luma = torch.tensor(_LUMA, dtype=torch.float32)
    return torch.stack([luma, chroma, chroma]).to(device)

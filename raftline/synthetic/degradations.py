"""What a camera and its stream do to frames: exposure, color, blur, noise, compression.

The ranges that `draw_degradations` draws from were chosen by hand.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from raftline.synthetic.compression import h264_like, jpeg

_KERNEL = 7
"""Side of a blur kernel, px: room for the longest motion blur drawn, 3 px to each side."""
_LUMA = (0.299, 0.587, 0.114)
"""BT.601's weights of red, green and blue."""


@dataclass(frozen=True)
class DegradationOptions:
    """How often each degradation happens: shares of the scenes, 0 to 1. Chosen by hand.

    Raises:
        ValueError: a share out of its range, naming it.
    """

    grey: float = 0.15
    infrared: float = 0.08
    dark: float = 0.12
    exposure: float = 0.4
    blur: float = 0.25
    noise: float = 0.6
    jpeg: float = 0.2
    h264: float = 0.35

    def __post_init__(self) -> None:
        for name, share in vars(self).items():
            if not 0 <= share <= 1:
                raise ValueError(f"{name}: expected a share, 0 to 1; found {share}")
        if self.jpeg + self.h264 > 1:
            raise ValueError(f"jpeg + h264: {self.jpeg + self.h264} is above 1")


@dataclass(frozen=True)
class Degradations:
    """What is done to one scene's three frames, in this order."""

    saturation: float
    """0 is grey, 1 unchanged."""
    gamma: float
    negative: bool
    """Infrared: bright is warm or cold."""
    gains: tuple[float, ...]
    """Of each frame."""
    offset: float
    kernels: np.ndarray | None
    """(3, 7, 7): blur of each frame."""
    noise: float
    """Standard deviation in the dark, grey levels."""
    shot_noise: float
    """Variance for each grey level of light."""
    jpeg_quality: float | None
    h264_quantiser: float | None


def draw_degradations(random: np.random.Generator, options: DegradationOptions) -> Degradations:
    """Draw the degradations of a scene."""
    infrared = random.random() < options.infrared
    grey = infrared or random.random() < options.grey
    dark = random.random() < options.dark
    gain = random.uniform(0.12, 0.5) if dark else 1.0
    flicker = random.uniform(0, 0.12) if random.random() < options.exposure else 0.0
    noise = math.exp(random.uniform(math.log(0.5), math.log(14))) if random.random() < options.noise else 0.0
    codec = random.random()
    return Degradations(
        saturation=0.0 if grey else float(random.uniform(0.5, 1.3)),
        gamma=float(np.exp(random.normal(0, 0.6 if infrared else 0.15))),
        negative=infrared and random.random() < 0.3,
        gains=tuple(float(gain * np.exp(flicker * value)) for value in random.normal(0, 1, 3)),
        offset=0.0 if dark else float(random.normal(0, 8)),
        kernels=_draw_kernels(random) if random.random() < options.blur else None,
        noise=noise * (0.7 if dark else 1),
        shot_noise=noise**2 / 128 * random.random(),
        jpeg_quality=float(random.uniform(12, 90)) if codec < options.jpeg else None,
        h264_quantiser=float(random.uniform(20, 42)) if options.jpeg <= codec < options.jpeg + options.h264 else None,
    )


def degrade(frames: Tensor, flows: Tensor, degradations: Sequence[Degradations], noise_seed: int) -> Tensor:
    """Degrade the frames of B scenes.

    Args:
        frames: (B, 3, 3, H, W) RGB, 0 to 255: frame, then channel. May be changed in place.
        flows: (B, 2, 2, H, W) px, for the codec's prediction.
        degradations: one for each scene.
        noise_seed: seed of the noise, which is reproducible on devices of one kind.

    Returns:
        The same shape, in whole grey levels.
    """
    frames = _lit(frames, degradations)
    blurred = [row for row, each in enumerate(degradations) if each.kernels is not None]
    if blurred:
        frames[blurred] = _blurred(
            frames[blurred], np.stack([each.kernels for each in degradations if each.kernels is not None])
        )
    frames = _noisy(frames, degradations, noise_seed)
    quality = {row: each.jpeg_quality for row, each in enumerate(degradations) if each.jpeg_quality is not None}
    if quality:
        rows = list(quality)
        values = torch.tensor(list(quality.values()), device=frames.device).repeat_interleave(3)
        frames[rows] = jpeg(frames[rows].flatten(0, 1), values).view(len(rows), *frames.shape[1:])
    quantiser = {row: each.h264_quantiser for row, each in enumerate(degradations) if each.h264_quantiser is not None}
    if quantiser:
        rows = list(quantiser)
        values = torch.tensor(list(quantiser.values()), device=frames.device)
        frames[rows] = h264_like(frames[rows], flows[rows], values)
    return frames.round_().clamp_(0, 255)


def _lit(frames: Tensor, degradations: Sequence[Degradations]) -> Tensor:
    def column(values: Sequence[object]) -> Tensor:
        return torch.from_numpy(np.asarray(values, np.float32)).to(frames.device).view(len(degradations), -1, 1, 1, 1)

    weights = torch.tensor(_LUMA, device=frames.device).view(3, 1, 1)
    luma = (frames * weights).sum(dim=2, keepdim=True)
    frames = torch.lerp(luma, frames, column([d.saturation for d in degradations])).clamp_(0, 255)
    frames = (frames / 255).pow_(column([d.gamma for d in degradations])).mul_(255)
    sign = column([-1.0 if d.negative else 1.0 for d in degradations])
    frames = frames * sign + column([255.0 if d.negative else 0.0 for d in degradations])
    return (
        frames.mul_(column([d.gains for d in degradations]))
        .add_(column([d.offset for d in degradations]))
        .clamp_(0, 255)
    )


def _blurred(frames: Tensor, kernels: np.ndarray) -> Tensor:
    """frames (n, 3, 3, H, W) by kernels (n, 3, 7, 7)."""
    height, width = frames.shape[-2:]
    weight = torch.from_numpy(kernels.astype(np.float32)).to(frames.device)
    weight = weight.view(-1, 1, _KERNEL, _KERNEL).repeat_interleave(3, dim=0)
    padded = F.pad(frames.reshape(-1, 3, height, width), (_KERNEL // 2,) * 4, mode="replicate")
    planes = padded.view(1, -1, height + _KERNEL - 1, width + _KERNEL - 1)
    return F.conv2d(planes, weight, groups=weight.shape[0]).view(frames.shape)


def _draw_kernels(random: np.random.Generator) -> np.ndarray:
    """Draw one defocus for all frames, or a motion blur for each."""
    y, x = np.mgrid[-3:4, -3:4].astype(np.float64)
    if random.random() < 0.5:
        kernel = np.exp(-(x**2 + y**2) / (2 * random.uniform(0.4, 1.6) ** 2))
        return np.repeat((kernel / kernel.sum())[None], 3, axis=0)
    kernels = []
    for _ in range(3):
        angle, length = random.uniform(0, np.pi), random.uniform(0, 3)
        along, across = x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)
        kernel = np.exp(-(np.clip(np.abs(along) - length, 0, None) ** 2 + across**2) / 0.5)
        kernels.append(kernel / kernel.sum())
    return np.stack(kernels)


def _noisy(frames: Tensor, degradations: Sequence[Degradations], seed: int) -> Tensor:
    rows = [row for row, each in enumerate(degradations) if each.noise > 0]
    if not rows:
        return frames
    generator = torch.Generator(frames.device).manual_seed(seed)
    chosen = frames[rows]
    read, shot = (
        torch.tensor([getattr(degradations[row], name) for row in rows], device=frames.device).view(-1, 1, 1, 1, 1)
        for name in ("noise", "shot_noise")
    )
    noise = torch.randn(chosen.shape, generator=generator, device=frames.device)
    # Sensors clip and round before a codec sees the image.
    frames[rows] = torch.addcmul(chosen, noise, (read**2 + shot * chosen).sqrt_()).round_().clamp_(0, 255)
    return frames

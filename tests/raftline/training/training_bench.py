"""The smallest training there is, for tests."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from raftline.synthetic.clip_batch import ClipBatch
from raftline.training.options import TrainOptions, WarmStartOptions
from raftline.training.options_file import check_values, read_values

CPU = torch.device("cpu")


def small_options(output: Path, **overrides: Any) -> TrainOptions:
    """One clip of 128x128 a step, few iterations."""
    config = output.parent / "config.yaml"
    config.write_text(
        f"output: {output}\nsteps: 8\nheight: 128\nwidth: 128\nthreads: 1\niterations: 2\n"
        "synthetic: {clips: 1, tile_px: 128}\nwarm_start: {iterations: 2, repeats: 1}\n"
        "validation: {clips: 1, every_steps: 1000, iterations: 2}\nsave_every_steps: 1000\nlog_every_steps: 1000\n"
    )
    values = read_values(config)
    for path, value in overrides.items():
        *sections, key = path.split(".")
        group = values
        for section in sections:
            group = group.setdefault(section, {})
        group[key] = value
    return check_values(values, str(config))


def shifted_clips(batch: int = 1, frames: int = 3, shift_px: int = 4, seed: int = 0) -> ClipBatch:
    """Noise of 128x128 that moves right by whole pixels."""
    generator = torch.Generator().manual_seed(seed)
    wide = torch.rand(batch, 3, 32, 64, generator=generator).repeat_interleave(4, 2).repeat_interleave(4, 3) * 255
    images = [wide[..., 64 - n * shift_px : 192 - n * shift_px] for n in range(frames)]
    flows = torch.zeros(batch, frames - 1, 2, 128, 128)
    flows[:, :, 0] = shift_px
    known = torch.ones(batch, frames - 1, 128, 128, dtype=torch.bool)
    return ClipBatch(torch.stack(images, dim=1), flows, known, None, tuple(f"shifted {n}" for n in range(batch)))


NO_NOISE = WarmStartOptions(share=1.0, adaptive=0.0, iterations=2, repeats=0, noise_px=0.0)

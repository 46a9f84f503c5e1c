"""End-point error on synthetic clips with a fixed seed, cold and warm: what training watches."""

from typing import NamedTuple

import torch

from raftline.kernels.forward_splat import forward_splat
from raftline.raft.model import Raft
from raftline.synthetic.clip_batch import network_input
from raftline.synthetic.clips import SyntheticClips
from raftline.training.loss import end_point_error

_BATCH = 8
"""Bounds memory; the errors are those of clips one by one."""


class Validation(NamedTuple):
    """Means over clips, px."""

    epe_px: float
    """First pair, from zero."""
    warm_epe_px: float
    """Second pair, from the first one's flow carried forward."""


@torch.inference_mode()
def validate(model: Raft, clips: SyntheticClips, count: int, iterations: int, warm_iterations: int) -> Validation:
    """The first `count` clips; `iterations` from zero, `warm_iterations` for the second pair."""
    cold, warm = [], []
    for begin in range(0, count, _BATCH):
        batch = clips.batch(range(begin, min(begin + _BATCH, count)))
        images = network_input(batch.frames)
        first, second, third = (
            model.encode(images[:, number].contiguous(memory_format=torch.channels_last)) for number in range(3)
        )
        refined = model.refine(first, second, iterations)
        carried = model.refine(second, third, warm_iterations, forward_splat(refined.flow).flow)
        for row in range(len(batch.names)):
            of_row = slice(row, row + 1)
            for number, (result, errors) in enumerate(((refined, cold), (carried, warm))):
                flow_px = model.upsample(result)[of_row]
                errors.append(end_point_error(flow_px, batch.flows[of_row, number], batch.valid[of_row, number]))
    return Validation(float(torch.stack(cold).mean()), float(torch.stack(warm).mean()))

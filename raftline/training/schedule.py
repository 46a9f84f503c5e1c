"""The learning rate at a step: a function of the step alone, so that a resumed run goes on as if never stopped."""

import math

from raftline.training.options import ScheduleOptions

# torch.optim.lr_scheduler.OneCycleLR's defaults, which the authors' train.py leaves in place.
_START_DIVISOR = 25.0
_END_DIVISOR = 1e4


def learning_rate(step: int, steps: int, options: ScheduleOptions) -> float:
    """For step 0 to steps - 1."""
    highest = options.learning_rate
    lowest_before = highest / _START_DIVISOR
    risen = options.rise * steps
    if step < risen:
        return lowest_before + (highest - lowest_before) * step / risen
    done = (step - risen) / max(1.0, steps - risen)
    lowest_after = lowest_before / _END_DIVISOR
    share = 1 - done if options.shape == "one_cycle" else 0.5 * (1 + math.cos(math.pi * done))
    return lowest_after + (highest - lowest_after) * share

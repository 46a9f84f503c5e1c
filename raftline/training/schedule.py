"""The learning rate at a step: a function of the step alone, so that a resumed run goes on as if never stopped."""

import math
from dataclasses import dataclass
from typing import Literal

# torch.optim.lr_scheduler.OneCycleLR's defaults, which the authors' train.py leaves in place.
_START_DIVISOR = 25.0
_END_DIVISOR = 1e4


@dataclass(frozen=True)
class ScheduleOptions:
    """How the learning rate goes up and down.

    Raises:
        ValueError: a value out of its range, naming it.
    """

    learning_rate: float = 4e-4
    """The highest."""
    shape: Literal["one_cycle", "cosine"] = "one_cycle"
    """one_cycle: straight up, straight down to nothing (the paper). cosine: straight up, half a cosine down."""
    rise: float = 0.05
    """Share of the steps until the highest is reached."""
    by_layer: bool = False
    """Each layer's rate is this times the root mean square of its weights at the start, so that wide and narrow layers
    move by the same share of themselves."""

    def __post_init__(self) -> None:
        if not self.learning_rate > 0:
            raise ValueError(f"learning_rate: expected above 0, found {self.learning_rate}")
        if self.shape not in ("one_cycle", "cosine"):
            raise ValueError(f"shape: expected one_cycle or cosine, found {self.shape!r}")
        if not 0 <= self.rise < 1:
            raise ValueError(f"rise: expected a share, 0 to below 1; found {self.rise}")


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

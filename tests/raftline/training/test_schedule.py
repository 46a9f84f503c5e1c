"""The learning rate, against torch's own one-cycle schedule, which the paper's code uses."""

from __future__ import annotations

import pytest
import torch

from raftline.training.options import ScheduleOptions
from raftline.training.schedule import learning_rate


def test_one_cycle_is_that_of_torch() -> None:
    steps, highest = 400, 4e-4
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    theirs = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, highest, total_steps=steps, pct_start=0.05, anneal_strategy="linear", cycle_momentum=False
    )
    ours, expected = [], []
    for step in range(steps):
        ours.append(learning_rate(step, steps, ScheduleOptions(learning_rate=highest)))
        expected.append(theirs.get_last_lr()[0])
        optimizer.step()
        theirs.step()
    # torch's phases end on a step's number less one: a shift of one step in 20, of the highest rate.
    assert ours == pytest.approx(expected, abs=highest / 20 * 1.01)
    assert ours[20] == pytest.approx(highest)


def test_the_cosine_begins_low_peaks_and_ends_near_nothing() -> None:
    options = ScheduleOptions(learning_rate=1.0, shape="cosine", rise=0.1)
    rates = [learning_rate(step, 100, options) for step in range(100)]
    assert rates[0] == pytest.approx(0.04)
    assert max(rates) == rates[10] == 1.0
    assert rates[55] == pytest.approx(0.5, abs=0.01)
    assert rates[99] < 0.001

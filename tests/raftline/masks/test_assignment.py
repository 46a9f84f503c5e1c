"""The pairs of the largest total, beside all that there are."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest

from raftline.masks.assignment import largest_total


def best_of_all(gain: np.ndarray) -> float:
    """The largest total of any assignment."""
    wide = gain if gain.shape[0] <= gain.shape[1] else gain.T
    rows = range(wide.shape[0])
    return max(sum(wide[row, chosen[row]] for row in rows) for chosen in permutations(range(wide.shape[1]), len(rows)))


@pytest.mark.parametrize("shape", [(1, 1), (1, 4), (4, 1), (3, 5), (5, 3), (5, 5)])
def test_no_other_pairs_have_a_larger_total(shape: tuple[int, int]) -> None:
    for seed in range(20):
        gain = np.random.default_rng(seed).normal(size=shape)
        gain = np.round(gain) if seed % 3 == 0 else np.maximum(gain, 0.0) if seed % 3 == 1 else gain
        pairs = largest_total(gain)
        assert [len({pair[side] for pair in pairs}) for side in (0, 1)] == [min(shape)] * 2
        assert pairs == sorted(pairs)
        assert sum(gain[pair] for pair in pairs) == pytest.approx(best_of_all(gain))

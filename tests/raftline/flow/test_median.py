from __future__ import annotations

import numpy as np
import pytest

from raftline.flow.median import median


@pytest.mark.parametrize("count", [1, 2, 7, 400])
def test_the_median_is_numpys(count: int) -> None:
    values = np.random.default_rng(count).normal(size=count)
    assert median(values) == np.median(values)

from __future__ import annotations

import numpy as np
import pytest

from raftline.masks.margin import with_margin

MASK = np.zeros((60, 80), np.uint8)
MASK[30, 40] = 255


@pytest.mark.parametrize("margin_px", [1, 5])
def test_a_margin_reaches_equally_far_to_all_sides(margin_px: int) -> None:
    y, x = np.mgrid[-30:30, -40:40]
    np.testing.assert_array_equal(with_margin(MASK, margin_px) > 0, np.hypot(x, y) <= margin_px)


def test_without_a_margin_or_a_mask_nothing_is_copied() -> None:
    empty = np.zeros_like(MASK)
    assert with_margin(MASK, 0) is MASK and with_margin(empty, 5) is empty

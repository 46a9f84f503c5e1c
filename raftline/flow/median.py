"""The median of some numbers."""

from __future__ import annotations

import numpy as np


def median(values: np.ndarray) -> float:
    """Return the median of some numbers, at least one: `np.median` without its checks, which take as long again."""
    flat, half = values.reshape(-1), values.size // 2
    if values.size % 2:
        return float(np.partition(flat, half)[half])
    ranked = np.partition(flat, (half - 1, half))
    return 0.5 * (float(ranked[half - 1]) + float(ranked[half]))

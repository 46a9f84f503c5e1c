from __future__ import annotations

import numpy as np

from raftline.camera.robust_weights import TUKEY_SIGMAS, tukey_weights


def test_weights_fall_from_one_to_zero_at_the_reach() -> None:
    weights = tukey_weights(np.array([0.0, 1.0, 4.0, 2 * TUKEY_SIGMAS, 99.0], np.float32), sigma=2.0)
    assert weights.dtype == np.float32
    assert weights[0] == 1.0 and (np.diff(weights[:4]) < 0).all() and (weights[3:] == 0.0).all()

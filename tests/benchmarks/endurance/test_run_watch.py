"""A slope that says whether something grows, and how certain that is."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.endurance.run_watch import growth


def test_what_grows_by_the_clock_has_its_slope_and_no_doubt() -> None:
    found = growth([(60.0 * minute, 10.0 + minute) for minute in range(30)])
    assert found == pytest.approx(
        {"first": 10.0, "last": 39.0, "peak": 39.0, "per_hour": 60.0, "spread": 0.0, "slope_error": 0.0}, abs=2e-3
    )


def test_noise_alone_has_a_slope_within_its_error() -> None:
    noise = np.random.default_rng(3).normal(0, 1, 400)
    found = growth([(float(second), 50 + value) for second, value in enumerate(noise)])
    assert abs(found["per_hour"]) < 3 * found["slope_error"]
    assert found["spread"] == pytest.approx(1.0, rel=0.1)

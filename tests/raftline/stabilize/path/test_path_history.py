from __future__ import annotations

import json

import numpy as np

from raftline.stabilize.path.path_history import PathHistory


def filled(rate_hz: float, seconds: float = 12.0) -> PathHistory:
    past = PathHistory(5.0)
    for time in np.arange(int(seconds * rate_hz)) / rate_hz:
        past.add(float(time), 1 / rate_hz, np.full(8, time), np.full(8, -time))
    return past


def test_it_holds_a_stretch_of_time_in_few_samples_whatever_the_rate() -> None:
    for rate_hz in (5.0, 30.0, 240.0):
        past = filled(rate_hz)
        assert len(past.times) <= 155
        assert 4.5 < past.times[-1] - past.times[0] <= 5.0
        np.testing.assert_allclose(past.seconds.sum(), 5.0, atol=0.25)


def test_a_sample_is_the_mean_over_its_while() -> None:
    past = filled(240.0)
    np.testing.assert_allclose(past.path[:, 3], past.times, atol=1e-3)
    np.testing.assert_allclose(past.shown[:, 7], -past.times, atol=1e-3)


def test_it_goes_on_from_its_state() -> None:
    past = filled(30.0)
    again = PathHistory.from_state(json.loads(json.dumps(past.state())))
    for each in (past, again):
        each.add(12.0, 1 / 30, np.ones(8), np.ones(8))
    assert again.state() == past.state()
    assert len(json.dumps(past.state())) < 30_000


def test_it_knows_whether_the_path_begins_with_it() -> None:
    past = PathHistory(1.0)
    for at in range(25):
        past.add(at / 30, 1 / 30, np.zeros(8), np.zeros(8))
    assert past.begins and PathHistory.from_state(past.state()).begins
    for at in range(25, 40):
        past.add(at / 30, 1 / 30, np.zeros(8), np.zeros(8))
    assert not past.begins and not PathHistory.from_state(past.state()).begins

"""What can be set: ranges, words and values of earlier versions."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from raftline.flow.options import FlowOptions, warn_once


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"estimator": "lk"}, "estimator: expected raft or dis, found 'lk'"),
        ({"iterations": 0}, "iterations: expected int, 1 to 1000, found 0"),
        ({"iterations": True}, "iterations: expected int, 1 to 1000, found True"),
        ({"cold_iterations": 0}, "cold_iterations: expected int, 1 to 1000, found 0"),
        ({"warm_start": True}, "warm_start: expected never, adaptive or always, found True"),
        ({"region_matching": 1}, "region_matching: expected bool, found 1"),
        ({"correlation": "none"}, "correlation: expected auto, all-pairs or on-demand, found 'none'"),
        ({"early_stop_px": -1.0}, "early_stop_px: expected float or None, at least 0, found -1.0"),
        ({"duplicates": -0.1}, "duplicates: expected float or None, at least 0, found -0.1"),
        ({"scene_cut": 1.5}, "scene_cut: expected float or None, 0 to 1, found 1.5"),
        ({"scene_cut": float("nan")}, "scene_cut: expected float or None, 0 to 1, found nan"),
        ({"threads": 0}, "threads: expected int or None, at least 1, found 0"),
    ],
)
def test_an_option_out_of_range_is_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        FlowOptions(**options)


def test_none_and_whole_numbers_are_taken_where_a_number_may_be_missing() -> None:
    options = FlowOptions(duplicates=None, scene_cut=1, early_stop_px=0)
    assert (options.duplicates, options.scene_cut, options.early_stop_px) == (None, 1, 0)


def test_options_are_given_by_name() -> None:
    with pytest.raises(TypeError):
        FlowOptions(12)  # type: ignore[call-arg]


def test_a_value_of_an_earlier_version_is_read_with_one_warning(caplog: pytest.LogCaptureFixture) -> None:
    warn_once.cache_clear()
    for _ in range(2):
        assert FlowOptions(warm_start="chosen").warm_start == "adaptive"  # type: ignore[arg-type]
    (record,) = caplog.records
    assert record.getMessage().startswith("warm_start: 'chosen' is called 'adaptive' now")


def test_every_option_says_what_it_means() -> None:
    assert all(len(field.metadata["description"]) > 20 for field in dataclasses.fields(FlowOptions))

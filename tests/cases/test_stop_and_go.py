"""Events of what stops and goes on began where it was first seen ever, and overlapped."""

from __future__ import annotations

import pytest

from raftline.masks.options import MotionMaskOptions
from tests.cases.walks import spans_of_events, walk
from tests.raftline.masks.test_motion_masks import AT_ONCE


@pytest.mark.parametrize(("options", "pause"), [(AT_ONCE, 0.6), (MotionMaskOptions(), 1.7), (MotionMaskOptions(), 2.4)])
def test_each_event_of_what_stops_and_goes_begins_where_it_goes_on(options: MotionMaskOptions, pause: float) -> None:
    """Pauses around `hold_seconds` (0.7) and `merge_seconds` (2.0)."""
    goes = [(1.5, 3.3), (3.3 + pause, 4.9 + pause), (4.9 + 2 * pause, 6.1 + 2 * pause)]
    expected = goes if pause > 2.0 else [(goes[0][0], goes[-1][1])]
    told = spans_of_events(walk(goes, 6.2 + 2 * pause + 2.3), options)
    assert told == [pytest.approx(each, abs=0.21) for each in expected]

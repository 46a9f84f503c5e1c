"""OpenCV's DIS behind the session's interface."""

from __future__ import annotations

import numpy as np
import pytest

from raftline.flow.dis import DisSession
from raftline.flow.estimators import Session, open_session
from raftline.flow.options import FlowOptions
from tests.raftline.raft.recipes import waves


def test_what_moves_right_has_flow_to_the_right() -> None:
    session = open_session(FlowOptions(estimator="dis"))
    assert session(waves(240, 320)) is None
    result = session(waves(240, 320, 2))
    assert result is not None and result.flow_px is not None and result.start == "cold"
    # The pattern is periodic, and DIS is off at the borders: the median, within half a pixel.
    for flow_px in (result.flow_px, result.grid_px):
        assert abs(float(np.median(flow_px[..., 0])) - 2) < 0.5
        assert abs(float(np.median(flow_px[..., 1]))) < 0.5
    assert result.grid_px.shape == (30, 40, 2) and result.grid_px.dtype == np.float32


@pytest.mark.parametrize(("height", "width"), [(1, 1), (1, 300), (131, 57)])
def test_any_size_from_one_pixel_is_taken(height: int, width: int) -> None:
    session = DisSession(FlowOptions(duplicates=None))
    session(waves(height, width))
    result = session(waves(height, width, 1))
    assert result is not None and result.flow_px is not None
    assert result.flow_px.shape == (height, width, 2)
    assert np.isfinite(result.flow_px).all()


def test_duplicates_cuts_gaps_and_sizes_are_treated_as_rafts() -> None:
    session: Session = DisSession()
    black = np.zeros((96, 128, 3), np.uint8)
    starts = []
    for frame in (waves(96, 128), waves(96, 128), waves(96, 128, 1), black, waves(96, 136)):
        result = session(frame)
        starts.append(result.start if result else None)
    session.reset()
    assert starts == [None, "duplicate", "cold", "scene_cut", None]
    assert session(waves(96, 136, 1)) is None


def test_the_grid_alone_is_given_where_that_is_asked_for() -> None:
    session = DisSession(FlowOptions(dis_preset="ultrafast"))
    session(waves(128, 128))
    result = session(waves(128, 128, 1), full_resolution=False)
    assert result is not None and result.flow_px is None


def test_the_status_names_the_preset() -> None:
    assert DisSession(FlowOptions(dis_preset="fast")).status.estimator == "dis-fast"


def test_an_unknown_preset_is_refused_with_those_there_are() -> None:
    with pytest.raises(ValueError, match="dis_preset: expected ultrafast, fast, medium or adaptive, found 'best'"):
        FlowOptions(dis_preset="best")  # type: ignore[arg-type]

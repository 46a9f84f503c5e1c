"""Zoom and borders of stabilized frames."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from pipeline.errors import ConfigError
from pipeline.messages import Flow, Message, Stabilized
from pipeline.testing import TestContext, run_stage
from raftline.stabilize.warp.crop import covers
from stages.stabilization import Stabilization
from tests.raftline.synthetic_motion import HEIGHT, WIDTH
from tests.stages.shaken_clip import (
    context_of,
    corrections,
    shaken_flows,
)


@pytest.fixture(scope="module")
def flows() -> list[Flow]:
    return shaken_flows()


def shown_black(messages: Sequence[Message]) -> int:
    """Pixels of 0 in the outputs' luma; the world is nowhere darker than 16."""
    return sum(int((np.asarray(item.frame.planes[0]) < 8).sum()) for item in messages if isinstance(item, Stabilized))


@pytest.mark.parametrize("border", ["mirror", "blur", "fill"])
@pytest.mark.parametrize("smoothing", ["whole_clip", "look_ahead"])
def test_without_zoom_the_frame_keeps_its_size_and_borders_are_filled(flows, tmp_path, smoothing, border) -> None:
    options = {"zooming": "none", "border": border, "smoothing": smoothing}
    done = run_stage(Stabilization, flows[:40], options, context_of(flows[:40], tmp_path))
    matrices = corrections(done)
    assert not covers(matrices, WIDTH, HEIGHT).all()
    scale = np.sqrt(np.linalg.det(matrices[:, :2, :2]))
    assert np.abs(scale - 1).max() < 0.02  # the shake here has no change of scale; the rest is the fit's error
    assert shown_black(done) == 0


def test_a_dynamic_zoom_is_smooth_and_never_larger_than_the_static_one(flows, tmp_path: Path) -> None:
    matrices = []
    for zooming in ("static", "dynamic"):
        done = run_stage(Stabilization, flows, {"zooming": zooming}, context_of(flows, tmp_path / zooming))
        assert shown_black(done) == 0
        matrices.append(corrections(done))
    assert covers(matrices[1], WIDTH, HEIGHT).all()
    static, dynamic = (np.sqrt(np.linalg.det(each[:, :2, :2])) for each in matrices)
    assert (dynamic <= static + 1e-6).all() and dynamic.min() < static.min() - 0.005
    assert np.abs(np.diff(dynamic)).max() < 0.01  # per frame; the shake alone asks for steps of 0.03


def test_a_dynamic_zoom_is_refused_where_the_clip_is_not_known(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="whole clip"):
        run_stage(Stabilization, [], {"zooming": "dynamic"}, TestContext(directory=tmp_path, live=True))

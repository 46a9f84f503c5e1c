"""What real scenes have and a shaken photograph has not: bars, and parts that do not tell of the camera."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pipeline.messages import Flow, Stabilized
from pipeline.testing import run_stage
from stages.stabilization import Stabilization
from tests.raftline.synthetic_motion import jitter_px
from tests.stages.shaken_clip import BASE, SHAKEN, context_of, corrections, jitter_left, shaken_flows, with_luma

MODES = [{"plot": None}, {"smoothing": "look_ahead"}]
BAR = 24


@pytest.fixture(scope="module")
def flows() -> list[Flow]:
    return shaken_flows()[:60]


def letterboxed(flow: Flow) -> Flow:
    def black(luma: np.ndarray) -> None:
        luma[:BAR], luma[-BAR:] = 16, 16

    boxed = with_luma(flow, black)
    if flow.grid_px is None:
        return boxed
    grid_px = np.array(flow.grid_px)
    grid_px[: BAR // 8], grid_px[-BAR // 8 :] = 0, 0
    return replace(boxed, grid_px=grid_px)


@pytest.mark.parametrize("options", MODES)
def test_bars_stand_still_and_what_is_between_them_too(flows, tmp_path: Path, options: dict) -> None:
    boxed = [letterboxed(flow) for flow in flows]
    done = run_stage(Stabilization, boxed, options, context_of(boxed, tmp_path))
    lumas = [np.asarray(item.frame.planes[0]) for item in done if isinstance(item, Stabilized)]
    assert len(lumas) == len(flows)
    for luma in lumas:
        assert (luma[:BAR] == 16).all() and (luma[-BAR:] == 16).all()
        assert luma[BAR:-BAR].min() > 8 and luma[BAR + 1].std() > 5
    assert jitter_left(corrections(done)) < jitter_px(SHAKEN[:60] - BASE[:60]) / 4
    records = [json.loads(line) for line in (tmp_path / "source.path.jsonl").read_text().splitlines()]
    assert records[-1]["bars_px"] == [0, BAR, 0, BAR]


@pytest.mark.parametrize(
    "zones", [{"ignore": [[[0, 0], [0.7, 0], [0.7, 1], [0, 1]]]}, {"watch": [[[0.7, 0], [1, 0], [1, 1], [0.7, 1]]]}]
)
def test_what_is_ignored_does_not_lead_the_camera(flows, tmp_path: Path, zones: dict) -> None:
    """Something drives over 70 % of the frame, from its first frame on."""
    led = []
    for flow in flows:
        grid_px = None if flow.grid_px is None else np.array(flow.grid_px)
        if grid_px is not None:
            grid_px[:, : grid_px.shape[1] * 7 // 10] += (6.0, 0.0)
        led.append(replace(flow, grid_px=grid_px))
    done = run_stage(Stabilization, led, {"plot": None, **zones}, context_of(led, tmp_path))
    assert jitter_left(corrections(done)) < jitter_px(SHAKEN[:60] - BASE[:60]) / 4


def test_a_wrong_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 3 corners"):
        Stabilization.Options.model_validate({"ignore": [[(0.0, 0.0), (1.0, 1.0)]]})

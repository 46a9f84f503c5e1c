"""What real scenes have and a shaken photograph has not: bars, logos, frames that show nothing, violent shake."""

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
from tests.stages.shaken_clip import BASE, SHAKEN, context_of, corrections, jitter_left, shaken_flows

MODES = [{"plot": None}, {"smoothing": "look_ahead"}]
BAR = 24


@pytest.fixture(scope="module")
def flows() -> list[Flow]:
    return shaken_flows()[:60]


def with_luma(flow: Flow, change) -> Flow:
    planes = [np.array(plane) for plane in flow.frame.planes]
    change(planes[0])
    return replace(flow, frame=replace(flow.frame, planes=tuple(planes)))


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


@pytest.mark.parametrize("options", MODES)
@pytest.mark.parametrize("level", [0, 16, 255])
def test_frames_that_show_nothing_are_passed_over(flows, tmp_path: Path, options: dict, level: int) -> None:
    blank = range(20, 23)
    shown = [
        replace(with_luma(flow, lambda luma: luma.fill(level)), grid_px=np.zeros_like(flow.grid_px))
        if at in blank
        else flow
        for at, flow in enumerate(flows)
    ]
    done = run_stage(Stabilization, shown, options, context_of(shown, tmp_path))
    records = [json.loads(line) for line in (tmp_path / "source.path.jsonl").read_text().splitlines()]
    assert [at for at, record in enumerate(records) if record["model"] == "none"] == list(blank)
    matrices = corrections(done)
    kept = np.setdiff1d(np.arange(60), blank)
    whole = run_stage(Stabilization, flows, options, context_of(flows, tmp_path / "whole"))
    np.testing.assert_allclose(matrices[kept, :2, 2], corrections(whole)[kept, :2, 2], atol=2.0)


def test_the_frames_between_are_held_smoothly(flows, tmp_path: Path) -> None:
    lost = [
        replace(with_luma(flow, lambda luma: luma.fill(90)), grid_px=np.zeros_like(flow.grid_px)) if at == 30 else flow
        for at, flow in enumerate(flows)
    ]
    shifts = corrections(run_stage(Stabilization, lost, {"plot": None}, context_of(lost, tmp_path)))[:, :2, 2]
    np.testing.assert_allclose(shifts[30], (shifts[29] + shifts[31]) / 2, atol=0.05)


def test_a_single_stray_frame_gets_a_correction_between_its_neighbors(flows, tmp_path: Path) -> None:
    stray = [*flows[:30], replace(flows[30], start="passing", grid_px=np.zeros_like(flows[30].grid_px))]
    shifts = corrections(
        run_stage(Stabilization, [*stray, *flows[31:40]], {"plot": None}, context_of(flows[:40], tmp_path))
    )
    np.testing.assert_allclose(shifts[30, :2, 2], (shifts[29, :2, 2] + shifts[31, :2, 2]) / 2, atol=0.05)
    assert len(shifts) == 40


def test_a_wrong_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 3 corners"):
        Stabilization.Options.model_validate({"ignore": [[(0.0, 0.0), (1.0, 1.0)]]})

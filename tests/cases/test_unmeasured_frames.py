"""Frames that show nothing, or too little to measure: the path is held smoothly through them."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pipeline.messages import Flow
from pipeline.testing import run_stage
from stages.stabilization import Stabilization
from tests.stages.shaken_clip import context_of, corrections, shaken_flows, with_luma

MODES = [{"plot": None}, {"smoothing": "look_ahead"}]


@pytest.fixture(scope="module")
def flows() -> list[Flow]:
    return shaken_flows()[:60]


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

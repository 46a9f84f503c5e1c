"""Scenes of more than one depth, and what only looks like them."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pipeline.messages import EndOfStream, Message, Stabilized
from pipeline.testing import run_stage
from stages.stabilization import Stabilization
from tests.stages.layered_clip import (
    FAR_ROWS,
    FRAMES,
    NEAR_ROWS,
    SHAKE,
    layer_jitter_px,
    layered_flows,
    layers,
    moving_thing,
)
from tests.stages.shaken_clip import context_of, header, stage_of

MODES = [{"max_zoom": 1.3}, {"smoothing": "look_ahead", "zoom": 1.3}]
LATE = slice(30, None)


def run(flows, directory: Path, options: dict, **more) -> tuple[list[Message], dict[str, float]]:
    context = context_of(flows, directory, **more)
    done = run_stage(Stabilization, flows, {"plot": None, **options}, context)
    return done, dict(context.counts)


def lumas(messages) -> np.ndarray:
    return np.stack([np.asarray(item.frame.planes[0]) for item in messages if isinstance(item, Stabilized)])


@pytest.mark.parametrize(("options", "nearness"), [(MODES[0], 0.4), (MODES[1], 1.8)])
def test_each_layer_loses_its_own_shake(tmp_path: Path, options: dict, nearness: float) -> None:
    flows = layered_flows(*layers(nearness))
    plane, _ = run(flows, tmp_path / "plane", {**options, "parallax": "off"})
    mesh, counts = run(flows, tmp_path / "mesh", options)
    assert counts["camera_model_mesh"] > FRAMES - 20
    shaking = [max(layer_jitter_px(done, rows, LATE) for rows in (FAR_ROWS, NEAR_ROWS)) for done in (plane, mesh)]
    assert shaking[1] < 0.25 * shaking[0]


@pytest.mark.parametrize("options", MODES)
def test_each_layer_is_steady_from_the_first_frame(tmp_path: Path, options: dict) -> None:
    done, _ = run(layered_flows(*layers(1.8)), tmp_path, options)
    for rows in (FAR_ROWS, NEAR_ROWS):
        assert layer_jitter_px(done, rows, slice(0, 15)) < 0.4


@pytest.mark.parametrize("options", [*MODES, {"smoothing": "look_ahead", "zoom": 1.3, "look_ahead_seconds": 0.1}])
def test_a_motion_first_taken_for_the_other_layers_is_put_right(tmp_path: Path, options: dict) -> None:
    """The camera shows its near layer first as if it filled the picture: the first fits are to it."""
    flows = layered_flows(*layers(1.8))
    for at in (1, 2):
        grid_px = np.array(flows[at].grid_px)
        grid_px[:] = grid_px[-1, -1]
        grid_px[:6] = np.asarray(flows[at].grid_px)[:6]
        flows[at] = replace(flows[at], grid_px=grid_px)
    done, _ = run(flows, tmp_path, options)
    assert layer_jitter_px(done, FAR_ROWS, LATE) < 0.4


@pytest.mark.parametrize("options", MODES)
@pytest.mark.parametrize("paths", [moving_thing(), layers(1.0), layers(0.0)], ids=["mover", "plane", "still"])
def test_what_is_no_parallax_changes_no_pixel(tmp_path: Path, options: dict, paths) -> None:
    flows = layered_flows(*paths)
    off, _ = run(flows, tmp_path / "off", {**options, "parallax": "off"})
    auto, counts = run(flows, tmp_path / "auto", options)
    assert "camera_model_mesh" not in counts
    np.testing.assert_array_equal(lumas(auto), lumas(off))


@pytest.mark.parametrize("options", MODES)
def test_a_duplicate_shows_what_the_frame_before_shows(tmp_path: Path, options: dict) -> None:
    again = range(5, 40, 6)
    done, counts = run(layered_flows(*layers(1.8), again=again)[:40], tmp_path, options)
    assert counts["camera_model_mesh"] > 0
    shown = lumas(done)
    for at in again:
        np.testing.assert_array_equal(shown[at], shown[at - 1])


@pytest.mark.parametrize("options", MODES)
def test_after_a_cut_parallax_is_found_anew(tmp_path: Path, options: dict) -> None:
    """Before it two depths, after it one."""
    one = layered_flows(SHAKE, SHAKE)
    flows = [*layered_flows(*layers(1.8))[:40], replace(one[40], start="first", grid_px=None), *one[41:]]
    done, _ = run(flows, tmp_path, options)
    records = [json.loads(line) for line in (tmp_path / "source.path.jsonl").read_text().splitlines()]
    assert any(record["parallax_percent"] for record in records[:40])
    assert not any(record["parallax_percent"] for record in records[40:])
    assert layer_jitter_px(done, NEAR_ROWS, slice(40, None)) < 0.3


@pytest.mark.parametrize(
    ("options", "more"), [(MODES[0], {"readout_ms": 15.0}), (MODES[1], {}), (MODES[1], {"zooming": "none"})]
)
def test_nothing_black_shows(tmp_path: Path, options: dict, more: dict) -> None:
    """The near layer asks for more than a small zoom hides; the world is nowhere darker than 16."""
    tight = {**options, "max_zoom": 1.03, "zoom": 1.03, "interpolation": "linear", **more}  # cubic overshoots at edges
    done, counts = run(layered_flows(*layers(1.8))[:30], tmp_path, tight)
    assert counts["camera_model_mesh"] > 0
    assert lumas(done).min() >= 8


@pytest.mark.parametrize("options", MODES)
def test_a_killed_worker_changes_nothing(tmp_path: Path, options: dict) -> None:
    flows = layered_flows(*layers(1.8))
    whole, _ = run(flows, tmp_path / "whole", options)
    directory = tmp_path / "killed"
    stage = stage_of({"plot": None, **options}, context_of(flows, directory))
    stage.open()
    done, waiting = [], []
    for at, message in enumerate(flows):
        if at == 33:
            snapshot = json.loads(json.dumps(stage.snapshot()))
            stage.close()
            stage = stage_of({"plot": None, **options}, context_of(flows, directory))
            stage.open()
            stage.restore(snapshot)
            assert [list(stage.process(retained)) for retained in waiting] == [[] for _ in waiting]
        waiting.append(message)
        done += stage.process(message)
        waiting = waiting[len(waiting) - stage.unacked_window() :]
    done += stage.flush(EndOfStream(header(FRAMES)))
    stage.close()
    np.testing.assert_array_equal(lumas(done), lumas(whole))

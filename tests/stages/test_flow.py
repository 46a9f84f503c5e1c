from __future__ import annotations

import dataclasses
from dataclasses import replace
from fractions import Fraction

import cv2
import numpy as np
import pytest

from pipeline.config.explain import allowed, schema_of
from pipeline.errors import ConfigError, WeightsError
from pipeline.messages import EndOfStream, Flow, Frame, Gap
from pipeline.stage import ACCURACIES, Demand
from pipeline.testing import TestContext, run_stage
from raftline.flow.accuracy import CHOSEN, Accuracy, settings_for
from raftline.flow.options import FlowOptions, warn_once
from raftline.flow.session import estimate_together
from stages.flow import OpticalFlow
from stages.shared.color import from_rgb
from tests.stages.frames import header
from tests.stages.stage_bench import Machine, bench_context

SPEED_PX = (3, 2)
RAFT = {"iterations": 6, "threads": 1, "warm_start": "never"}
DIS = {"estimator": "dis"}


def texture(seed: int = 0) -> np.ndarray:
    noise = np.random.default_rng(seed).integers(0, 256, (400, 400, 3), dtype=np.uint8)
    return cv2.normalize(cv2.GaussianBlur(noise, (0, 0), 3), None, 0, 255, cv2.NORM_MINMAX)  # type: ignore[call-overload]


def moving(index: int, width: int = 160, height: int = 136, seed: int = 0, step: int = 1, sequence: int = -1) -> Frame:
    """A view of a texture whose content goes 3 px right and 2 px down a frame."""
    x, y = 100 - SPEED_PX[0] * index * step, 100 - SPEED_PX[1] * index * step
    sequence = index if sequence < 0 else sequence
    return from_rgb(texture(seed)[y : y + height, x : x + width], header(sequence, 40 * index), index)


def run(messages, options, needs=()) -> list[Flow]:
    flows = run_stage(OpticalFlow, messages, options, TestContext(needs=needs))
    assert all(isinstance(flow, Flow) for flow in flows)
    return flows  # type: ignore[return-value]


def inner(grid) -> np.ndarray:
    return np.median(np.asarray(grid)[2:-2, 2:-2].reshape(-1, 2), axis=0)


@pytest.mark.parametrize("options", [RAFT, DIS])
@pytest.mark.parametrize("size", [(160, 136), (161, 139), (90, 200)])
def test_the_grid_tells_where_the_content_went(options, size):
    first, second, third = run([moving(i, *size) for i in range(3)], options)
    assert (first.start, first.grid_px, first.flow_px, first.previous_index) == ("first", None, None, None)
    for flow in (second, third):
        assert np.asarray(flow.grid_px).shape == (-(-size[1] // 8), -(-size[0] // 8), 2)
        assert np.asarray(flow.grid_px).dtype == np.float32
        # 0.4 px: few iterations of a small network, on a synthetic texture; a wrong axis or sign is off by 1 px.
        np.testing.assert_allclose(inner(flow.grid_px), SPEED_PX, atol=0.4)
        assert flow.flow_px is None


@pytest.mark.parametrize("options", [RAFT, DIS])
def test_flow_at_every_pixel_comes_where_a_reader_needs_it(options):
    flow = run([moving(i, 161, 139) for i in range(2)], options, needs=("flow",))[1]
    full = np.asarray(flow.flow_px)
    assert (full.shape, full.dtype) == ((139, 161, 2), np.float16)
    np.testing.assert_allclose(np.median(full.reshape(-1, 2), axis=0), SPEED_PX, atol=0.4)


@pytest.mark.parametrize("needs", [(), ("flow",)])
def test_at_a_smaller_working_size_flow_is_still_in_px_of_the_frame(needs):
    flow = run([moving(i, 280, 272) for i in range(2)], {**DIS, "max_side_px": 140}, needs)[1]
    assert np.asarray(flow.grid_px).shape == (34, 35, 2)
    np.testing.assert_allclose(inner(flow.grid_px), SPEED_PX, atol=0.4)
    if needs:
        assert np.asarray(flow.flow_px).shape == (272, 280, 2)


def test_the_step_says_which_frame_was_before_and_how_long_ago():
    flows = run([moving(0), moving(1), moving(4)], DIS)
    assert [(f.previous_index, f.step_seconds) for f in flows[1:]] == [(0, 0.04), (1, 0.12)]


def test_without_time_stamps_the_step_is_unknown():
    frames = [replace(f, header=replace(f.header, pts=None)) for f in (moving(0), moving(1))]
    assert run(frames, DIS)[1].step_seconds is None


def test_raft_goes_on_from_the_last_flow_where_told_to():
    frames = [moving(i) for i in range(3)]
    assert [flow.start for flow in run(frames, {**RAFT, "warm_start": "always"})] == ["first", "cold", "warm"]
    assert [flow.start for flow in run(frames, RAFT)] == ["first", "cold", "cold"]
    assert [flow.iterations for flow in run(frames, RAFT)] == [0, 6, 6]


def test_a_warm_start_of_an_earlier_version_is_read_with_a_warning(caplog):
    warn_once.cache_clear()
    options = OpticalFlow.Options.model_validate({"warm_start": "chosen"})
    assert options.model_dump()["warm_start"] == "adaptive"
    assert "warm_start: 'chosen' is called 'adaptive' now" in caplog.text


def test_every_option_of_flow_is_one_of_the_stage():
    fields = OpticalFlow.Options.model_fields
    own = {"max_side_px", "still_seconds", "accuracy", "store", "section_minutes"}
    assert fields.keys() == {field.name for field in dataclasses.fields(FlowOptions)} | own
    assert all(field.description for field in fields.values())
    chosen = {*own, *CHOSEN, "estimator"}
    assert {
        value for name, value in OpticalFlow.Options() if name in chosen - {"still_seconds", "store", "section_minutes"}
    } == {"auto"}
    fixed = OpticalFlow.Options().model_dump(exclude=chosen)
    assert fixed == {name: value for name, value in dataclasses.asdict(FlowOptions()).items() if name not in chosen}
    assert "at most 1000" in allowed(schema_of(OpticalFlow.Options)["properties"]["iterations"])
    assert str(fields["scene_cut"].description).endswith("; null: never")


def said(options, accuracy: Accuracy = "full", readers=("r",), needs=()) -> dict:
    context = TestContext(demand=Demand(accuracy, readers), needs=needs)
    run_stage(OpticalFlow, [moving(0)], {"threads": 1, **options}, context)
    return context.said


@pytest.mark.parametrize("accuracy", ACCURACIES)
def test_the_readers_decide_what_the_user_leaves_open(accuracy):
    settings = settings_for(accuracy, "raft")
    status = said({"estimator": "raft"}, accuracy, ("steady", "other"))
    assert status["accuracy"] == f"{accuracy} for steady, other"
    assert f"{settings['iterations']} updates (cold {settings['cold_iterations']})" in status["settings"]
    size = "full size" if settings["max_side_px"] is None else f"at most {settings['max_side_px']} px"
    assert status["settings"].startswith(size)
    small = settings["one_motion_side_px"]
    assert (f"{small} px while it moves as one" in status["settings"]) == (small is not None)
    assert ("network at half size" in status["settings"]) == (settings["network_size"] == "adaptive")


def test_frames_that_were_scaled_down_while_they_move_as_one_are_counted():
    context = TestContext()
    options = {**RAFT, "iterations": 2, "one_motion_side_px": 128}
    flows = run_stage(OpticalFlow, [moving(i, 280, 200) for i in range(3)], options, context)
    assert context.counts["frames_at_128_px"] == 2
    for flow in flows[1:]:
        assert isinstance(flow, Flow) and np.asarray(flow.grid_px).shape == (25, 35, 2)
        np.testing.assert_allclose(inner(flow.grid_px), SPEED_PX, atol=0.4)


def test_the_user_decides_over_the_readers():
    own = {"estimator": "raft", "iterations": 5, "cold_iterations": 7, "early_stop_px": None, "max_side_px": None}
    own |= {"one_motion_side_px": None, "register_one_motion": False}
    status = said({**own, "variational_refinement": False}, "coarse")
    assert status["settings"] == "full size, 5 updates (cold 7), not refined"
    status = said({"accuracy": "cells"}, "coarse")
    assert status["accuracy"] == "cells, as set"
    assert status["settings"] == said({}, "cells")["settings"]


def test_flow_at_every_pixel_is_refined_at_every_pixel():
    half = {"estimator": "raft", "grid_refinement": "half"}
    assert "refined at half size" in said(half, "cells")["settings"]
    assert "half size" not in said(half, "cells", needs=("flow",))["settings"]


def test_the_readers_decide_the_estimator_of_a_cpu(monkeypatch):
    monkeypatch.setattr("raftline.flow.accuracy._GPU_DRIVERS", ())
    assert said({}, "coarse")["estimator"].startswith("dis")
    assert said({}, "cells")["estimator"].startswith("dis")
    assert said({}, "full")["estimator"] == said({"estimator": "raft"}, "cells")["estimator"] == "raft-small"


def test_dis_takes_its_size_from_the_readers():
    side = settings_for("coarse", "dis")["max_side_px"]
    assert said(DIS, "coarse")["settings"] == f"at most {side} px, adaptive"
    assert said({**DIS, "dis_preset": "ultrafast"}, "coarse")["settings"] == f"at most {side} px, ultrafast"


def test_what_a_reader_asks_for_is_what_it_gets():
    wide = [moving(i, 280, 200) for i in range(2)]
    context = TestContext(demand=Demand("coarse", ("r",)))
    flow = run_stage(OpticalFlow, wide, {"threads": 1, "estimator": "raft"}, context)[1]
    assert isinstance(flow, Flow)
    assert flow.iterations <= settings_for("coarse", "raft")["cold_iterations"]
    np.testing.assert_allclose(inner(flow.grid_px), SPEED_PX, atol=0.4)


def test_the_same_frame_again_has_zero_flow():
    still = [moving(0), replace(moving(0), header=header(1, 40), index=1)]
    flow = run(still, DIS, needs=("flow",))[1]
    assert flow.start == "duplicate" and not np.asarray(flow.grid_px).any() and not np.asarray(flow.flow_px).any()


def test_after_a_cut_there_is_no_motion():
    flow = run([moving(0), moving(1, seed=7)], DIS, needs=("flow",))[1]
    assert (flow.start, flow.grid_px, flow.flow_px, flow.previous_index) == ("scene_cut", None, None, 0)


def test_a_single_stray_frame_is_passed_over():
    flows = run([moving(0), moving(1), moving(2, seed=7), moving(3), moving(4)], DIS, needs=("flow",))
    assert [flow.start for flow in flows] == ["first", "cold", "passing", "resumed", "cold"]
    assert [flow.frame.index for flow in flows] == list(range(5))
    assert not np.asarray(flows[2].grid_px).any() and not np.asarray(flows[2].flow_px).any()
    assert (flows[3].previous_index, flows[3].step_seconds) == (1, pytest.approx(0.08))
    np.testing.assert_allclose(inner(flows[3].grid_px), np.multiply(SPEED_PX, 2), atol=0.4)


def test_a_stray_frame_is_passed_over_by_the_network_too():
    flows = run([moving(0), moving(1, seed=7), moving(2)], RAFT)
    assert [flow.start for flow in flows] == ["first", "passing", "resumed"]
    np.testing.assert_allclose(inner(flows[2].grid_px), np.multiply(SPEED_PX, 2), atol=0.6)


@pytest.mark.parametrize("then", [[moving(2, seed=7)], [Gap(header(2), "lost_frames"), moving(3)], []])
def test_a_cut_that_nothing_withdraws_is_sent_in_its_place(then):
    flows = run([moving(0), moving(1, seed=7), *then], DIS)
    assert [flow.start for flow in flows[:2]] == ["first", "scene_cut"]
    assert len(flows) == 2 + sum(isinstance(each, Frame) for each in then)


def test_a_cut_that_waits_is_not_acknowledged():
    context = TestContext()
    stage = OpticalFlow(OpticalFlow.Options(**DIS), context)
    stage.open()
    windows = []
    for frame in [moving(0), moving(1, seed=7), moving(2, seed=7)]:
        list(stage.process(frame))
        windows.append(stage.unacked_window())
    assert windows == [1, 2, 1]
    stage.close()


def test_after_a_gap_it_starts_anew():
    gap = Gap(header(2), "lost_frames")
    assert [flow.start for flow in run([moving(0), moving(1), gap, moving(2), moving(3)], RAFT)] == [
        "first",
        "cold",
        "first",
        "cold",
    ]


def test_a_frame_of_another_size_starts_anew():
    assert [f.start for f in run([moving(0), moving(1), moving(2, 150), moving(3, 150)], DIS)] == [
        "first",
        "cold",
        "first",
        "cold",
    ]


@pytest.mark.parametrize("size", [(1, 1), (2, 300), (300, 7)])
def test_tiny_frames_have_flow_of_the_right_shape(size):
    flow = run([moving(i, *size) for i in range(2)], RAFT, needs=("flow",))[1]
    assert flow.start in ("cold", "duplicate")
    assert np.asarray(flow.grid_px).shape == (-(-size[1] // 8), -(-size[0] // 8), 2)
    assert np.asarray(flow.flow_px).shape == (size[1], size[0], 2)


def test_after_a_crash_the_flow_goes_on_from_the_frame_before(tmp_path):
    machine = Machine(OpticalFlow, bench_context(tmp_path), **DIS)
    machine.deliver(moving(0), moving(1))
    machine.kill()
    (flow,) = machine.deliver(moving(2))
    assert isinstance(flow, Flow) and flow.previous_index == 1
    np.testing.assert_allclose(inner(flow.grid_px), SPEED_PX, atol=0.4)


def test_after_a_gap_no_frame_is_held_back(tmp_path):
    machine = Machine(OpticalFlow, bench_context(tmp_path), **DIS)
    machine.deliver(moving(0), Gap(header(1), "lost_frames"))
    assert machine.unacknowledged == []
    machine.kill()
    (flow,) = machine.deliver(moving(2))
    assert isinstance(flow, Flow) and flow.start == "first"


def test_sources_of_a_process_share_one_network(tmp_path, monkeypatch):
    context, asked = bench_context(tmp_path), []
    keep = context.shared

    def shared(key, make):
        asked.append(key)
        return keep(key, make)

    monkeypatch.setattr(context, "shared", shared)
    machines = [Machine(OpticalFlow, context, **RAFT) for _ in range(2)]
    assert len(set(asked)) == 1, "one key is one object in a process"
    for machine in machines:
        machine.deliver(moving(0), EndOfStream(header(1)))


def test_the_status_says_what_it_runs_on(tmp_path):
    context = TestContext(directory=tmp_path)
    run_stage(OpticalFlow, [], {**RAFT, "device": "cpu"}, context)
    assert context.said["estimator"] == "raft-small" and context.said["device"] == "cpu"
    assert {"lookup", "correlation", "runtime", "precision", "cpu_threads", "fallback"} <= set(context.said)


def test_weights_that_are_not_there_name_the_stage_and_what_is_allowed():
    with pytest.raises(WeightsError, match=r"stage 'stage': weights 'nowhere\.pth': no such file"):
        run([], {"weights": "nowhere.pth"})


def test_a_device_that_is_not_there_is_the_users_to_mend():
    with pytest.raises(ConfigError, match="stage 'stage': device 'cuda:97'"):
        run([], {"device": "cuda:97"})


@pytest.mark.parametrize("options", [RAFT, DIS])
@pytest.mark.parametrize("side", [None, 120])
def test_confidence_comes_where_a_reader_needs_it(options, side):
    frames = [moving(0, 161, 139), moving(1, 161, 139), replace(moving(1, 161, 139), header=header(2, 80), index=2)]
    _, flow, duplicate = run(frames, {**options, "max_side_px": side}, needs=("confidence",))
    confidence = np.asarray(flow.confidence)
    assert (confidence.shape, confidence.dtype) == ((18, 21), np.float32)
    assert confidence.min() >= 0 and confidence.max() <= 1
    assert np.median(confidence[2:-3, 2:-3]) > 0.8  # a whole image that moves: nothing inside is covered
    assert (np.asarray(duplicate.confidence) == 1).all()
    assert run(frames[:2], options)[1].confidence is None


def test_the_headers_are_those_of_the_frames():
    flows = run([moving(0), moving(1)], DIS)
    assert [flow.header.pts for flow in flows] == [0, 40]
    assert all(flow.header == flow.frame.header for flow in flows)
    assert flows[0].header.time_base == Fraction(1, 1000)


def test_sources_that_wait_at_the_same_time_share_a_pass(monkeypatch):
    passes = []

    def counted(requests):
        if len(requests) > 1:  # a session alone makes a pass of one
            passes.append(len(requests))
        return estimate_together(requests)

    monkeypatch.setattr("raftline.flow.session.estimate_together", counted)
    context = TestContext()
    stages = [OpticalFlow(OpticalFlow.Options.model_validate(RAFT), context) for _ in range(10)]
    for each in stages:
        each.open()
    frames = [[moving(index, seed=seed) for index in range(3)] for seed in range(len(stages))]
    alone = [run(own, RAFT) for own in frames[:2]]

    OpticalFlow.prepare_batch([(stages[0], frames[0][0]), (stages[1], frames[1][0])])
    assert not passes  # a CPU does not gain from it
    monkeypatch.setattr("raftline.flow.session.FlowSession.batching_pays", True)
    flows = []
    for index in range(3):
        OpticalFlow.prepare_batch([(each, own[index]) for each, own in zip(stages, frames, strict=True)])
        flows.append([next(iter(each.process(own[index]))) for each, own in zip(stages, frames, strict=True)])
    assert passes == [8, 2] * 3
    for number, expected in enumerate(alone):
        found = [of_frame[number] for of_frame in flows]
        assert [flow.start for flow in found] == ["first", "cold", "cold"]
        for one, other in zip(expected[1:], found[1:], strict=True):
            # The same sums in another order.
            np.testing.assert_allclose(np.asarray(other.grid_px), np.asarray(one.grid_px), atol=1e-2)


def test_a_frame_that_was_not_begun_with_others_is_processed_alone(monkeypatch):
    monkeypatch.setattr("raftline.flow.session.FlowSession.batching_pays", True)
    one, other = (OpticalFlow(OpticalFlow.Options.model_validate(RAFT), TestContext()) for _ in range(2))
    one.open(), other.open()
    OpticalFlow.prepare_batch([(one, moving(0)), (other, moving(0))])
    flows = [flow for index in range(3) for flow in one.process(moving(index)) if isinstance(flow, Flow)]
    # The frame that was begun was another object: this one is looked at anew, and is the same image.
    assert [flow.start for flow in flows] == ["first", "cold", "cold"]

"""Overlay, FlowView and SideBySide: what they draw, and that they keep time and number."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.errors import PluginError
from pipeline.messages import Flow, FlowStart, Frame, Mask, MotionEvent, MotionObject, Stabilized
from pipeline.testing import run_stage
from raftline.flow.color import flow_color
from stages.flow_view import FlowView
from stages.overlay import Overlay
from stages.shared.color import from_rgb, rgb
from stages.side_by_side import SideBySide
from tests.stages.frames import end, header
from tests.stages.stage_bench import Machine, bench_context

GREY = (100, 100, 100)


def plain(index: int, color=GREY, width: int = 160, height: int = 120) -> Frame:
    return from_rgb(np.full((height, width, 3), color, np.uint8), header(index, 40 * index), index, duration=40)


def images(messages) -> list[np.ndarray]:
    return [rgb(message) for message in messages]


def mask(index: int, objects=(), events=(), uncertain=False) -> Mask:
    frame = plain(index)
    values = np.zeros((120, 160), np.uint8)
    values[40:80, 60:100] = 255
    return Mask(frame.header, frame, values, tuple(objects), tuple(events), None, uncertain)


def changed(image: np.ndarray, color=GREY) -> np.ndarray:
    """Where the image is not the plain color; 8 levels is more than conversion to 4:2:0 and back costs."""
    return (np.abs(image.astype(int) - color) > 8).any(axis=2)


def test_the_mask_is_tinted_and_the_rest_left_alone():
    (frame,) = run_stage(Overlay, [mask(3)], {"time": False})
    assert isinstance(frame, Frame) and (frame.index, frame.duration, frame.header.pts) == (3, 40, 120)
    difference = changed(rgb(frame))
    assert difference[42:78, 62:98].all()
    assert not difference[:36].any() and not difference[84:].any()
    red, green, _ = rgb(frame)[60, 80]
    assert red > 140 and green < 100


def test_objects_have_a_box_and_an_id():
    one = MotionObject(5, (30, 50, 90, 40), 1600, (0.0, 0.0))
    without, with_box = (images(run_stage(Overlay, [m], {"time": False}))[0] for m in (mask(0), mask(0, [one])))
    assert changed(with_box)[50, 40:110].all() and not changed(without)[50, 40:55].any()
    assert changed(with_box)[30:50, 30:50].any(), "the id stands above the box"


def test_the_banner_stands_from_the_beginning_of_an_event_to_its_end():
    begin = MotionEvent(1, 0.04, None, 0.04, 0.1)
    finish = MotionEvent(1, 0.04, 0.12, 0.08, 0.1)
    masks = [mask(0), mask(1, events=[begin]), mask(2), mask(3, events=[finish]), mask(4)]
    banner = [changed(image)[:10, :60].any() for image in images(run_stage(Overlay, masks, {"time": False}))]
    assert banner == [False, True, True, True, False]


def test_a_running_event_is_remembered_over_a_crash(tmp_path):
    machine = Machine(Overlay, bench_context(tmp_path), time=False)
    machine.deliver(mask(0, events=[MotionEvent(1, 0.0, None, 0.0, 0.1)]))
    machine.kill()
    (frame,) = machine.deliver(mask(1))
    assert changed(rgb(frame))[:10, :60].any()  # type: ignore[arg-type]


def test_what_the_overlay_draws_can_be_turned_off():
    options = {"mask_opacity": 0, "boxes": False, "banner": False, "time": False}
    one = MotionObject(5, (30, 50, 90, 40), 1600, (0.0, 0.0))
    (image,) = images(run_stage(Overlay, [mask(0, [one], [MotionEvent(1, 0.0, None, 0.0, 0.1)], True)], options))
    assert not changed(image)[:36].any() and not changed(image)[50, 30:58].any()


def flow(index: int, velocity=(0.0, 0.0), start: FlowStart = "cold") -> Flow:
    frame = plain(index)
    full = None if start == "first" else np.tile(np.array(velocity, np.float16), (120, 160, 1))
    grid = None if full is None else full[::8, ::8].astype(np.float32)
    return Flow(frame.header, frame, start, grid, full, step_seconds=0.04)


def test_direction_is_hue_and_no_motion_is_white():
    flows = [flow(0, start="first"), flow(1, (5, 0)), flow(2, (-5, 0)), flow(3)]
    none, right, left, still = (p[60, 80].astype(int) for p in images(run_stage(FlowView, flows, {"legend": False})))
    assert (none > 245).all() and (still > 245).all()
    # Middlebury's wheel: red to the right, cyan-blue to the left.
    assert right[0] > right[2] + 100 and left[2] > left[0] + 100


def test_the_scale_follows_fast_motion_at_once_and_slow_motion_gently():
    def saturation(image: np.ndarray) -> int:
        return int(np.ptp(image[60, 80].astype(int)))

    follow = images(run_stage(FlowView, [flow(0, (20, 0)), flow(1, (2, 0))], {"legend": False}))
    fixed = images(run_stage(FlowView, [flow(0, (20, 0)), flow(1, (2, 0))], {"legend": False, "max_px": 2}))
    assert saturation(follow[0]) > 150 and saturation(follow[1]) < 80
    assert saturation(fixed[1]) > 150


def test_the_noise_of_a_still_camera_stays_pale():
    (image,) = images(run_stage(FlowView, [flow(0, (0.1, 0))], {"legend": False}))
    assert np.ptp(image[60, 80].astype(int)) < 40


def test_the_legend_is_drawn_in_the_lower_left_corner():
    with_legend, without = (images(run_stage(FlowView, [flow(0)], {"legend": on}))[0] for on in (True, False))
    assert changed(with_legend, (255, 255, 255))[70:, :100].any()
    assert not changed(without, (255, 255, 255)).any()


@pytest.mark.parametrize(("width", "height"), [(8, 8), (40, 30), (33, 200)])
def test_small_images_are_drawn_without_an_error(width, height):
    frame = plain(0, width=width, height=height)
    still = Flow(frame.header, frame, "cold", None, np.zeros((height, width, 2), np.float16))
    empty = Mask(frame.header, frame, np.full((height, width), 255, np.uint8), (), (), None, True)
    both = Stabilized(frame.header, frame, (1.0,) * 9, frame)
    for cls, message in ((FlowView, still), (Overlay, empty), (SideBySide, both)):
        (made,) = run_stage(cls, [message])
        assert isinstance(made, Frame) and made.height == height


def test_before_is_left_and_after_is_right():
    before, after = plain(0, (200, 40, 40)), plain(0, (40, 40, 200))
    (frame,) = run_stage(SideBySide, [Stabilized(after.header, after, (1.0,) * 9, before)])
    image = rgb(frame)  # type: ignore[arg-type]
    assert image.shape == (120, 322, 3)
    assert not changed(image[100:, :158], (200, 40, 40)).any() and not changed(image[100:, 164:], (40, 40, 200)).any()


def test_wide_frames_are_scaled_down_together():
    frame = plain(0)
    (made,) = run_stage(SideBySide, [Stabilized(frame.header, frame, (1.0,) * 9, frame)], {"max_width_px": 162})
    assert isinstance(made, Frame) and (made.width, made.height) == (162, 60)


def test_an_original_of_another_size_is_fitted():
    frame = plain(0)
    (made,) = run_stage(SideBySide, [Stabilized(frame.header, frame, (1.0,) * 9, plain(0, width=320, height=240))])
    assert isinstance(made, Frame) and (made.width, made.height) == (322, 120)


def test_without_the_original_the_fault_is_named(tmp_path):
    frame = plain(0)
    machine = Machine(SideBySide, bench_context(tmp_path))
    with pytest.raises(PluginError, match="came without its original"):
        machine.deliver(Stabilized(frame.header, frame, (1.0,) * 9), end(1))


def test_colors_are_those_of_the_wheel():
    u, v = np.meshgrid(np.linspace(-12, 12, 160), np.linspace(-12, 12, 120))
    full = np.stack([u, v], axis=2).astype(np.float16)
    frame = plain(0)
    (view,) = images(
        run_stage(FlowView, [Flow(frame.header, frame, "cold", None, full)], {"max_px": 6, "legend": False})
    )
    exact = rgb(from_rgb(flow_color(full.astype(np.float32), 6), frame.header, 0))
    speed = np.hypot(u, v)
    # Where saturation ends, colors jump; interpolation rounds that edge off.
    smooth = np.abs(speed - 6) > 0.5
    assert np.abs(view.astype(int) - exact)[smooth].mean() < 2

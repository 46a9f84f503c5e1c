"""The synthetic flow is exact: the next frame fetched along it is the frame."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from raftline.synthetic.layer_bounds import bounds_of
from raftline.synthetic.motion import Pose
from raftline.synthetic.render import RenderedScenes, render
from raftline.synthetic.scene import Bend, Layer, Scene, SceneOptions, Stock, draw_scene
from raftline.synthetic.shapes import shape_maps

HEIGHT, WIDTH = 128, 160
SHAPES = shape_maps(10, seed=0)


def smooth_tiles(count: int = 4) -> Tensor:
    """Slow waves of color, whose bilinear samples are nearly exact: what is wrong is the flow."""
    y, x = np.mgrid[:256, :256] / 256 * 2 * np.pi
    tiles = [np.stack([np.sin((2 + c + n) * x + n) * np.cos((3 + n) * y + c) for c in range(3)]) for n in range(count)]
    return torch.from_numpy(127.5 + 120 * np.stack(tiles)).round().to(torch.uint8)


def fetched_errors(rendered: RenderedScenes, step: int) -> Tensor:
    """(B, H, W): how far the next frame, fetched along the flow, is from the frame."""
    flow = rendered.flows[:, step]
    y, x = torch.meshgrid(torch.arange(HEIGHT), torch.arange(WIDTH), indexing="ij")
    there = torch.stack([x, y]) + flow
    grid = torch.stack([2 * there[:, 0] / (WIDTH - 1) - 1, 2 * there[:, 1] / (HEIGHT - 1) - 1], dim=-1)
    fetched = F.grid_sample(rendered.frames[:, step + 1], grid, align_corners=True, padding_mode="border")
    return (fetched - rendered.frames[:, step]).abs().amax(dim=1)


def away_from_edges(rendered: RenderedScenes, step: int) -> Tensor:
    """(B, H, W) bool: three pixels from what is hidden and from where the flow jumps: edges are blended there."""
    flow, hidden = rendered.flows[:, step], ~rendered.visible[:, step]
    edge = hidden.float()
    for axis in (1, 2):
        jump = (flow.diff(dim=axis + 1).abs().amax(dim=1) > 0.2).float()
        edge.narrow(axis, 0, jump.shape[axis]).add_(jump)
        edge.narrow(axis, 1, jump.shape[axis]).add_(jump)
    return F.max_pool2d(edge.clamp(max=1)[:, None], 7, 1, 3)[:, 0] == 0


@pytest.mark.parametrize("step", [0, 1])
def test_the_next_frame_fetched_along_the_flow_is_the_frame(step: int) -> None:
    tiles = smooth_tiles()
    stock = Stock(0, len(tiles), len(SHAPES), 256)
    options = SceneOptions(static=0, still_camera=0.1, bending=0.6)
    scenes = [draw_scene(np.random.default_rng([7, n]), HEIGHT, WIDTH, stock, options) for n in range(12)]
    rendered = render(scenes, HEIGHT, WIDTH, tiles, SHAPES)
    errors, away = fetched_errors(rendered, step), away_from_edges(rendered, step)
    assert away.float().mean() > 0.6
    # Of 255 levels. The bilinear samples of a moving tile differ by some; one pixel of a wrong flow by ten and more.
    assert float(errors[away].mean()) < 0.5
    assert float(errors[away].quantile(0.99)) < 4
    # The measure sees a flow that is a pixel wrong.
    wrong = rendered._replace(flows=rendered.flows + 1.0)
    assert float(fetched_errors(wrong, step)[away].mean()) > 2.0


def plane(**changes: object) -> Layer:
    """A background that stands still."""
    values: dict[str, object] = {
        "to_first": np.eye(3),
        "to_third": np.eye(3),
        "bend": None,
        "texture": 0,
        "texture_map": np.array([[0.008, 0, 0], [0, 0.008, 0]]),
        "color": np.array([[1.0, 0.0]] * 3),
        "shape": 0,
        "shape_map": None,
        "cell_px": 1.0,
    }
    return Layer(**(values | changes))  # type: ignore[arg-type]


def square(x_px: float, y_px: float, side_px: float, steps: tuple[float, float], texture: int = 1) -> Layer:
    """A square about (x, y) of the middle frame that is `steps` px further right in the first and the third."""
    scale = 2 * (80 / 96) / side_px  # the square of SQUARE covers 80 of 96 cells
    there = [np.array([[1, 0, step], [0, 1, 0], [0, 0, 1.0]]) for step in steps]
    shape_map = np.array([[scale, 0, -scale * x_px], [0, scale, -scale * y_px]])
    return plane(to_first=there[0], to_third=there[1], texture=texture, shape_map=shape_map, cell_px=side_px / 80)


SQUARE = (40.0 - (torch.arange(96) - 47.5).abs()).repeat(96, 1)
SQUARE = torch.minimum(SQUARE, SQUARE.T)[None, None]


def test_flow_and_occlusions_of_a_square_that_moves_are_known_by_hand() -> None:
    # Left edge at x = 40 in the middle frame, 36 before and 44 after.
    scene = Scene((plane(), square(49.5, 63.5, 20, (-4, 4))))
    rendered = render([scene], HEIGHT, WIDTH, smooth_tiles(2), SQUARE)
    row = 63
    moving = rendered.flows[0, :, 0, row] > 0
    assert moving[0].nonzero().flatten().tolist() == list(range(36, 56))
    assert moving[1].nonzero().flatten().tolist() == list(range(40, 60))
    assert set(rendered.flows[0, :, 0, row].unique().tolist()) == {0.0, 4.0}
    # Background that the square's leading edge covers in the next frame.
    assert (~rendered.visible[0, 0, row]).nonzero().flatten().tolist() == list(range(56, 60))
    assert (~rendered.visible[0, 1, row]).nonzero().flatten().tolist() == list(range(60, 64))


def test_a_layer_in_front_hides_and_one_behind_does_not() -> None:
    behind, front = square(49.5, 63.5, 20, (0, 0), 1), square(69.5, 63.5, 20, (20, -20), 2)
    rendered = render([Scene((plane(), behind, front))], HEIGHT, WIDTH, smooth_tiles(3), SQUARE)
    # From the middle frame to the third the front square moves onto the one behind it.
    row = rendered.visible[0, 1, 63]
    assert not row[40:60].any()
    assert row[60:80].all() and row[:40].all()


def test_what_leaves_the_frame_is_not_visible() -> None:
    shifted = np.array([[1, 0, -10.0], [0, 1, 0], [0, 0, 1]])
    rendered = render([Scene((plane(to_third=shifted),))], HEIGHT, WIDTH, smooth_tiles(1), SHAPES)
    assert rendered.visible[0, 0].all()
    assert (~rendered.visible[0, 1, 5]).nonzero().flatten().tolist() == list(range(10))
    assert (rendered.flows[0, 1, 0] == -10).all()


def test_static_scenes_have_exactly_no_flow() -> None:
    tiles = smooth_tiles()
    stock = Stock(0, len(tiles), len(SHAPES), 256)
    scenes = [draw_scene(np.random.default_rng(n), HEIGHT, WIDTH, stock, SceneOptions(static=1)) for n in range(4)]
    rendered = render(scenes, HEIGHT, WIDTH, tiles, SHAPES)
    assert not rendered.flows.any()
    assert rendered.visible.all()
    assert torch.equal(rendered.frames[:, 0], rendered.frames[:, 1])
    assert torch.equal(rendered.frames[:, 0], rendered.frames[:, 2])


def test_a_bend_is_undone_to_a_thousandth_of_a_pixel() -> None:
    waves = np.array([[0.05, 0.0], [0.0, 0.07], [0.03, 0.03]])
    amplitudes = np.array([[[2.0, 1.0], [1.0, -2.0], [0.5, 0.5]]] * 2) * 0.7
    bend = Bend(np.stack([amplitudes[0], -amplitudes[0]]), waves, np.array([0.1, 1.0, 2.0]))
    rendered = render([Scene((plane(bend=bend),))], HEIGHT, WIDTH, smooth_tiles(1), SHAPES)
    y, x = np.mgrid[:HEIGHT, :WIDTH].astype(np.float64)
    flow = rendered.flows[0, 1].double().numpy()
    there = np.stack([x, y]) + flow
    phase = np.tensordot(bend.frequencies, there, 1) + bend.phases[:, None, None]
    material = there + np.tensordot(bend.amplitudes[1].T, np.sin(phase), 1)
    assert np.abs(material - np.stack([x, y])).max() < 1e-3
    assert np.abs(flow).max() > 1


def test_all_layers_of_a_depth_at_once_are_painted_as_one_by_one_within_their_bounds(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The way of a GPU against the way of a CPU."""
    tiles = smooth_tiles()
    stock = Stock(0, len(tiles), len(SHAPES), 256)
    options = SceneOptions(static=0, bending=0.5)
    scenes = [draw_scene(np.random.default_rng([3, n]), HEIGHT, WIDTH, stock, options) for n in range(6)]
    bounded = render(scenes, HEIGHT, WIDTH, tiles, SHAPES)
    monkeypatch.setattr("raftline.synthetic.render._one_by_one", lambda device: False)
    whole = render(scenes, HEIGHT, WIDTH, tiles, SHAPES)
    # The sampling of a larger grid rounds otherwise in its last lanes.
    torch.testing.assert_close(bounded.frames, whole.frames, atol=0.01, rtol=0)
    torch.testing.assert_close(bounded.flows, whole.flows, atol=1e-4, rtol=0)
    assert float((bounded.visible != whole.visible).float().mean()) < 1e-4


def test_layers_that_are_never_seen_have_no_bounds() -> None:
    assert bounds_of(square(-500, 60, 20, (0, 0)), HEIGHT, WIDTH) is None
    rows, columns = bounds_of(square(80, 60, 20, (-30, 30)), HEIGHT, WIDTH) or (slice(0), slice(0))
    assert columns.start <= 40 and columns.stop >= 120
    assert rows.start <= 50 and rows.stop >= 70
    assert rows.stop - rows.start < 40


def test_poses_move_as_they_say() -> None:
    assert (Pose().homography((10, 20)) == np.eye(3)).all()
    moved = Pose(x_px=3, y_px=-2).homography((10, 20)) @ [10, 20, 1]
    assert moved.tolist() == [13, 18, 1]
    turned = Pose(angle=np.pi / 2, log_scale=np.log(2)).homography((10, 20)) @ [11, 20, 1]
    np.testing.assert_allclose(turned, [10, 22, 1], atol=1e-12)

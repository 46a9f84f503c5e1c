"""The choice of a start: on features moved by known amounts, and on real clips against cold and plain warm starts."""

from __future__ import annotations

import itertools

import cv2
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from raftline.flow.warm_start import choose_start
from raftline.kernels.forward_splat import forward_splat
from raftline.raft.correlation import correlate
from raftline.raft.model import EncodedFrame, Raft
from raftline.raft.padding import Padding
from raftline.raft.preprocess import to_network_input
from raftline.raft.weights.loading import load_raft
from tests.data import data_path

HEIGHT, WIDTH, CHANNELS = 45, 80, 32

# Random features between cells are blurred by interpolation, most at half a cell: the best match moves a little.
ALIGNED_CELLS = 0.15


def features(seed: int = 0, height: int = 3 * HEIGHT, width: int = 3 * WIDTH) -> Tensor:
    """(1, C, height, width), random, with detail of every size as an encoder's have."""
    generator = torch.Generator().manual_seed(seed)
    total = torch.zeros(1, CHANNELS, height, width)
    for size in (3, 9, 27):
        noise = torch.randn(1, CHANNELS, -(-height // size), -(-width // size), generator=generator)
        total += F.interpolate(noise, (height, width), mode="bicubic", align_corners=False)
    return total


def seen(scene: Tensor, x: float, y: float, scale: float = 1.0) -> Tensor:
    """A camera's view of a scene from (x, y), cells right and down of its middle: (1, C, HEIGHT, WIDTH)."""
    height, width = scene.shape[-2:]
    columns = (torch.arange(WIDTH) - (WIDTH - 1) / 2) * scale + (width - 1) / 2 + x
    rows = (torch.arange(HEIGHT) - (HEIGHT - 1) / 2) * scale + (height - 1) / 2 + y
    grid_y, grid_x = torch.meshgrid((2 * rows + 1) / height - 1, (2 * columns + 1) / width - 1, indexing="ij")
    return F.grid_sample(scene, torch.stack([grid_x, grid_y], dim=-1)[None], align_corners=False)


def uniform(x: float, y: float) -> Tensor:
    return torch.tensor([x, y], dtype=torch.float32).view(1, 2, 1, 1).expand(1, 2, HEIGHT, WIDTH).contiguous()


def off(flow: Tensor, truth: Tensor) -> float:
    """Mean distance in cells, away from the rim, whose cells may have left the image."""
    return float((flow - truth)[..., 6:-6, 6:-6].norm(dim=1).mean())


def test_under_a_camera_that_stands_only_zero_and_the_carried_flow_are_guesses() -> None:
    scene = features()
    earlier, later = seen(scene, 0, 0), seen(scene, -3, 0)
    assert not choose_start(earlier, later, 1, camera=False).flow.any()
    assert off(choose_start(earlier, later, 1, uniform(3, 0), camera=False).flow, uniform(3, 0)) < ALIGNED_CELLS


def test_a_still_image_starts_from_zero_whatever_was_made_up_before() -> None:
    view = seen(features(), 0, 0)
    start = choose_start(view, view, 1, uniform(0.25, 0.1))
    assert off(start.flow, uniform(0, 0)) < 0.02
    assert choose_start(view, view, 1).flow.abs().max() < 1e-3


@pytest.mark.parametrize(("x", "y"), [(1.0, 0.0), (-2.5, 0.75), (0.0, 4.0), (6.0, -5.0)])
def test_the_camera_s_motion_is_found_without_anything_carried(x: float, y: float) -> None:
    scene = features()
    start = choose_start(seen(scene, 0, 0), seen(scene, -x, -y), 4)
    assert off(start.flow, uniform(x, y)) < ALIGNED_CELLS
    assert start.carried.tolist() == [0.0]


def test_a_zoom_is_found_too() -> None:
    scene = features()
    start = choose_start(seen(scene, 0, 0), seen(scene, 1, 0, scale=1 / 1.05), 1)
    x = (torch.arange(WIDTH) - (WIDTH - 1) / 2) * 0.05 - 1.05
    y = (torch.arange(HEIGHT) - (HEIGHT - 1) / 2) * 0.05
    truth = torch.stack([x.expand(HEIGHT, WIDTH), y[:, None].expand(HEIGHT, WIDTH)])[None]
    assert off(start.flow, truth) < 2 * ALIGNED_CELLS


def test_a_shake_against_the_last_motion_does_not_mislead() -> None:
    scene = features()
    start = choose_start(seen(scene, 0, 0), seen(scene, 3, 2), 2, uniform(4, -3))
    assert off(start.flow, uniform(-3, -2)) < ALIGNED_CELLS


def test_what_moves_by_itself_starts_from_the_flow_carried_forward_also_under_shake() -> None:
    # The lower half of the scene moves by 5 cells a frame against the camera's motion, which differs from frame to
    # frame; a map of the whole image knows nothing of it.
    far, near = features(1), features(2)
    lower = torch.zeros(HEIGHT, WIDTH, dtype=torch.bool)
    lower[HEIGHT // 2 + 6 :] = True

    def view(camera: float, own: float) -> Tensor:
        return torch.where(lower, seen(near, camera - own, 0), seen(far, camera, 0))

    last = torch.where(lower, uniform(5.0, 0), uniform(0, 0))
    truth = torch.where(lower, uniform(3.0, 0), uniform(-2.0, 0))
    start = choose_start(view(0, 5), view(2, 10), 1, last)
    assert off(start.flow, truth) < 1.0
    assert off(choose_start(view(0, 5), view(2, 10), 1).flow, truth) > 1.5
    assert float(start.carried) > 0.3


def test_frames_that_have_nothing_in_common_start_from_zero() -> None:
    start = choose_start(seen(features(1), 0, 0), seen(features(2), 0, 0), 4, uniform(6, 0))
    assert off(start.flow, uniform(0, 0)) < 0.1


def test_the_more_iterations_follow_the_more_a_guess_must_promise() -> None:
    scene = features()
    arguments = seen(scene, 0, 0), seen(scene, 0.4, 0)
    few, many = (choose_start(*arguments, iterations).flow.norm(dim=1).mean() for iterations in (1, 24))
    assert few > 0.25 and many < 0.05
    assert choose_start(*arguments, 24, cold_bias=0.0).flow.norm(dim=1).mean() == few


def test_a_flow_that_is_not_finite_is_as_good_as_none() -> None:
    scene = features()
    last = uniform(float("nan"), 0)
    start = choose_start(seen(scene, 0, 0), seen(scene, -2, 0), 1, last)
    assert torch.isfinite(start.flow).all()
    assert off(start.flow, uniform(2, 0)) < ALIGNED_CELLS


def test_features_that_are_not_finite_give_a_finite_start() -> None:
    broken = torch.full((1, CHANNELS, 16, 16), float("nan"))
    start = choose_start(broken, broken, 1, torch.zeros(1, 2, 16, 16))
    assert torch.isfinite(start.flow).all() and torch.isfinite(start.carried).all()


def test_flat_features_start_from_zero() -> None:
    flat = torch.ones(1, CHANNELS, 30, 40)
    assert choose_start(flat, flat, 1).flow.abs().max() == 0


@pytest.mark.parametrize("size", [(1, 1), (1, 9), (7, 1), (2, 2), (13, 11)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_any_size_and_type_of_features_is_taken(size: tuple[int, int], dtype: torch.dtype) -> None:
    view = torch.randn(2, CHANNELS, *size, generator=torch.Generator().manual_seed(0)).to(dtype)
    for last in (None, torch.ones(2, 2, *size)):
        start = choose_start(view, view, 1, last)
        assert start.flow.shape == (2, 2, *size) and start.flow.dtype is torch.float32
        assert torch.isfinite(start.flow).all() and ((start.carried >= 0) & (start.carried <= 1)).all()


def test_pairs_of_a_batch_do_not_hear_each_other() -> None:
    scene = features()
    one = seen(scene, 0, 0), seen(scene, -2, 1), uniform(2, 0)
    other = seen(scene, 1, 0), seen(scene, 4, 4), uniform(-1, 1)
    both = [torch.cat(parts) for parts in zip(one, other, strict=True)]
    together = choose_start(both[0], both[1], 1, both[2])
    for number, (earlier, later, last) in enumerate((one, other)):
        alone = choose_start(earlier, later, 1, last)
        # The same arithmetic in another order.
        assert torch.allclose(together.flow[number], alone.flow[0], atol=1e-3)
        assert torch.allclose(together.carried[number], alone.carried[0], atol=1e-3)


def test_sizes_that_do_not_fit_are_refused() -> None:
    view = torch.zeros(1, 8, 4, 5)
    with pytest.raises(ValueError, match=r"one shape .* found \(1, 8, 4, 5\) and \(1, 8, 4, 6\)"):
        choose_start(view, torch.zeros(1, 8, 4, 6), 1)
    with pytest.raises(ValueError, match=r"last_flow: expected shape \(1, 2, 4, 5\), found \(1, 2, 5, 4\)"):
        choose_start(view, view, 1, torch.zeros(1, 2, 5, 4))
    with pytest.raises(ValueError, match="iterations: expected at least 1, found 0"):
        choose_start(view, view, 0)


def read_clip(*name: str, first: int, count: int, step: int) -> list[Tensor]:
    capture = cv2.VideoCapture(str(data_path("video", *name)))
    frames = []
    for number in range(first + count * step):
        read, frame = capture.read()
        assert read
        if number >= first and (number - first) % step == 0:
            small = cv2.resize(frame, (384, 216), interpolation=cv2.INTER_AREA)
            rgb = np.ascontiguousarray(small[:, :, ::-1]).astype(np.uint8)
            frames.append(to_network_input(rgb, Padding.for_size(216, 384), torch.device("cpu")))
    capture.release()
    return frames


def distance_px(model: Raft, frames: list[EncodedFrame], kind: str) -> float:
    """Mean distance of one iteration's flow to that of 12 from zero, over a stream."""
    last, distances = None, []
    for earlier, later in itertools.pairwise(frames):
        start = None
        if kind == "adaptive":
            start = choose_start(earlier.features, later.features, 1, last).flow
        elif kind == "warm" and last is not None:
            start = forward_splat(last).flow
        correlation = correlate(earlier.features, later.features, model.dimensions.radius)
        last = run(model, earlier, correlation, 1, start)
        distances.append(float(8 * (last - run(model, earlier, correlation, 12, None)).norm(dim=1).mean()))
    return float(np.mean(distances))


def run(model: Raft, earlier: EncodedFrame, correlation: object, iterations: int, start: Tensor | None) -> Tensor:
    terms, state = model.begin(earlier, correlation, start)  # type: ignore[arg-type]
    for _ in range(iterations):
        state = model.step(terms, state)
    return state.coords - terms.origin


@torch.inference_mode()
def test_a_shaky_clip_ends_nearer_than_from_zero_and_than_from_the_last_flow() -> None:
    model = load_raft(data_path("weights", "raft-small.pth"), "cpu")
    images = read_clip("shaky", "meshflow-8.m4v", first=200, count=4, step=3)
    frames = [model.encode(image) for image in images]
    cold, warm, adaptive = (distance_px(model, frames, kind) for kind in ("cold", "warm", "adaptive"))
    # Measured 0.4 of the better one on more frames at a larger size.
    assert adaptive < 0.7 * min(cold, warm)


@torch.inference_mode()
def test_a_fixed_camera_s_flow_does_not_drift() -> None:
    model = load_raft("default", "cpu")
    images = read_clip("static", "traffic_camera.mp4", first=340, count=2, step=1)
    earlier, later = (model.encode(image) for image in images)
    correlation = correlate(earlier.features, later.features, model.dimensions.radius)
    cold = run(model, earlier, correlation, 2, None)
    last: Tensor | None = None
    for _ in range(8):
        # The same two images again: whatever the flow gains from round to round is the start's doing.
        last = run(model, earlier, correlation, 2, choose_start(earlier.features, later.features, 2, last).flow)
    assert last is not None
    assert float(8 * (last - cold).norm(dim=1).mean()) < 0.5

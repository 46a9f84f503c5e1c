"""The synthetic source, and its truth against itself."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from pipeline.messages import Frame
from pipeline.testing import TestContext
from stages.shared.color import rgb
from stages.synthetic.scene import SyntheticScene
from stages.synthetic.stage import SyntheticSource, scene

SMALL = {"width": 320, "height": 180}
# What was sampled from the landscape is sampled again, which blurs its finest texture; a pixel off costs 3 times this.
WARP_TOLERANCE = 2.0


def _source(**options) -> SyntheticSource:
    return SyntheticSource(SyntheticSource.Options(**{**SMALL, **options}), TestContext(source="scene"))


def _warped_back(image: np.ndarray, flow: np.ndarray) -> np.ndarray:
    x, y = np.meshgrid(np.arange(flow.shape[1], dtype=np.float32), np.arange(flow.shape[0], dtype=np.float32))
    return cv2.remap(image, x + flow[..., 0], y + flow[..., 1], cv2.INTER_LINEAR).astype(float)


@pytest.mark.parametrize("index", [1, 20, 77, 203])
@pytest.mark.parametrize("seed", [1, 4])
def test_the_flow_maps_each_frame_to_the_next_where_nothing_is_occluded(index, seed):
    truth = SyntheticScene(320, 180, seed=seed)
    flow, covered = truth.flow(index)
    earlier, later = truth.rgb(index - 1), truth.rgb(index)
    error = np.abs(_warped_back(later, flow) - earlier).mean(-1)
    still = np.abs(later.astype(float) - earlier).mean(-1)
    assert covered.mean() < 0.1
    assert error[~covered].mean() < WARP_TOLERANCE
    assert error[~covered].mean() < 0.3 * still[~covered].mean()


def test_the_flow_is_wrong_by_a_pixel_nowhere():
    truth = SyntheticScene(320, 180)
    flow, covered = truth.flow(50)
    earlier, later = truth.rgb(49), truth.rgb(50)
    right = np.abs(_warped_back(later, flow) - earlier).mean(-1)[~covered].mean()
    for offset in ((1, 0), (-1, 0), (0, 1), (0, -1)):
        wrong = np.abs(_warped_back(later, flow + np.array(offset, np.float32)) - earlier).mean(-1)[~covered].mean()
        assert wrong > 2 * right


def test_the_objects_move_against_the_landscape():
    truth = SyntheticScene(640, 360)
    flow, _ = truth.flow(60)
    camera = truth.camera(60)
    y, x = np.mgrid[0:360, 0:640].astype(float)
    moved = np.tensordot(camera[:2, :2], np.stack([x, y]), axes=1) + camera[:2, 2][:, None, None]
    residual = np.hypot(flow[..., 0] - (moved[0] - x), flow[..., 1] - (moved[1] - y))
    mask = truth.mask(59) > 0
    # Float32 flow of a few px, computed from float64.
    assert residual[~mask].max() < 1e-3
    assert residual[mask].min() > 1.0


def test_the_mask_is_where_the_frame_differs_from_one_without_objects():
    with_objects, without = SyntheticScene(seed=2), SyntheticScene(seed=2, objects=False)
    for index in (30, 120):
        mask = with_objects.mask(index) > 0
        differs = (with_objects.rgb(index) != without.rgb(index)).any(-1)
        assert 0.01 < mask.mean() < 0.1
        assert not without.mask(index).any()
        # Pixels of the edge that are covered by less than half differ and are none of the mask.
        edge = cv2.dilate(mask.astype(np.uint8), np.ones((5, 5), np.uint8)) > 0
        assert not (differs & ~edge).any()
        assert differs[mask].mean() > 0.99


def test_both_objects_are_there_through_most_of_the_clip_and_never_stand_still():
    truth = SyntheticScene()
    seen = np.array([[(truth.layers(index) == number).sum() for number in (1, 2)] for index in range(0, 240, 10)])
    assert ((seen > 400).mean(0) > 0.75).all()
    for index in range(30, 200, 17):
        for (_, earlier), (_, later) in zip(truth._placed(index - 1), truth._placed(index), strict=True):
            at = np.array([30.0, 15.0, 1.0])
            alone = later @ at - truth.camera(index) @ earlier @ at
            assert np.hypot(*alone[:2]) * truth.fps > 25


def test_the_shake_has_the_asked_strength_and_the_base_path_none():
    truth = SyntheticScene(shake_px=6.0, fps=30)
    offsets = np.array([truth._shake(index)[:2] for index in range(3000)])
    # Six waves over 100 s: the mean square is within 10 %.
    assert np.sqrt((offsets**2).mean(0)) == pytest.approx([6, 6], rel=0.1)
    calm = SyntheticScene(shake_px=0.0)
    assert np.allclose(calm.pose(77), calm.base_path(77))
    assert np.allclose(truth.base_path(77), truth.steady(77) @ truth.pose(77))


def test_base_path_is_smooth():
    truth = SyntheticScene()
    middle = np.array([320.0, 180.0, 1.0])

    def acceleration(path):
        places = np.array([(path(index) @ middle)[:2] for index in range(90)])
        return np.abs(np.diff(places, 2, axis=0)).mean()

    assert acceleration(truth.base_path) < 0.05 * acceleration(truth.pose)


@pytest.mark.parametrize("size, shake_px", [((640, 360), 5), ((100, 240), 12), ((333, 77), 3)])
def test_the_landscape_always_fills_the_view(size, shake_px):
    truth = SyntheticScene(*size, shake_px=shake_px, objects=False)
    height, width = truth._canvas.shape[:2]
    corners = np.array([[0, size[0] - 1, size[0] - 1, 0], [0, 0, size[1] - 1, size[1] - 1], [1, 1, 1, 1]])
    for index in range(0, 6000, 7):
        x, y = (np.linalg.inv(truth.pose(index)) @ corners)[:2]
        assert x.min() >= 0
        assert x.max() <= width - 1
        assert y.min() >= 0
        assert y.max() <= height - 1


def test_the_same_seed_gives_the_same_frames_and_another_seed_others():
    assert np.array_equal(SyntheticScene(320, 180, seed=3).rgb(9), SyntheticScene(320, 180, seed=3).rgb(9))
    assert not np.array_equal(SyntheticScene(320, 180, seed=3).rgb(9), SyntheticScene(320, 180, seed=4).rgb(9))


def test_the_source_yields_the_scene_frame_by_frame():
    source = _source(seconds=0.5, fps=20)
    frames = list(source.read(0))
    assert source.frame_count() == len(frames) == 10
    assert [frame.index for frame in frames if isinstance(frame, Frame)] == list(range(10))
    assert [frame.header.pts_seconds for frame in frames] == pytest.approx([index / 20 for index in range(10)])
    shown = rgb(frames[4]).astype(int)  # type: ignore[arg-type]
    assert np.abs(shown - scene(source.options).rgb(4)).mean() < 4  # chroma is shared by four pixels


def test_the_source_goes_on_exactly_where_it_was():
    whole, rest = list(_source(seconds=0.3).read(0)), list(_source(seconds=0.3).read(6))
    assert len(rest) == 3
    for one, other in zip(whole[6:], rest, strict=True):
        assert isinstance(one, Frame)
        assert isinstance(other, Frame)
        assert one.header.pts == other.header.pts
        assert all(np.array_equal(a, b) for a, b in zip(one.planes, other.planes, strict=True))


def test_stop_ends_the_source():
    source = _source(seconds=100)
    reading = source.read(0)
    next(reading)
    source.stop()
    assert list(reading) == []

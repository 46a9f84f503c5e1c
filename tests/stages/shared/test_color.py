"""RGB and grey against the formulas of the standards."""

from __future__ import annotations

from fractions import Fraction

import cv2
import numpy as np
import pytest

from pipeline.messages import ColorRange, ColorSpace, Frame, Header
from stages.shared.color import from_rgb, gray, plane_array, plane_shapes, rgb, video_frame

HEADER = Header("clip", 3, Fraction(1, 25), 0)
# Weights of red and blue in luma: BT.601-7 2.5.1, BT.709-6 3.2, BT.2020-2 table 4.
WEIGHTS = {"bt601": (0.299, 0.114), "bt709": (0.2126, 0.0722), "bt2020": (0.2627, 0.0593)}
# Swscale's unscaled path cuts fractions off and works with tables of 8 bits.
CONVERSION_TOLERANCE = 3.0
SIZES = [(128, 96), (321, 241), (320, 241), (321, 240), (5, 3), (2, 1), (1, 2), (1, 1)]


def _random_frame(size: tuple[int, int], space: ColorSpace, color_range: ColorRange) -> Frame:
    width, height = size
    rng = np.random.default_rng(width * 1000 + height)
    planes = tuple(rng.integers(0, 256, shape, dtype=np.uint8) for shape in plane_shapes("yuv420p", height, width))
    return Frame(HEADER, 0, width, height, "yuv420p", planes, space, color_range)


def _formula(frame: Frame) -> np.ndarray:
    red, blue = WEIGHTS[frame.color_space]
    green = 1 - red - blue
    luma, u, v = (np.asarray(plane).astype(float) for plane in frame.planes)
    u, v = (np.repeat(np.repeat(c, 2, 0), 2, 1)[: frame.height, : frame.width] - 128 for c in (u, v))
    if frame.color_range == "tv":
        luma, u, v = (luma - 16) / 219 * 255, u / 224 * 255, v / 224 * 255
    r = luma + 2 * (1 - red) * v
    b = luma + 2 * (1 - blue) * u
    g = (luma - red * r - blue * b) / green
    return np.clip(np.stack([r, g, b], axis=-1), 0, 255)


@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
@pytest.mark.parametrize("color_range", ["tv", "pc"])
@pytest.mark.parametrize("space", ["bt601", "bt709", "bt2020"])
def test_rgb_follows_the_matrix_and_range_of_the_frame(space, color_range, size):
    frame = _random_frame(size, space, color_range)
    image = rgb(frame)
    assert image.shape == (size[1], size[0], 3)
    assert image.dtype == np.uint8
    assert image.flags.c_contiguous
    assert np.abs(image - _formula(frame)).max() <= CONVERSION_TOLERANCE


def test_colors_that_no_rgb_has_are_cut_off_and_do_not_wrap_round():
    planes = (np.full((17, 33), 250, np.uint8), np.full((9, 17), 20, np.uint8), np.full((9, 17), 240, np.uint8))
    image = rgb(Frame(HEADER, 0, 33, 17, "yuv420p", planes, "bt709", "tv"))
    assert (image[..., 0] == 255).all()


def test_rgb_of_an_rgb_frame_is_its_own_array():
    pixels = np.zeros((4, 6, 3), np.uint8)
    assert rgb(Frame(HEADER, 0, 6, 4, "rgb24", (pixels,), "rgb", "pc")) is pixels


def test_rgb_of_a_grey_frame_is_grey():
    frame = Frame(HEADER, 0, 2, 1, "gray8", (np.array([[16, 235]], np.uint8),), "bt601", "tv")
    assert rgb(frame).tolist() == [[[0, 0, 0], [255, 255, 255]]]


def test_rgb_takes_planes_whose_lines_are_padded():
    frame = _random_frame((64, 48), "bt709", "tv")
    padded = tuple(np.pad(np.asarray(plane), ((0, 0), (0, 16)))[:, :-16] for plane in frame.planes)
    again = Frame(HEADER, 0, 64, 48, "yuv420p", padded, "bt709", "tv")
    assert np.array_equal(rgb(again), rgb(frame))


@pytest.mark.parametrize("size", [(320, 240), (321, 241), (640, 361)])
@pytest.mark.parametrize("smaller", [(120, 160), (97, 131)])
def test_scaled_down_rgb_is_the_scaled_down_rgb(size, smaller):
    frame = _random_frame(size, "bt709", "tv")
    smooth = tuple(cv2.GaussianBlur(np.asarray(plane), (0, 0), 8.0) for plane in frame.planes)
    frame = Frame(HEADER, 0, size[0], size[1], "yuv420p", smooth, "bt709", "tv")
    expected = cv2.resize(rgb(frame), smaller[::-1], interpolation=cv2.INTER_AREA)
    found = rgb(frame, smaller)
    assert found.shape == (*smaller, 3) and found.flags.c_contiguous
    # Chroma is repeated over 2x2 pixels, which have another size here and there.
    assert np.abs(found.astype(int) - expected).mean() <= CONVERSION_TOLERANCE


@pytest.mark.parametrize(("format", "shape"), [("rgb24", (48, 64, 3)), ("gray8", (48, 64))])
def test_rgb_and_grey_frames_are_scaled_down_too(format, shape):
    pixels = np.full(shape, 90, np.uint8)
    found = rgb(Frame(HEADER, 0, 64, 48, format, (pixels,), "rgb", "pc"), (24, 32))
    assert found.shape == (24, 32, 3) and (found == 90).all()


def test_rgb_does_not_mix_up_frames_of_different_kinds():
    first, second = _random_frame((64, 48), "bt709", "tv"), _random_frame((66, 48), "bt601", "pc")
    alone = rgb(first), rgb(second)
    mixed = [rgb(frame) for frame in (first, second, first, second)]
    assert all(np.array_equal(a, b) for a, b in zip(mixed, alone * 2, strict=True))


def test_grey_goes_from_black_to_white_in_either_range():
    levels = np.arange(256, dtype=np.uint8)[None]
    tv = gray(Frame(HEADER, 0, 256, 1, "gray8", (levels,), "bt601", "tv"))[0]
    assert (tv[:17] == 0).all()
    assert (tv[235:] == 255).all()
    assert tv[126] == 128  # (126 - 16) * 255 / 219 = 128.08
    assert gray(Frame(HEADER, 0, 256, 1, "gray8", (levels,), "bt601", "pc")) is levels


def test_grey_of_rgb_is_its_luma():
    pixels = np.array([[[255, 0, 0], [0, 255, 0], [0, 0, 255]]], np.uint8)
    assert gray(Frame(HEADER, 0, 3, 1, "rgb24", (pixels,), "rgb", "pc")).tolist() == [[76, 150, 29]]


@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
def test_from_rgb_makes_a_bt709_frame_whose_rgb_is_the_image(size):
    width, height = size
    rng = np.random.default_rng(5)
    tiles = rng.integers(0, 256, (-(-height // 16), -(-width // 16), 3), dtype=np.uint8)
    image = np.repeat(np.repeat(tiles, 16, 0), 16, 1)[:height, :width]
    frame = from_rgb(image, HEADER, 7, duration=2)
    assert (frame.width, frame.height, frame.index, frame.duration) == (width, height, 7, 2)
    assert (frame.format, frame.color_space, frame.color_range) == ("yuv420p", "bt709", "tv")
    assert tuple(plane.shape for plane in frame.planes) == plane_shapes("yuv420p", height, width)
    # Rounding to 8-bit YUV costs up to 1.9 in blue, then the way back.
    assert np.abs(rgb(frame).astype(int) - image).max() <= 2 + CONVERSION_TOLERANCE
    luma = 16 + image @ np.array([0.2126, 0.7152, 0.0722]) * 219 / 255
    assert np.abs(np.asarray(frame.planes[0]) - luma).max() <= 1


@pytest.mark.parametrize("pixels", [np.zeros((4, 4), np.uint8), np.zeros((4, 4, 3)), np.zeros((0, 4, 3), np.uint8)])
def test_from_rgb_refuses_what_is_not_an_rgb_image(pixels):
    with pytest.raises(ValueError, match=r"allowed is uint8 \(H, W, 3\)"):
        from_rgb(pixels, HEADER, 0)


@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
def test_a_video_frame_has_the_same_pixels_and_says_what_they_mean(size):
    frame = _random_frame(size, "bt2020", "pc")
    image = video_frame(frame)
    assert (image.width, image.height, image.format.name) == (*size, "yuv420p")
    assert (image.colorspace, image.color_range) == (9, 2)
    for plane, values in zip(image.planes, frame.planes, strict=True):
        assert np.array_equal(plane_array(plane)[:, : plane.width], np.asarray(values))


def test_a_video_frame_of_rgb_and_grey_keeps_its_pixels():
    pixels = np.random.default_rng(3).integers(0, 256, (5, 7, 3), dtype=np.uint8)
    colored = video_frame(Frame(HEADER, 0, 7, 5, "rgb24", (pixels,), "rgb", "pc"))
    assert np.array_equal(colored.to_ndarray(format="rgb24"), pixels)
    grey = video_frame(Frame(HEADER, 0, 7, 5, "gray8", (pixels[..., 0],), "bt601", "pc"))
    assert grey.format.name == "gray"

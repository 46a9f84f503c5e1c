"""Pictures of stages: size, colors, and times."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import cv2
import numpy as np
import pytest

from pipeline.messages import Frame, Header, Stabilized
from raftline.web.live.pictures import frame_of, jpeg, picture

HEADER = Header("a", 5, Fraction(1, 10), 0, sequence=3)


def rgb(color: tuple[int, int, int], width: int = 96, height: int = 64) -> Frame:
    plane = np.full((height, width, 3), color, np.uint8)
    return Frame(HEADER, 7, width, height, "rgb24", (plane,), "rgb", "pc")


def yuv(y: int, u: int, v: int, color_range: str, space: str = "bt709", ten_bits: bool = False) -> Frame:
    kind, scale = (np.uint16, 4) if ten_bits else (np.uint8, 1)
    sizes = ((64, 96), (32, 48), (32, 48))
    planes = tuple(np.full(size, value * scale, kind) for size, value in zip(sizes, (y, u, v), strict=True))
    format = "yuv420p10" if ten_bits else "yuv420p"
    return Frame(HEADER, 7, 96, 64, format, planes, space, color_range)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("frame", "color"),
    [
        (rgb((200, 40, 90)), (200, 40, 90)),
        (yuv(235, 128, 128, "tv"), (255, 255, 255)),
        (yuv(255, 128, 128, "pc"), (255, 255, 255)),
        (yuv(63, 102, 240, "tv"), (255, 0, 0)),
        (yuv(63, 102, 240, "tv", ten_bits=True), (255, 0, 0)),
        (yuv(81, 90, 240, "tv", "bt601"), (255, 0, 0)),
        (replace(yuv(99, 0, 0, "pc"), format="gray8", planes=(np.full((64, 96), 99, np.uint8),)), (99, 99, 99)),
    ],
    ids=["rgb", "white", "white of full range", "red", "red of 10 bits", "red of BT.601", "gray"],
)
def test_a_jpeg_shows_the_colors_of_the_frame(frame: Frame, color: tuple[int, int, int]) -> None:
    image = cv2.imdecode(np.frombuffer(jpeg(frame, 640), np.uint8), cv2.IMREAD_COLOR_RGB)
    assert image is not None
    np.testing.assert_allclose(image[32, 48].astype(int), color, atol=8)


def test_a_picture_is_small_and_of_even_size() -> None:
    small = picture(rgb((1, 2, 3), 1281, 721), 640)
    assert (small.width, small.height, small.format.name) == (640, 360, "yuv420p")
    assert (picture(rgb((1, 2, 3), 33, 21), 640).width, picture(rgb((1, 2, 3), 33, 21), 640).height) == (32, 20)


def test_a_stabilized_picture_has_the_time_of_its_message() -> None:
    corrected = replace(rgb((1, 2, 3)), header=replace(HEADER, pts=None))
    shown = frame_of(Stabilized(HEADER, corrected, (1, 0, 0, 0, 1, 0, 0, 0, 1)))
    assert shown is not None and shown.header == HEADER and shown.index == 7
    assert frame_of(None) is None

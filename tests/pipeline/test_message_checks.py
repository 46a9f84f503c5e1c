"""What is wrong with a message, in words: the field, what was found, what is allowed."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from typing import Any, get_args

import numpy as np
import pytest

from pipeline.message_checks import _PLANES, fault, json_fault, signature
from pipeline.messages import Data, Flow, Frame, Gap, Mask, Message, PixelFormat, Stabilized
from pipeline.testing import make_frame

LUMA, CHROMA = np.zeros((35, 50), np.uint8), np.zeros((18, 25), np.uint8)
HEADER = make_frame(LUMA).header
FRAME = Frame(HEADER, 0, 50, 35, "yuv420p", (LUMA, CHROMA, CHROMA), "bt709", "tv", 512)
GRID = np.zeros((5, 7, 2), np.float32)
FLOW = Flow(HEADER, FRAME, "cold", GRID, np.zeros((35, 50, 2), np.float16), GRID[..., 0], 0, 0.04, 4)
MASK = Mask(HEADER, FRAME, LUMA, (), (), (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0))
STABILIZED = Stabilized(HEADER, FRAME, (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0), FRAME)
DATA = Data(HEADER, "speed", {"px": [1, 2.5, None, True, "x", {"y": ()}]}, {"heat": GRID}, FRAME)
GAP = Gap(HEADER, "reconnect", "camera came back", 1.25)
RIGHT: list[Message] = [FRAME, FLOW, replace(FLOW, grid_px=None, flow_px=None), MASK, STABILIZED, DATA, GAP]
TEN_BITS = replace(FRAME, format="yuv420p10", planes=tuple(plane.astype(np.uint16) for plane in (LUMA, CHROMA, CHROMA)))
RIGHT += [TEN_BITS, make_frame(np.zeros((9, 7, 3), np.uint8)), make_frame(LUMA)]

WRONG: list[tuple[Message, dict[str, Any], str]] = [
    (TEN_BITS, {"format": "yuv420p"}, "planes[0]: found uint16 (35, 50); allowed: uint8 (35, 50)"),
    (FRAME, {"format": "yuv420p10"}, "planes[0]: found uint8 (35, 50); allowed: uint16 (35, 50)"),
    (FRAME, {"planes": (LUMA, CHROMA)}, "planes: found 2 of them; allowed: 3, as a frame of yuv420p and 50x35 px has"),
    (FRAME, {"planes": LUMA}, "planes: found numpy.ndarray; allowed: a tuple of arrays"),
    (FRAME, {"planes": (LUMA, CHROMA, LUMA)}, "planes[2]: found uint8 (35, 50); allowed: uint8 (18, 25)"),
    (FRAME, {"planes": (LUMA / 2, CHROMA, CHROMA)}, "planes[0]: found float64 (35, 50); allowed: uint8 (35, 50)"),
    (FRAME, {"planes": (LUMA.tolist(), CHROMA, CHROMA)}, "planes[0]: found list; allowed: a numpy array"),
    (FRAME, {"format": "yuv420p10"}, "planes[0]: found uint8 (35, 50); allowed: uint16 (35, 50)"),
    (FRAME, {"stream_index": -1}, "stream_index: found int -1; allowed: a whole number, at least 0"),
    (FRAME, {"width": 51}, "planes[0]: found uint8 (35, 50); allowed: uint8 (35, 51)"),
    (FRAME, {"width": 0}, "width: found int 0; allowed: a whole number, at least 1"),
    (FRAME, {"index": 1.0}, "index: found float 1.0; allowed: a whole number"),
    (FRAME, {"format": "bgr24"}, "format: found 'bgr24'; allowed: one of yuv420p, yuv420p10, rgb24, gray8"),
    (FRAME, {"color_range": "full"}, "color_range: found 'full'; allowed: one of tv, pc"),
    (FRAME, {"header": None}, "header: found None; allowed: Header"),
    (FRAME, {"header": replace(HEADER, pts=np.int64(3))}, "header.pts: found numpy.int64 3; allowed: a whole number"),
    (FLOW, {"frame": LUMA}, "frame: found numpy.ndarray; allowed: Frame"),
    (FLOW, {"frame": replace(FRAME, planes=())}, "frame.planes: found 0 of them; allowed: 3"),
    (FLOW, {"start": "hot"}, "start: found 'hot'; allowed: one of first, cold, warm"),
    (FLOW, {"grid_px": GRID[:4]}, "grid_px: found float32 (4, 7, 2); allowed: float32 (5, 7, 2) for a frame of"),
    (FLOW, {"flow_px": FLOW.grid_px}, "flow_px: found float32 (5, 7, 2); allowed: float16 (35, 50, 2)"),
    (FLOW, {"step_seconds": "0.1"}, "step_seconds: found str 0.1; allowed: a number, s"),
    (MASK, {"mask": LUMA.astype(bool)}, "mask: found bool (35, 50); allowed: uint8 (35, 50)"),
    (MASK, {"objects": [(1, 2)]}, "objects[0]: found tuple (1, 2); allowed: MotionObject"),
    (MASK, {"camera": np.eye(3)}, "camera: found numpy.ndarray; allowed: 9 numbers in a tuple"),
    (STABILIZED, {"correction": (1.0, 0.0)}, "correction: found 2 values; allowed: 9 numbers"),
    (DATA, {"values": {"px": [1, np.float32(2)]}}, "values['px'][1]: found numpy.float32 2.0; allowed: text"),
    (DATA, {"values": {"px": [1, np.float32(2)]}}, "Write its .item(), or float() of it"),
    (DATA, {"values": {"ids": {3}}}, "values['ids']: found set {3}; allowed: text, whole numbers"),
    (DATA, {"values": {"ids": {3}}}, "Write sorted() or list() of it"),
    (DATA, {"values": {"grid": GRID}}, "Write its .tolist(), or put an array into Data.arrays"),
    (DATA, {"values": {(1, 2): 3}}, "values: found the key tuple (1, 2); allowed: text"),
    (DATA, {"values": [1]}, "values: found list [1]; allowed: a dictionary"),
    (DATA, {"arrays": {"heat": [1, 2]}}, "arrays['heat']: found list; allowed: a numpy array"),
    (DATA, {"kind": 3}, "kind: found int 3; allowed: str"),
    (GAP, {"reason": "tired"}, "reason: found 'tired'; allowed: one of reconnect, lost_frames"),
]  # fmt: skip


@pytest.mark.parametrize("message", RIGHT, ids=lambda message: type(message).__name__)
def test_a_message_that_is_right_has_no_fault(message: Message) -> None:
    assert fault(message) is None
    assert hash(signature(message)) is not None


@pytest.mark.parametrize(("message", "changed", "words"), WRONG)
def test_a_message_that_is_wrong_says_what_was_found_and_what_is_allowed(
    message: Message, changed: dict[str, Any], words: str
) -> None:
    assert words in str(fault(replace(message, **changed)))


@pytest.mark.parametrize(("message", "changed", "words"), [case for case in WRONG if {*case[1]} & {"planes", "mask"}])
def test_pixels_that_changed_have_another_signature(message: Message, changed: dict[str, Any], words: str) -> None:
    try:
        assert signature(replace(message, **changed)) != signature(message)
    except (AttributeError, TypeError):
        pass  # no message at all


def test_what_is_no_message_is_named() -> None:
    assert "found numpy.ndarray; allowed: Frame, Flow, Mask" in str(fault(LUMA))  # pyright: ignore[reportArgumentType]


def test_numbers_of_numpy_that_json_holds_are_no_fault() -> None:
    assert json_fault({"mean": np.float64(0.5), "name": np.str_("x")}, "values") is None
    assert fault(replace(FRAME, index=np.int64(3), duration=np.int32(2))) is None
    assert fault(replace(FRAME, header=replace(HEADER, time_base=Fraction(1, 25)))) is None


def test_every_pixel_format_is_checked() -> None:
    assert {*_PLANES} == {*get_args(PixelFormat)}

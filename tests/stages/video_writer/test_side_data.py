from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import av
import numpy as np
from av.sidedata.sidedata import Type

from stages.video_writer import side_data
from stages.video_writer.side_data import lost_with


@dataclass
class Carrier:
    """A frame, as far as its side data go: PyAV makes none."""

    side_data: dict[Any, bytes] = field(default_factory=dict)


def test_what_encoding_loses_is_named(monkeypatch):
    monkeypatch.setattr(side_data, "side_data_of", lambda frame: frame.side_data)
    frame = Carrier({Type.A53_CC: b"", Type.MASTERING_DISPLAY_METADATA: b"", Type.DYNAMIC_HDR_PLUS: b""})
    assert lost_with(frame) == ["closed captions inside the video", "HDR10+ metadata"]


def test_a_plain_frame_loses_nothing():
    assert lost_with(av.VideoFrame.from_ndarray(np.zeros((16, 16), np.uint8), "gray")) == []

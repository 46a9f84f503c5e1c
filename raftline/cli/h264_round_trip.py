"""Frames through a real H.264 encoder and back. Needs PyAV with libx264."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import av

    from raftline.evaluation.evaluation_sets import Image

_FRAMES_PER_SECOND = 25
"""Of PAL video, and of most cameras' streams. With the bit rate it says how many bits a frame gets."""


def h264_round_trip(images: Iterator[Image], bits_per_second: int) -> list[Image]:
    """Encode and decode images as the frames of one video, a `raftline.evaluation.evaluation_sets.Codec`.

    Args:
        images: (H, W, 3) uint8 RGB each, sides even, all of one size.
        bits_per_second: the encoder's bit rate at 25 frames/s.

    Returns:
        As many images, as a viewer of the video sees them.

    Raises:
        ValueError: PyAV, or its H.264 encoder, is not installed.
    """
    try:
        import av
    except ImportError as error:
        raise ValueError("compressed video needs PyAV, which is not installed: pip install av") from error
    try:
        encoder = av.VideoCodecContext.create("libx264", "w")
    except ValueError as error:  # PyAV's UnknownCodecError is one
        raise ValueError("compressed video needs PyAV with libx264; its wheels from PyPI have it") from error
    decoder = av.VideoCodecContext.create("h264", "r")
    encoder.pix_fmt = "yuv420p"
    encoder.time_base = Fraction(1, _FRAMES_PER_SECOND)
    encoder.framerate = Fraction(_FRAMES_PER_SECOND)
    encoder.bit_rate = bits_per_second
    # As cameras encode: fast, without frames that wait for later ones. One thread, for the same bits on every machine.
    encoder.options = {"preset": "veryfast", "tune": "zerolatency", "threads": "1"}
    decoded: list[Image] = []
    for image in images:
        if not encoder.is_open:
            encoder.height, encoder.width = image.shape[:2]
        for packet in encoder.encode(av.VideoFrame.from_ndarray(image, "rgb24")):
            decoded += [_rgb(frame) for frame in decoder.decode(packet)]
    for packet in encoder.encode(None):
        decoded += [_rgb(frame) for frame in decoder.decode(packet)]
    return decoded + [_rgb(frame) for frame in decoder.decode(None)]


def _rgb(frame: av.VideoFrame) -> Image:
    return np.asarray(frame.to_ndarray(format="rgb24"), np.uint8)

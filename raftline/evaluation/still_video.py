"""A photograph as video of a camera that does not move, through a real encoder. Needs PyAV with libx264."""

import itertools
from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import numpy as np
import numpy.typing as npt

Image = npt.NDArray[np.uint8]
_FRAMES_PER_SECOND = 25


def compressed_still(photograph: Image, frames: int, noise: float, bits_per_second: int, seed: int) -> list[Image]:
    """The photograph so many times, each with noise of its own, through H.264 and back.

    Args:
        photograph: (H, W, 3) uint8 RGB, sides even.
        noise: standard deviation, grey levels.

    Raises:
        ValueError: PyAV, or its H.264 encoder, is not there.
    """
    try:
        import av
    except ImportError as error:
        raise ValueError("compressed video needs PyAV, which is not installed: pip install av") from error
    try:
        encoder = av.CodecContext.create("libx264", "w")
    except ValueError as error:  # PyAV raises its UnknownCodecError, which is one
        raise ValueError("compressed video needs PyAV with libx264; its wheels from PyPI have it") from error
    encoder.height, encoder.width = photograph.shape[:2]
    encoder.pix_fmt = "yuv420p"
    encoder.time_base = Fraction(1, _FRAMES_PER_SECOND)
    encoder.framerate = Fraction(_FRAMES_PER_SECOND)
    encoder.bit_rate = bits_per_second
    encoder.options = {"preset": "veryfast", "tune": "zerolatency", "threads": "1"}
    decoder = av.CodecContext.create("h264", "r")
    pictures = itertools.chain(_noisy(photograph, frames, noise, seed), [None])
    decoded: list[Image] = []
    for picture in pictures:
        frame = None if picture is None else av.VideoFrame.from_ndarray(picture, "rgb24")
        for packet in encoder.encode(frame):
            decoded += [_rgb(seen) for seen in decoder.decode(packet)]
    return decoded + [_rgb(seen) for seen in decoder.decode(None)]


def _rgb(frame: Any) -> Image:
    return frame.to_ndarray(format="rgb24")


def _noisy(photograph: Image, frames: int, noise: float, seed: int) -> Iterator[Image]:
    random = np.random.Generator(np.random.PCG64([seed, 0x571]))
    for _ in range(frames):
        grains = random.normal(0, noise, photograph.shape)
        yield np.clip(np.rint(photograph + grains), 0, 255).astype(np.uint8)

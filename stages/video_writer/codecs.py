"""The video codecs that can be written: which encoder, with which settings, in which containers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any, Literal

import av
import av.logging
from av.codec import Codec
from av.error import FFmpegError

from pipeline.errors import ConfigError
from stages.video_writer.containers import ContainerName
from stages.video_writer.hdr import Mastering

CodecName = Literal["h264", "hevc", "av1", "ffv1", "h264_nvenc", "hevc_nvenc"]
"""The last two: by an NVIDIA GPU. An output that a worker has begun is gone on with by the same encoder."""
Quality = Literal["fast", "balanced", "best"]
LOOKAHEAD = 8
"""Frames that x264 and x265 look ahead. Few, because the sender keeps each of them until it is encoded; some, because
rate control by macroblock trees needs them. Chosen by hand."""


@dataclass(frozen=True)
class EncoderSettings:
    """How much time an encoder takes for a frame."""

    preset: str
    """Name of the encoder's own set of options."""
    parameters: str = ""
    """What differs from the preset, as the encoder writes its parameters."""


@dataclass(frozen=True)
class VideoCodec:
    """A codec, as one encoder of FFmpeg makes it, in the order in which frames come in."""

    name: CodecName
    encoder: str
    """FFmpeg's name."""
    settings: dict[Quality, EncoderSettings]
    containers: tuple[ContainerName, ...]
    """The first is the one that ``auto`` takes where the suffix names none."""
    options: Callable[[EncoderSettings, int], dict[str, str]]
    """Of the encoder, from its settings and the number of threads; without quality."""
    parameters: str | None
    """Key of the options under which the encoder takes parameters of its own."""
    mastering: Callable[[Mastering], str] = field(default=lambda _: "")
    """Parameters that write the mastering data of HDR video into the stream."""
    tag: str | None = None
    """Sample entry in mp4 and QuickTime, where FFmpeg's choice is not what most players know."""
    highest_crf: int | None = 51
    """None: it is lossless."""
    quality: str = "crf"
    """The encoder's option for the rate factor."""

    def why_not(self) -> str | None:
        """Why this machine cannot encode with it, found by encoding a frame; None if it can."""
        try:
            context: Any = av.CodecContext.create(self.encoder, "w")
            context.width, context.height, context.pix_fmt = 256, 144, "yuv420p"
            context.time_base = Fraction(1, 30)
            with av.logging.Capture():  # the driver's own words where there is none
                context.open()
                context.encode(av.VideoFrame(256, 144, "yuv420p"))
        except ValueError:
            return f"this PyAV ({av.__version__}) has no encoder {self.encoder}"
        except (FFmpegError, OSError, RuntimeError) as error:
            return f"{self.encoder} cannot be opened ({getattr(error, 'strerror', None) or error})"
        return None

    def check(self) -> None:
        """Raise `ConfigError` if this machine's FFmpeg has no such encoder."""
        try:
            Codec(self.encoder, "w")
        except ValueError:
            raise ConfigError(
                f"codec {self.name}: this PyAV has no encoder {self.encoder}; choose another codec "
                f"({', '.join(BY_CPU)}), or install PyAV from its wheel (pip install av)"
            ) from None


_X264: dict[Quality, EncoderSettings] = {
    "fast": EncoderSettings("superfast", "mbtree=1:subme=2"),
    "balanced": EncoderSettings("veryfast"),
    "best": EncoderSettings("faster"),
}
"""Measured at crf 18 on stabilized 1080p with noise, clean 720p and a still camera. ``fast`` takes 0.71 to 0.77 of the
time of ``balanced``, for the same size and 0.06 to 0.3 dB less PSNR; plain superfast is 46 to 150 % larger. ``best``
takes 1.5 times the time, for 0.5 dB more and at most the same size; slower presets take twice that for 0.1 dB."""
_X265: dict[Quality, EncoderSettings] = {
    "fast": EncoderSettings("superfast"),
    "balanced": EncoderSettings("veryfast"),
    "best": EncoderSettings("faster"),
}
_SVT_AV1: dict[Quality, EncoderSettings] = {
    "fast": EncoderSettings("12"),
    "balanced": EncoderSettings("10"),
    "best": EncoderSettings("8"),
}
"""The same steps by name; of these and x265's the trade was not measured."""
_FFV1: dict[Quality, EncoderSettings] = {quality: EncoderSettings("") for quality in _X264}


def _x264(settings: EncoderSettings, threads: int) -> dict[str, str]:
    in_order = f"bframes=0:rc-lookahead={LOOKAHEAD}:sync-lookahead=0:threads={threads}"
    return {"preset": settings.preset, "x264-params": _joined(in_order, settings.parameters)}


def _x265(settings: EncoderSettings, threads: int) -> dict[str, str]:
    in_order = f"bframes=0:rc-lookahead={LOOKAHEAD}:pools={threads}:frame-threads=1:log-level=error"
    return {"preset": settings.preset, "x265-params": _joined(in_order, settings.parameters)}


def _svt_av1(settings: EncoderSettings, threads: int) -> dict[str, str]:
    # pred-struct 1: low delay, no frame refers to a later one.
    return {"preset": settings.preset, "svtav1-params": _joined(f"pred-struct=1:lp={threads}", settings.parameters)}


def _ffv1(settings: EncoderSettings, threads: int) -> dict[str, str]:
    # Version 3 with checksums in each slice, as archives keep it (RFC 9043).
    return {"level": "3", "g": "1", "slices": "4", "slicecrc": "1", "threads": str(threads)}


_NVENC: dict[Quality, EncoderSettings] = {
    "fast": EncoderSettings("p2"),
    "balanced": EncoderSettings("p4"),
    "best": EncoderSettings("p6"),
}
"""Not measured: no machine with one was at hand."""


def _nvenc(settings: EncoderSettings, threads: int) -> dict[str, str]:
    # bf and delay: frames come out in the order in which they go in, and none waits for a later one.
    return {"preset": settings.preset, "tune": "hq", "rc": "vbr", "b": "0", "bf": "0", "delay": "0"}


def _joined(*parameters: str) -> str:
    return ":".join(filter(None, parameters))


CODECS: dict[CodecName, VideoCodec] = {
    "h264": VideoCodec("h264", "libx264", _X264, ("mp4", "mkv", "mov"), _x264, "x264-params", Mastering.for_x264),
    "hevc": VideoCodec(
        "hevc", "libx265", _X265, ("mp4", "mkv", "mov"), _x265, "x265-params", Mastering.for_x265, tag="hvc1"
    ),
    "av1": VideoCodec(
        "av1", "libsvtav1", _SVT_AV1, ("mp4", "mkv"), _svt_av1, "svtav1-params", Mastering.for_svt_av1, highest_crf=63
    ),
    "ffv1": VideoCodec("ffv1", "ffv1", _FFV1, ("mkv",), _ffv1, None, highest_crf=None),
    "h264_nvenc": VideoCodec("h264_nvenc", "h264_nvenc", _NVENC, ("mp4", "mkv", "mov"), _nvenc, None, quality="cq"),
    "hevc_nvenc": VideoCodec(
        "hevc_nvenc", "hevc_nvenc", _NVENC, ("mp4", "mkv", "mov"), _nvenc, None, tag="hvc1", quality="cq"
    ),
}
BY_CPU: tuple[CodecName, ...] = ("h264", "hevc", "av1", "ffv1")
BY_NVENC: dict[CodecName, CodecName] = {"h264": "h264_nvenc", "hevc": "hevc_nvenc"}
"""What an NVIDIA GPU can write in place of the CPU."""

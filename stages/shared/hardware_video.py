"""Which hardware of this machine decodes video, asked of FFmpeg by opening it."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Literal

import av
import av.error
import av.logging
from av.codec import Codec
from av.codec.hwaccel import HWAccel, hwdevices_available

HardwareName = Literal["cuda", "qsv", "vaapi"]
HardwareChoice = Literal["off", "auto", "cuda", "qsv", "vaapi"]
KNOWN: tuple[HardwareName, ...] = ("cuda", "qsv", "vaapi")
"""In the order in which ``auto`` tries them."""
_ASKED_FOR = "h264"
"""The codec that every such device decodes."""


@dataclass(frozen=True)
class Hardware:
    """What is to decode."""

    accel: HWAccel | None
    """For `av.open`; None: the CPU decodes."""
    name: str
    """Such as "cuda"; "off" where the CPU decodes."""
    lacking: str = ""
    """Why it is not what was asked for; empty if it is."""


def choose_hardware(asked: HardwareChoice) -> Hardware:
    """Choose a device: the one that was asked for if it can be opened, for ``auto`` the first that can."""
    if asked == "off":
        return Hardware(None, "off")
    names = KNOWN if asked == "auto" else (asked,)
    reasons = {name: why_not(name) for name in names}
    for name, reason in reasons.items():
        if reason is None:
            return Hardware(HWAccel(name, allow_software_fallback=True), name)
    return Hardware(None, "off", "; ".join(f"{name}: {reason}" for name, reason in reasons.items()))


@functools.cache
def why_not(name: HardwareName) -> str | None:
    """Why this device cannot decode H.264 here; None if it can."""
    if name not in hwdevices_available():
        return f"this PyAV ({av.__version__}) is built without it"
    with av.logging.Capture():  # FFmpeg's own words on a device that is not there
        try:
            HWAccel(name, allow_software_fallback=False).create(Codec(_ASKED_FOR, "r"))
        except NotImplementedError:
            return f"this PyAV ({av.__version__}) has no {_ASKED_FOR} decoder for it"
        except (av.error.FFmpegError, OSError, RuntimeError) as error:
            return f"no such device can be opened ({getattr(error, 'strerror', None) or error})"
    return None

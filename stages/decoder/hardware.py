"""The device that decodes a source's video, and what log and status say of it."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from pipeline.stage import Context
from stages.shared.hardware_video import Hardware, HardwareChoice, choose_hardware

HARDWARE_OPTION: Any = Field(
    "off",
    description="what decodes files and RTSP cameras: the CPU (off), or this machine's cuda, qsv or vaapi; auto: the "
    "first of these that can be opened. Where it cannot decode the video, the CPU does, and log and status say so",
)


class VideoHardware:
    """Frames come back to the host's memory, from where every stage takes them.

    Args:
        asked: the option.
        context: of the decoder; its log and status are told what is not as asked.
    """

    def __init__(self, asked: HardwareChoice, context: Context) -> None:
        self._asked = asked
        self._context = context
        self._chosen: Hardware = choose_hardware(asked)
        self._said = ""
        if self._chosen.lacking:
            self._say(f"off: {self._chosen.lacking}")

    @property
    def accel(self) -> Any:
        """For `av.open`; None where the CPU decodes."""
        return self._chosen.accel

    def threads(self, stream: Any, wanted: int) -> int:
        """Say what decodes a stream that was just opened; returns the number of the CPU's threads for it."""
        if self._chosen.accel is None:
            return wanted
        context = stream.codec_context
        if context.is_hwaccel:
            self._say(self._chosen.name)
            return 1  # the device has its own; each of ours would only hold frames of it
        self._say(f"off: {self._chosen.name} does not decode {context.name} here")
        return wanted

    def _say(self, text: str) -> None:
        if text == self._said:
            return
        self._said = text
        self._context.status(hwaccel=text)
        if text.startswith("off"):
            self._context.log.warning(
                "%s: hwaccel %s: the CPU decodes instead (%s)", self._context.source.display, self._asked, text
            )

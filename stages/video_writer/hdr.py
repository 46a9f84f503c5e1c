"""Mastering data of HDR video: the display it was graded on and its brightest content (SMPTE ST 2086, CTA-861.3)."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from av.sidedata.sidedata import Type as SideDataType

from stages.shared.frame_side_data import side_data_of

_CHROMATICITY_UNITS = 50_000
_LUMINANCE_UNITS = 10_000
"""Per unit and per cd/m2, as H.264 and HEVC write them (ITU-T H.265, D.3.28)."""
_RATIONALS = struct.Struct("=20i2i")
"""AVMasteringDisplayMetadata: red, green, blue (x, y), white (x, y), least and greatest luminance; has_primaries and
has_luminance."""
_LIGHT_LEVELS = struct.Struct("=2I")
"""AVContentLightMetadata: MaxCLL and MaxFALL, cd/m2."""


@dataclass(frozen=True)
class Mastering:
    """What players need to show HDR as it was graded."""

    red: tuple[Fraction, Fraction]
    """CIE 1931 x and y."""
    green: tuple[Fraction, Fraction]
    blue: tuple[Fraction, Fraction]
    white: tuple[Fraction, Fraction]
    luminance: tuple[Fraction, Fraction]
    """Least and greatest, cd/m2."""
    light_levels: tuple[int, int] | None = None
    """MaxCLL and MaxFALL, cd/m2."""

    def to_json(self) -> list[Any]:
        """JSON values."""
        pairs = (self.red, self.green, self.blue, self.white, self.luminance)
        return [[str(value) for pair in pairs for value in pair], self.light_levels]

    @classmethod
    def from_json(cls, values: list[Any]) -> Mastering:
        """What `to_json` described."""
        numbers, levels = [Fraction(text) for text in values[0]], values[1]
        pairs = [(numbers[at], numbers[at + 1]) for at in range(0, 10, 2)]
        return cls(*pairs, light_levels=(levels[0], levels[1]) if levels else None)  # type: ignore[misc]

    @classmethod
    def of(cls, frame: Any) -> Mastering | None:
        """That of a decoded frame (PyAV's); None if it says nothing."""
        side_data = side_data_of(frame)
        if side_data is None:
            return None
        if SideDataType.MASTERING_DISPLAY_METADATA not in side_data:
            return None
        numbers = _RATIONALS.unpack_from(bytes(side_data[SideDataType.MASTERING_DISPLAY_METADATA]))
        if not all(numbers[-2:]) or 0 in numbers[1:20:2]:
            return None
        values = [Fraction(numbers[at], numbers[at + 1]) for at in range(0, 20, 2)]
        pairs = [(values[at], values[at + 1]) for at in range(0, 10, 2)]
        levels = None
        if SideDataType.CONTENT_LIGHT_LEVEL in side_data:
            levels = _LIGHT_LEVELS.unpack_from(bytes(side_data[SideDataType.CONTENT_LIGHT_LEVEL]))
        return cls(*pairs, light_levels=levels)  # type: ignore[misc]

    def for_x264(self) -> str:
        """As x264 takes it."""
        return self._in_units("mastering-display", "cll")

    def for_x265(self) -> str:
        """As x265 takes it."""
        return self._in_units("master-display", "max-cll")

    def for_svt_av1(self) -> str:
        """As SVT-AV1 takes it."""
        points = "".join(f"{name}({x:.5f},{y:.5f})" for name, (x, y) in self._points(1.0))
        least, greatest = (float(value) for value in self.luminance)
        levels = f":content-light={self.light_levels[0]},{self.light_levels[1]}" if self.light_levels else ""
        return f"mastering-display={points}L({greatest:.4f},{least:.4f}){levels}"

    def _in_units(self, display: str, levels: str) -> str:
        points = "".join(f"{name}({round(x)},{round(y)})" for name, (x, y) in self._points(_CHROMATICITY_UNITS))
        least, greatest = (round(value * _LUMINANCE_UNITS) for value in self.luminance)
        light = f":{levels}={self.light_levels[0]},{self.light_levels[1]}" if self.light_levels else ""
        return f"{display}={points}L({greatest},{least}){light}"

    def _points(self, scale: float) -> list[tuple[str, tuple[float, float]]]:
        named = (("G", self.green), ("B", self.blue), ("R", self.red), ("WP", self.white))
        return [(name, (float(x) * scale, float(y) * scale)) for name, (x, y) in named]

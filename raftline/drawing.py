"""Text, boxes and tints on RGB pictures, of a size that suits the picture."""

from __future__ import annotations

import cv2
import numpy as np

Color = tuple[int, int, int]

WHITE: Color = (255, 255, 255)
DARK: Color = (24, 24, 28)
_FONT = cv2.FONT_HERSHEY_SIMPLEX
_CAP_HEIGHT_PX = 21.0
"""Height of a capital of that font at scale 1."""
# Colors that differ in lightness as well as in hue (P. Green-Armytage, "A color alphabet", 2010; a choice of it).
_PALETTE: tuple[Color, ...] = (
    (255, 204, 0),
    (0, 190, 255),
    (255, 80, 95),
    (120, 220, 60),
    (240, 120, 255),
    (255, 145, 30),
    (70, 235, 190),
    (150, 150, 255),
)


def palette(number: int) -> Color:
    """A color for an id; the same id has the same color."""
    return _PALETTE[number % len(_PALETTE)]


def text_height(picture_height_px: int) -> int:
    """Height of capitals that can be read on a picture of this height, px."""
    return max(7, round(picture_height_px / 36))


def text_size(text: str, height_px: int) -> tuple[int, int]:
    """Width and height of `label`'s box for this text, px."""
    scale = height_px / _CAP_HEIGHT_PX
    (width, _), _ = cv2.getTextSize(text, _FONT, scale, _thickness(height_px))
    return width + 2 * _margin(height_px), height_px + 2 * _margin(height_px)


def label(
    picture: np.ndarray,
    text: str,
    corner: tuple[int, int],
    height_px: int,
    color: Color = WHITE,
    ground: Color = DARK,
    opacity: float = 0.7,
) -> None:
    """Write text on a box of `ground`, in place.

    Args:
        picture: uint8 (H, W, 3) RGB, writeable.
        corner: left and top of the box in px; moved inward where the box would leave the picture.
        height_px: of capitals.
        opacity: of the box, 0-1.
    """
    width, height = text_size(text, height_px)
    rows, columns = picture.shape[:2]
    x = max(0, min(corner[0], columns - width))
    y = max(0, min(corner[1], rows - height))
    tint(picture[y : y + height, x : x + width], ground, opacity)
    margin = _margin(height_px)
    origin = (x + margin, y + margin + height_px)
    cv2.putText(picture, text, origin, _FONT, height_px / _CAP_HEIGHT_PX, color, _thickness(height_px), cv2.LINE_AA)


def tint(area: np.ndarray, color: Color, opacity: float, where: np.ndarray | None = None) -> None:
    """Mix a color into a picture or a part of it, in place.

    Args:
        area: uint8 (H, W, 3) RGB.
        where: bool (H, W); None is everywhere.
    """
    chosen = slice(None) if where is None else where
    mixed = area[chosen] * np.float32(1 - opacity) + np.array(color, np.float32) * np.float32(opacity)
    area[chosen] = mixed.astype(np.uint8)


def box(picture: np.ndarray, x: int, y: int, width: int, height: int, color: Color) -> None:
    """The outline of a rectangle of px, in place."""
    thickness = max(1, round(picture.shape[0] / 360))
    cv2.rectangle(picture, (x, y), (x + width - 1, y + height - 1), color, thickness, cv2.LINE_AA)


def clock(seconds: float | None) -> str:
    """A presentation time as people read it: ``1:02:03.45``."""
    if seconds is None:
        return "--:--"
    sign, seconds = ("-", -seconds) if seconds < 0 else ("", seconds)
    minutes, rest = divmod(round(seconds, 2), 60)
    hours, minutes = divmod(int(minutes), 60)
    return f"{sign}{hours}:{minutes:02d}:{rest:05.2f}" if hours else f"{sign}{minutes:02d}:{rest:05.2f}"


def _margin(height_px: int) -> int:
    return max(2, height_px // 2)


def _thickness(height_px: int) -> int:
    return max(1, round(height_px / 10))

"""Text, boxes and tints on RGB images, in sizes that suit the image."""

from __future__ import annotations

import cv2
import numpy as np

Color = tuple[int, int, int]

WHITE: Color = (255, 255, 255)
DARK: Color = (24, 24, 28)
_FONT = cv2.FONT_HERSHEY_SIMPLEX
_CAP_HEIGHT_PX = 21.0
"""Height of a capital letter of that font at scale 1."""
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
"""Differ in lightness as well as in hue; a selection from P. Green-Armytage, "A colour alphabet", 2010."""
_TEXT_PER_HEIGHT = 1 / 36
_LEAST_TEXT_PX = 7
"""Height of capitals as a share of the image's, and the least that can be read. Chosen by hand."""
_LINE_PER_HEIGHT = 1 / 360
"""Width of outlines as a share of the image's height. Chosen by hand."""


def palette(number: int) -> Color:
    """The color of an id; the same id always has the same color."""
    return _PALETTE[number % len(_PALETTE)]


def text_height(image_height_px: int) -> int:
    """Height of capitals that can be read on an image of this height, px."""
    return max(_LEAST_TEXT_PX, round(image_height_px * _TEXT_PER_HEIGHT))


def text_size(text: str, height_px: int) -> tuple[int, int]:
    """Width and height of the box that `label` draws for a text, px."""
    scale = height_px / _CAP_HEIGHT_PX
    (width, _), _ = cv2.getTextSize(text, _FONT, scale, _thickness(height_px))
    return width + 2 * _margin(height_px), height_px + 2 * _margin(height_px)


def label(
    image: np.ndarray,
    text: str,
    corner: tuple[int, int],
    height_px: int,
    color: Color = WHITE,
    ground: Color = DARK,
    opacity: float = 0.7,
) -> None:
    """Write text on a box of `ground`, in place.

    Args:
        image: uint8 (H, W, 3) RGB, writeable.
        text: what to write, in ASCII.
        corner: left and top of the box in px; moved inward if the box would leave the image.
        height_px: of capitals.
        color: of the text.
        ground: color of the box.
        opacity: of the box, 0-1.
    """
    width, height = text_size(text, height_px)
    rows, columns = image.shape[:2]
    x = max(0, min(corner[0], columns - width))
    y = max(0, min(corner[1], rows - height))
    tint(image[y : y + height, x : x + width], ground, opacity)
    margin = _margin(height_px)
    origin = (x + margin, y + margin + height_px)
    cv2.putText(image, text, origin, _FONT, height_px / _CAP_HEIGHT_PX, color, _thickness(height_px), cv2.LINE_AA)


def tint(area: np.ndarray, color: Color, opacity: float, where: np.ndarray | None = None) -> None:
    """Mix a color into an image or a part of it, in place.

    Args:
        area: uint8 (H, W, 3) RGB.
        color: to mix in.
        opacity: of the color, 0-1.
        where: bool (H, W); None: everywhere.
    """
    chosen = slice(None) if where is None else where
    mixed = area[chosen] * np.float32(1 - opacity) + np.array(color, np.float32) * np.float32(opacity)
    area[chosen] = mixed.astype(np.uint8)


def box(image: np.ndarray, x: int, y: int, width: int, height: int, color: Color) -> None:
    """Draw the outline of a rectangle in px, in place."""
    thickness = max(1, round(image.shape[0] * _LINE_PER_HEIGHT))
    cv2.rectangle(image, (x, y), (x + width - 1, y + height - 1), color, thickness, cv2.LINE_AA)


def clock(seconds: float | None) -> str:
    """A presentation time for people: ``1:02:03.45``."""
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

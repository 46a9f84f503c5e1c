"""A painted landscape, larger than the frame, and the two objects that move in it.

Drawn from noise and simple shapes, so that every part has texture to track. The same seed gives the same image. All
sizes and colors are chosen by hand.
"""

from __future__ import annotations

import cv2
import numpy as np

_SUPERSAMPLING = 4
"""Objects are drawn at this many times their size and scaled down, for smooth edges."""


def octaves(shape: tuple[int, int], rng: np.random.Generator, largest_px: float, smallest_px: float) -> np.ndarray:
    """Smooth noise: layers of random grids, each half as coarse and half as strong as the one before.

    Returns:
        float32 (H, W), mean near 0, most values within -1 to 1.
    """
    height, width = shape
    total = np.zeros(shape, np.float32)
    cell, strength = largest_px, 1.0
    while cell >= smallest_px:
        grid = rng.standard_normal((int(height / cell) + 3, int(width / cell) + 3)).astype(np.float32)
        size = (int(grid.shape[1] * cell), int(grid.shape[0] * cell))
        total += strength * cv2.resize(grid, size, interpolation=cv2.INTER_CUBIC)[:height, :width]
        cell, strength = cell / 2, strength / 2
    return total / 1.5


def paint_landscape(width: int, height: int, scale: float, horizon: float, road: float, seed: int) -> np.ndarray:
    """Sky, three ranges of hills, a village, fields, and a road.

    Args:
        width: of the canvas, px.
        height: of the canvas, px.
        scale: size of what is drawn; 1 for a frame 360 px high.
        horizon: y of the foot of the hills, px.
        road: y of the middle of the road, px.
        seed: chooses the landscape.

    Returns:
        uint8 (H, W, 3) RGB.
    """
    rng = np.random.default_rng(seed)
    canvas = _sky(width, height, scale, rng)
    for distance in (1.0, 0.6, 0.25):
        _hills(canvas, horizon, distance, scale, rng)
    _fields(canvas, horizon, scale, rng)
    _village(canvas, horizon + 14 * scale, scale, rng)
    _road(canvas, road, scale)
    _trees(canvas, horizon, road, scale, rng)
    canvas += (octaves((height, width), rng, 16 * scale, 2.0) * 9)[..., None]
    return np.clip(canvas, 0, 255).astype(np.uint8)


def paint_car(scale: float) -> tuple[np.ndarray, np.ndarray]:
    """A car seen from the side: uint8 (H, W, 3) RGB and float32 (H, W) opacity 0-1, 84x36 px at scale 1."""
    pen = _Pen(84, 36, scale)
    pen.shape([(4, 26), (5, 17), (22, 14), (31, 4), (56, 4), (66, 14), (79, 17), (81, 26)], (206, 48, 40))
    pen.shape([(26, 14), (33, 7), (43, 7), (43, 14)], (196, 226, 240))
    pen.shape([(46, 14), (46, 7), (54, 7), (61, 14)], (172, 208, 228))
    pen.shape([(5, 22), (80, 22), (81, 26), (4, 26)], (150, 30, 28))
    pen.shape([(76, 17), (80, 18), (80, 21), (76, 21)], (255, 236, 160))
    for x in (21, 63):
        pen.disc((x, 26), 8, (28, 28, 32))
        pen.disc((x, 26), 4, (190, 190, 196))
        pen.disc((x + 1, 25), 1.5, (90, 90, 96))
    return pen.image()


def paint_balloon(scale: float) -> tuple[np.ndarray, np.ndarray]:
    """A hot-air balloon: as `paint_car`, 72x100 px at scale 1."""
    pen = _Pen(72, 100, scale)
    colors = ((238, 96, 54), (250, 206, 76), (66, 140, 198), (250, 206, 76), (238, 96, 54))
    pen.disc((36, 36), 33, colors[0])
    pen.shape([(10, 56), (62, 56), (44, 82), (28, 82)], colors[0])
    for index, half_width in enumerate((26.0, 17.0, 7.0)):
        color = colors[index + 1] if index else (250, 206, 76)
        pen.ellipse((36, 36), (half_width, 33), color)
        foot = half_width * 8 / 33
        pen.shape([(36 - half_width * 0.79, 56), (36 + half_width * 0.79, 56), (36 + foot, 82), (36 - foot, 82)], color)
    pen.shape([(28, 82), (44, 82), (42, 88), (30, 88)], (92, 60, 40))
    pen.shape([(30, 88), (42, 88), (41, 98), (31, 98)], (150, 104, 60))
    pen.shape([(30, 91), (42, 91), (42, 93), (30, 93)], (104, 70, 42))
    return pen.image()


class _Pen:
    """Draws with smooth edges, by drawing large and scaling down."""

    def __init__(self, width: int, height: int, scale: float) -> None:
        self._factor = scale * _SUPERSAMPLING
        self._size = (max(4, round(width * scale)), max(4, round(height * scale)))
        large = (self._size[1] * _SUPERSAMPLING, self._size[0] * _SUPERSAMPLING)
        self._color = np.zeros((*large, 3), np.uint8)
        self._opacity = np.zeros(large, np.uint8)

    def shape(self, corners: list[tuple[float, float]], color: tuple[int, int, int]) -> None:
        points = np.rint(np.array(corners) * self._factor).astype(np.int32)
        cv2.fillPoly(self._color, [points], color)
        cv2.fillPoly(self._opacity, [points], 255)

    def disc(self, centre: tuple[float, float], radius: float, color: tuple[int, int, int]) -> None:
        self.ellipse(centre, (radius, radius), color)

    def ellipse(self, centre: tuple[float, float], radii: tuple[float, float], color: tuple[int, int, int]) -> None:
        middle = (round(centre[0] * self._factor), round(centre[1] * self._factor))
        axes = (round(radii[0] * self._factor), round(radii[1] * self._factor))
        cv2.ellipse(self._color, middle, axes, 0, 0, 360, color, -1)
        cv2.ellipse(self._opacity, middle, axes, 0, 0, 360, 255, -1)

    def image(self) -> tuple[np.ndarray, np.ndarray]:
        # Colors spread beyond the edge, or scaling down would darken it.
        spread = cv2.dilate(self._color, np.ones((2 * _SUPERSAMPLING + 1,) * 2, np.uint8))
        color = np.where(self._opacity[..., None] > 0, self._color, spread)
        opacity = cv2.resize(self._opacity, self._size, interpolation=cv2.INTER_AREA)
        return cv2.resize(color, self._size, interpolation=cv2.INTER_AREA), opacity.astype(np.float32) / 255


def _sky(width: int, height: int, scale: float, rng: np.random.Generator) -> np.ndarray:
    down = np.linspace(0, 1, height, dtype=np.float32)[:, None, None]
    canvas = (1 - down) * np.array([70, 128, 204], np.float32) + down * np.array([255, 222, 176], np.float32)
    canvas = np.broadcast_to(canvas, (height, width, 3)).copy()
    stretched = octaves((height, width // 2 + 1), rng, 60 * scale, 3 * scale)
    clouds = cv2.resize(stretched, (width, height), interpolation=cv2.INTER_LINEAR)
    cover = np.clip((clouds - 0.1) * 0.9, 0, 0.85)[..., None]
    return canvas * (1 - cover) + cover * np.array([255, 250, 244], np.float32)


def _hills(canvas: np.ndarray, horizon: float, distance: float, scale: float, rng: np.random.Generator) -> None:
    height, width = canvas.shape[:2]
    line = octaves((1, width), rng, 160 * scale, 4 * scale)[0]
    crest = horizon - (18 + 70 * distance) * scale - line * (10 + 22 * distance) * scale
    rows = np.arange(height, dtype=np.float32)[:, None]
    inside = np.clip(rows - crest[None, :], 0, 1)[..., None]
    shade = octaves((height, width), rng, 48 * scale, 2 * scale)[..., None]
    near, far = np.array([58, 98, 62], np.float32), np.array([132, 150, 186], np.float32)
    color = near * (1 - distance) + far * distance + shade * (26 - 8 * distance)
    if distance == 1.0:
        snow = np.clip((crest[None, :] + 16 * scale - rows) / (5 * scale) + shade[..., 0], 0, 1)[..., None]
        color = color * (1 - snow) + snow * np.array([240, 244, 250], np.float32)
    canvas[:] = canvas * (1 - inside) + inside * color


def _fields(canvas: np.ndarray, horizon: float, scale: float, rng: np.random.Generator) -> None:
    height, width = canvas.shape[:2]
    top = int(horizon)
    rows, columns = np.mgrid[top:height, 0:width].astype(np.float32)
    depth = (rows - top) / max(1, height - top)
    seeds = rng.uniform((0, 0), (width, height - top), (36, 2)).astype(np.float32)
    colors = np.array([[122, 158, 66], [164, 176, 82], [92, 134, 60], [196, 178, 98], [136, 118, 70]], np.float32)
    nearest = np.full(rows.shape, np.inf, np.float32)
    patch = np.zeros(rows.shape, np.int32)
    for index, (x, y) in enumerate(seeds):
        distance = (columns - x) ** 2 + ((rows - top - y) * 3) ** 2
        closer = distance < nearest
        nearest[closer], patch[closer] = distance[closer], index
    furrows = np.sin((columns * np.cos(patch * 1.7) + rows * 2.2 * np.sin(patch * 1.7 + 0.6)) / (2.2 * scale))
    ground = colors[patch % len(colors)] * (0.78 + 0.3 * depth[..., None]) + furrows[..., None] * 9
    ground += octaves(rows.shape, rng, 40 * scale, 2 * scale)[..., None] * 16
    canvas[top:] = ground


def _village(canvas: np.ndarray, foot: float, scale: float, rng: np.random.Generator) -> None:
    walls = ((232, 214, 184), (216, 176, 140), (198, 202, 206), (240, 228, 206), (186, 120, 96))
    roofs = ((150, 66, 48), (112, 72, 62), (92, 98, 112))
    x = 20 * scale
    while x < canvas.shape[1] - 50 * scale:
        wide, high = rng.uniform(24, 46) * scale, rng.uniform(18, 34) * scale
        base = foot + rng.uniform(-3, 6) * scale
        corners = [(x, base), (x, base - high), (x + wide, base - high), (x + wide, base)]
        _polygon(canvas, corners, walls[rng.integers(len(walls))])
        ridge = [(x - 3 * scale, base - high), (x + wide / 2, base - high * 1.55), (x + wide + 3 * scale, base - high)]
        _polygon(canvas, ridge, roofs[rng.integers(len(roofs))])
        for row in range(1, int(high / (11 * scale)) + 1):
            for column in range(int(wide / (9 * scale))):
                left, top = x + (3 + 9 * column) * scale, base - high + (11 * row - 7) * scale
                pane = [
                    (left, top),
                    (left + 4 * scale, top),
                    (left + 4 * scale, top + 6 * scale),
                    (left, top + 6 * scale),
                ]
                _polygon(canvas, pane, (64, 74, 92) if rng.random() < 0.7 else (252, 224, 140))
        x += wide + rng.choice([6, 9, 14, 60]) * scale


def _road(canvas: np.ndarray, middle: float, scale: float) -> None:
    width = canvas.shape[1]
    for half, color in ((25, (150, 142, 120)), (21, (92, 92, 98))):
        rectangle = [(0, middle - half * scale), (width, middle - half * scale)]
        rectangle += [(width, middle + half * scale), (0, middle + half * scale)]
        _polygon(canvas, rectangle, color)
    for x in np.arange(0, width, 44 * scale).tolist():
        dash = [
            (x, middle - scale),
            (x + 22 * scale, middle - scale),
            (x + 22 * scale, middle + scale),
            (x, middle + scale),
        ]
        _polygon(canvas, dash, (236, 230, 206))


def _trees(canvas: np.ndarray, horizon: float, road: float, scale: float, rng: np.random.Generator) -> None:
    height, width = canvas.shape[:2]
    behind = rng.uniform((0, horizon + 18 * scale), (width, road - 30 * scale), (int(width / scale / 26), 2))
    before = rng.uniform((0, road + 48 * scale), (width, height + 20 * scale), (int(width / scale / 40), 2))
    for x, y in sorted([*behind.tolist(), *before.tolist()], key=lambda place: place[1]):
        size = (5 + 9 * (y - horizon) / (height - horizon)) * scale
        _polygon(
            canvas,
            [(x - size / 6, y), (x + size / 6, y), (x + size / 6, y - size), (x - size / 6, y - size)],
            (84, 62, 44),
        )
        green = np.array([46, 92, 40]) + rng.integers(-14, 26, 3)
        for offset_x, offset_y, radius in rng.uniform((-0.7, -2.1, 0.35), (0.7, -0.9, 0.75), (9, 3)):
            shade = green + 34 * (-offset_y - 1.4) + rng.integers(-10, 10)
            centre = (round(x + offset_x * size), round(y + offset_y * size))
            cv2.circle(canvas, centre, max(1, round(radius * size)), shade.tolist(), -1, cv2.LINE_AA)


def _polygon(canvas: np.ndarray, corners: list[tuple[float, float]], color: tuple[int, int, int]) -> None:
    cv2.fillPoly(canvas, [np.rint(np.array(corners)).astype(np.int32)], color)

"""Draws the block diagrams of the documentation: python docs/figures/make_diagrams.py"""

from __future__ import annotations

from html import escape
from pathlib import Path

FOLDER = Path(__file__).resolve().parent
INK, PAPER = "#263238", "#ffffff"
FILLS = {"data": "#eceff1", "step": "#ffe0b2", "stream": "#cfd8dc"}
LINE_PX, BOX_HEIGHT_PX = 15, 52

Box = tuple[float, float, float, str, str]
"""x, y, width in px; kind; label, its lines apart by a bar."""
Arrow = tuple[int, int]
"""Indices of two boxes."""

ARCHITECTURE: tuple[list[Box], list[Arrow]] = (
    [
        (10, 90, 92, "data", "file|camera"),
        (132, 90, 92, "step", "Decoder"),
        (254, 90, 92, "stream", "decoder|Frame"),
        (376, 90, 100, "step", "OpticalFlow"),
        (506, 90, 92, "stream", "flow|Flow"),
        (636, 10, 110, "step", "Stabilization"),
        (636, 90, 110, "step", "MotionMask"),
        (636, 170, 110, "step", "your stage"),
        (776, 10, 110, "stream", "stabilization|Stabilized"),
        (776, 90, 110, "stream", "motion_mask|Mask"),
        (776, 170, 110, "stream", "your_stage|Data"),
        (916, 10, 104, "step", "VideoWriter"),
        (916, 90, 104, "step", "EventLog"),
        (916, 170, 104, "step", "your program"),
    ],
    [(0, 1), (1, 2), (2, 3), (3, 4), (4, 5), (4, 6), (4, 7), (5, 8), (6, 9), (7, 10), (8, 11), (9, 12), (10, 13)],
)
STABILIZATION: tuple[list[Box], list[Arrow]] = (
    [
        (10, 10, 120, "data", "flow on the|1/8 grid"),
        (10, 90, 120, "data", "luma of both|frames"),
        (170, 10, 130, "step", "robust fit|of a plane model"),
        (170, 90, 130, "step", "alignment of|the frames"),
        (340, 50, 120, "data", "camera motion|3 x 3 matrix"),
        (500, 10, 120, "step", "parallax|mesh of gains"),
        (500, 90, 120, "data", "camera path|sum of motions"),
        (660, 90, 130, "step", "slow movement|below the cutoff"),
        (660, 10, 130, "step", "zoom, bounds|detours"),
        (830, 50, 80, "data", "correction"),
        (940, 50, 80, "step", "warp"),
    ],
    [(0, 2), (2, 4), (1, 3), (3, 4), (4, 5), (4, 6), (5, 6), (6, 7), (7, 8), (8, 9), (9, 10)],
)
MASKS: tuple[list[Box], list[Arrow]] = (
    [
        (10, 10, 110, "data", "flow on the|1/8 grid"),
        (10, 90, 110, "data", "frame"),
        (160, 10, 120, "step", "minus the|camera's motion"),
        (160, 90, 120, "step", "background,|placed and lit"),
        (320, 10, 120, "data", "moving cells|px/s"),
        (320, 90, 120, "data", "evidence|sigmas"),
        (480, 50, 110, "step", "foreground"),
        (630, 50, 110, "step", "regions"),
        (780, 50, 110, "step", "tracks|proof in time"),
        (930, 10, 90, "data", "mask"),
        (930, 90, 90, "data", "events"),
    ],
    [(0, 2), (1, 3), (2, 4), (3, 5), (4, 6), (5, 6), (6, 7), (7, 8), (8, 9), (8, 10), (2, 3)],
)


def drawn(boxes: list[Box], arrows: list[Arrow]) -> str:
    """The SVG of a diagram."""
    width = max(x + w for x, _, w, _, _ in boxes) + 10
    height = max(y for _, y, _, _, _ in boxes) + BOX_HEIGHT_PX + 10
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" ',
        'font-family="sans-serif" font-size="13">',
        f'<rect width="{width}" height="{height}" rx="8" fill="{PAPER}"/>',
        '<defs><marker id="tip" markerWidth="8" markerHeight="8" refX="7" refY="4" orient="auto">'
        f'<path d="M0 0 L8 4 L0 8 z" fill="{INK}"/></marker></defs>',
    ]
    parts += [_arrow(boxes[start], boxes[end]) for start, end in arrows]
    parts += [_box(box) for box in boxes]
    return "\n".join([*parts, "</svg>"]) + "\n"


def _box(box: Box) -> str:
    x, y, width, kind, label = box
    lines = label.split("|")
    top = y + BOX_HEIGHT_PX / 2 - (len(lines) - 1) * LINE_PX / 2 + 4.5
    text = "".join(
        f'<text x="{x + width / 2}" y="{top + at * LINE_PX}" text-anchor="middle" fill="{INK}">{escape(line)}</text>'
        for at, line in enumerate(lines)
    )
    round_px = 4 if kind == "step" else 16
    return (
        f'<rect x="{x}" y="{y}" width="{width}" height="{BOX_HEIGHT_PX}" rx="{round_px}" fill="{FILLS[kind]}" '
        f'stroke="{INK}"/>{text}'
    )


def _arrow(start: Box, end: Box) -> str:
    """From the right side to the left one, or, where two boxes stand above each other, from edge to edge."""
    if abs(start[0] - end[0]) < 1:
        x = start[0] + start[2] / 2
        down = end[1] > start[1]
        first, last = (start[1] + BOX_HEIGHT_PX, end[1]) if down else (start[1], end[1] + BOX_HEIGHT_PX)
        ends = (x, first, x, last)
    else:
        middle = BOX_HEIGHT_PX / 2
        ends = (start[0] + start[2], start[1] + middle, end[0], end[1] + middle)
    places = " ".join(f'{name}="{value}"' for name, value in zip(("x1", "y1", "x2", "y2"), ends, strict=True))
    return f'<line {places} stroke="{INK}" stroke-width="1.4" marker-end="url(#tip)"/>'


if __name__ == "__main__":
    for name, diagram in (("architecture", ARCHITECTURE), ("stabilization", STABILIZATION), ("motion_masks", MASKS)):
        (FOLDER / f"{name}.svg").write_text(drawn(*diagram))

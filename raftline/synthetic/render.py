"""Scenes -> three frames with exact flow, by array operations on the device that trains.

A layer's point is known by its material coordinates: where it is in the middle frame. So the flow from the first
frame to the second is the material coordinates less the pixel, without an inverse; the flow to the third frame
undoes the bend by fixed-point iteration.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from raftline.synthetic.layer_bounds import Bounds, bounds_of
from raftline.synthetic.scene import WAVES, Bend, Layer, Scene

_UNBEND_STEPS = 8
"""Each step multiplies the error by the bend's slope, at most 0.3: eight steps bring 10 px below 0.001 px."""


class RenderedScenes(NamedTuple):
    """What the three frames show, before any degradation."""

    frames: Tensor
    """(B, 3, 3, H, W): frame, then RGB, 0 to 255."""
    flows: Tensor
    """(B, 2, 2, H, W) px: from the first frame to the second, from the second to the third."""
    visible: Tensor
    """(B, 2, H, W) bool: what the pixel shows is in the next frame, inside it and not hidden."""


class _Group(NamedTuple):
    """Layers at one depth that are painted together: tensors on the device, one row a layer."""

    depth: int
    rows: Tensor | slice
    """The scenes they are of."""
    bounds: Bounds
    """Outside it none of them is seen, in any frame."""
    from_first: Tensor
    """(n, 3, 3): px of the first frame -> px of the middle one."""
    from_third: Tensor
    to_third: Tensor
    bend: tuple[Tensor, Tensor, Tensor] | None
    texture: Tensor
    texture_map: Tensor
    color: Tensor
    shape: Tensor
    shape_map: Tensor
    cell_px: Tensor


def render(scenes: Sequence[Scene], height: int, width: int, tiles: Tensor, shapes: Tensor) -> RenderedScenes:
    """Render at height x width px.

    Args:
        tiles: (N, 3, S, S) uint8, see `texture_tiles`; the result is on its device.
        shapes: (M, 1, 96, 96) float32, see `shape_maps`.
    """
    device = tiles.device
    groups = list(_groups(scenes, height, width, device))
    pixels = _pixels(height, width, device)
    batch = len(scenes)
    frames = torch.empty(batch, 3, 3, height, width, device=device)
    flows = torch.empty(batch, 2, 2, height, width, device=device)
    owners = torch.zeros(batch, 2, height, width, dtype=torch.int32, device=device)
    for group in groups:
        _paint_group(group, pixels, tiles, shapes, frames, flows, owners)
    visible = _visible(groups, pixels + flows, owners, shapes)
    return RenderedScenes(frames.clamp_(0, 255), flows, visible)


def _paint_group(
    group: _Group, pixels: Tensor, tiles: Tensor, shapes: Tensor, frames: Tensor, flows: Tensor, owners: Tensor
) -> None:
    rows, (y, x) = group.rows, group.bounds
    here = pixels[:, y, x]
    first, third = _of_first(group, here), _of_third(group, here)
    middle = here.expand_as(first)
    material = torch.stack([first, middle, third], dim=1)
    colors = _colors(group, material, tiles)
    moved = torch.stack([first - here, _in_third(group, middle) - here], dim=1)
    if group.depth == 0:
        frames[rows], flows[rows] = colors, moved
        return
    distance_px = _distance_px(group, material, shapes)
    frames[rows, :, :, y, x] = torch.lerp(
        frames[rows, :, :, y, x], colors, (distance_px + 0.5).clamp_(0, 1)[:, :, None]
    )
    covered = distance_px[:, :2] > 0
    flows[rows, :, :, y, x] = torch.where(covered[:, :, None], moved, flows[rows, :, :, y, x])
    owners[rows, :, y, x] = owners[rows, :, y, x].masked_fill(covered, group.depth)


def _groups(scenes: Sequence[Scene], height: int, width: int, device: torch.device) -> Iterator[_Group]:
    """Back to front. A GPU takes the layers of a depth at once; a CPU one by one, and only where they are."""
    everywhere = (slice(0, height), slice(0, width))
    for depth in range(max(len(scene.layers) for scene in scenes)):
        rows = [row for row, scene in enumerate(scenes) if depth < len(scene.layers)]
        if depth == 0 or not _one_by_one(device):
            yield _group(depth, rows, [scenes[row].layers[depth] for row in rows], everywhere, device)
            continue
        for row in rows:
            layer = scenes[row].layers[depth]
            bounds = bounds_of(layer, height, width)
            if bounds is not None:
                yield _group(depth, [row], [layer], bounds, device)


def _one_by_one(device: torch.device) -> bool:
    return device.type == "cpu"


def _group(depth: int, rows: list[int], layers: list[Layer], bounds: Bounds, device: torch.device) -> _Group:
    def floats(values: Sequence[object]) -> Tensor:
        return torch.from_numpy(np.asarray(values, np.float32)).to(device)

    return _Group(
        depth=depth,
        rows=slice(rows[0], rows[0] + 1) if len(rows) == 1 else torch.tensor(rows, device=device),
        bounds=bounds,
        from_first=floats([np.linalg.inv(layer.to_first) for layer in layers]),
        from_third=floats([np.linalg.inv(layer.to_third) for layer in layers]),
        to_third=floats([layer.to_third for layer in layers]),
        bend=_bends(layers, device),
        texture=torch.tensor([layer.texture for layer in layers], device=device),
        texture_map=floats([layer.texture_map for layer in layers]),
        color=floats([layer.color for layer in layers]),
        shape=torch.tensor([layer.shape for layer in layers], device=device),
        shape_map=floats([np.zeros((2, 3)) if layer.shape_map is None else layer.shape_map for layer in layers]),
        cell_px=floats([layer.cell_px for layer in layers]),
    )


_NO_BEND = Bend(np.zeros((2, WAVES, 2)), np.zeros((WAVES, 2)), np.zeros(WAVES))


def _bends(layers: Sequence[Layer], device: torch.device) -> tuple[Tensor, Tensor, Tensor] | None:
    if all(layer.bend is None for layer in layers):
        return None
    bends = [layer.bend or _NO_BEND for layer in layers]
    amplitudes, frequencies, phases = (
        torch.from_numpy(np.asarray([getattr(bend, name) for bend in bends], np.float32)).to(device)
        for name in ("amplitudes", "frequencies", "phases")
    )
    return amplitudes, frequencies, phases


def _pixels(height: int, width: int, device: torch.device) -> Tensor:
    """(2, H, W): x, then y."""
    y = torch.arange(height, device=device, dtype=torch.float32)
    x = torch.arange(width, device=device, dtype=torch.float32)
    grid_y, grid_x = torch.meshgrid(y, x, indexing="ij")
    return torch.stack([grid_x, grid_y])


def _linear(points: Tensor, matrices: Tensor, row: int) -> Tensor:
    """One row of (n, R, 3) matrices times (n, 2, ..., h, w) points and 1 -> (n, ..., h, w).

    By multiply-and-add: for so small matrices a matrix product takes ten times as long on a CPU.
    """
    shape = (-1,) + (1,) * (points.ndim - 2)
    a, b, c = (matrices[:, row, column].view(shape) for column in range(3))
    return torch.addcmul(torch.addcmul(c, points[:, 1], b), points[:, 0], a)


def _affine(points: Tensor, matrices: Tensor) -> Tensor:
    return torch.stack([_linear(points, matrices, 0), _linear(points, matrices, 1)], dim=1)


def _project(points: Tensor, matrices: Tensor) -> Tensor:
    """(n, 2, h, w) or (2, h, w) points by (n, 3, 3) homographies -> (n, 2, h, w)."""
    if points.ndim == 3:
        points = points.expand(matrices.shape[0], -1, -1, -1)
    return _affine(points, matrices) / _linear(points, matrices, 2)[:, None]


def _offset(group: _Group, frame: int, points: Tensor) -> Tensor:
    assert group.bend is not None
    amplitudes, frequencies, phases = (term[..., None, None] for term in group.bend)
    offset = torch.zeros_like(points)
    for wave in range(WAVES):
        phase = torch.addcmul(phases[:, wave], points[:, 0], frequencies[:, wave, 0])
        height = phase.addcmul_(points[:, 1], frequencies[:, wave, 1]).sin_()
        offset.addcmul_(height[:, None], amplitudes[:, frame, wave])
    return offset


def _of_first(group: _Group, points: Tensor) -> Tensor:
    """Material coordinates of px of the first frame."""
    plane = _project(points, group.from_first)
    return plane if group.bend is None else plane + _offset(group, 0, plane)


def _of_third(group: _Group, points: Tensor) -> Tensor:
    """Material coordinates of px of the third frame."""
    plane = _project(points, group.from_third)
    return plane if group.bend is None else plane + _offset(group, 1, plane)


def _in_third(group: _Group, material: Tensor) -> Tensor:
    """Where material points, that is px of the middle frame, are in the third."""
    plane = material
    if group.bend is not None:
        for _ in range(_UNBEND_STEPS):
            plane = material - _offset(group, 1, plane)
    return _project(plane, group.to_third)


def _sampled(images: Tensor, material: Tensor, matrices: Tensor, beyond: str) -> Tensor:
    """images (n, C, S, S) at material (n, K, 2, h, w) by (n, 2, 3) -> (n, C, K, h, w)."""
    layers, frames, _, height, width = material.shape
    grid = _affine(material.transpose(1, 2), matrices).view(layers, 2, frames * height, width)
    seen = F.grid_sample(images, grid.permute(0, 2, 3, 1), mode="bilinear", padding_mode=beyond, align_corners=False)
    return seen.view(layers, -1, frames, height, width)


def _colors(group: _Group, material: Tensor, tiles: Tensor) -> Tensor:
    """(n, 3, 3, h, w): frame, then RGB."""
    seen = _sampled(tiles[group.texture].float(), material, group.texture_map, "reflection")
    gain, offset = (group.color[..., column, None, None, None] for column in range(2))
    return torch.addcmul(offset, seen, gain).transpose(1, 2)


def _distance_px(group: _Group, material: Tensor, shapes: Tensor) -> Tensor:
    """(n, K, h, w): to the layer's outline, positive inside, of material coordinates (n, K, 2, h, w)."""
    return _sampled(shapes[group.shape], material, group.shape_map, "border")[:, 0] * group.cell_px[:, None, None, None]


def _visible(groups: Sequence[_Group], arrived: Tensor, owners: Tensor, shapes: Tensor) -> Tensor:
    """(B, 2, H, W): arrived (B, 2, 2, H, W) lies in the next frame, and no layer in front of the owner covers it."""
    x, y = arrived.unbind(dim=2)
    height, width = arrived.shape[-2:]
    visible = (x >= -0.5) & (x <= width - 0.5) & (y >= -0.5) & (y <= height - 0.5)
    for group in groups:
        if group.depth:
            there = arrived[group.rows]
            material = torch.stack([there[:, 0], _of_third(group, there[:, 1])], dim=1)
            hidden = (_distance_px(group, material, shapes) > 0) & (owners[group.rows] < group.depth)
            visible[group.rows] = visible[group.rows] & ~hidden
    return visible

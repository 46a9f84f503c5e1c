"""Variational refinement on the CPU, in machine code made by numba at first use.

Threads have bands of rows, and some more around them: a sweep carries a value one row further for each color, so what
a band needs of its neighbours it computes itself, and all are as if there were one. Planes lie row by row, (row,
plane, column), so that a band is one stretch, and have a border, so that the inner loops ask nothing and become vector
instructions. A sweep computes every pixel of a row and keeps those of one color: cheaper than to step over the others.
"""

import math
from collections.abc import Callable
from functools import partial

import numpy as np
import torch
from torch import Tensor

from raftline.kernels.compiled import compiled
from raftline.kernels.cpu_threads import in_threads
from raftline.kernels.variational_refinement.reference import VariationalRules
from raftline.kernels.windows_cpu import Array

_LIBERTIES = {"reassoc", "contract", "nsz", "arcp"}
"""LLVM's fast-math flags without nnan and ninf: comparisons with NaN, which a flow may hold, must stay false."""
_LINEARISED_BEYOND = 2
"""Rows of the images that a row's motion tensor reads on either side."""


def variational_refinement_cpu(luma1: Tensor, luma2: Tensor, flow_px: Tensor, rules: VariationalRules) -> Tensor:
    """As `raftline.kernels.variational_refinement.variational_refinement`, arguments already checked."""
    flow = flow_px.permute(0, 2, 3, 1).contiguous().numpy()
    luma1, luma2 = luma1.contiguous(), luma2.contiguous()
    out = np.empty_like(flow)
    for image in range(len(flow)):
        _refine(luma1[image, 0].numpy(), luma2[image, 0].numpy(), flow[image], rules, out[image])
    return torch.from_numpy(out).permute(0, 3, 1, 2)


def _refine(luma1: Array, luma2: Array, flow_px: Array, rules: VariationalRules, out: Array) -> None:
    """One image, (h, w) each; flow_px and out (h, w, 2)."""
    height, width, _ = flow_px.shape
    flow = np.zeros((height + 2, 2, width + 2), np.float32)
    flow[1:-1, :, 1:-1] = flow_px.transpose(0, 2, 1)
    tensor = np.empty((height, 6, width), np.float32)
    for _ in range(rules.warps):
        _in_bands(partial(_linearise_band, luma1, luma2, flow, rules, tensor), height, width)
        change = np.zeros_like(flow)
        for _ in range(rules.reweightings):
            before, change = change, np.zeros_like(flow)
            _in_bands(partial(_relax_band, flow, before, tensor, rules, change), height, width)
        flow += change
    out[:] = flow[1:-1, :, 1:-1].transpose(0, 2, 1)


def _in_bands(run: Callable[[int, int], None], height: int, width: int) -> None:
    """Call run(begin, end) for a band of rows in each thread."""
    in_threads(lambda begin, end: run(begin // width, end // width), height * width)


def _linearise_band(
    luma1: Array, luma2: Array, flow: Array, rules: VariationalRules, tensor: Array, begin: int, end: int
) -> None:
    """Rows begin to end of `tensor` (h, 6, w), written."""
    height, _, width = tensor.shape
    first, last = max(begin - _LINEARISED_BEYOND, 0), min(end + _LINEARISED_BEYOND, height)
    images = np.empty((last - first + 2 * _LINEARISED_BEYOND, 3, width + 4), np.float32)
    _warp(luma1, luma2, flow, first, last, images)
    _linearise(images, first, np.float32(rules.gradient_floor**2), tensor, begin, end)


def _relax_band(
    flow: Array, before: Array, tensor: Array, rules: VariationalRules, change: Array, begin: int, end: int
) -> None:
    """Rows begin to end of `change`, written, where the sweeps take `before`: (h+2, 2, w+2) each."""
    height, _, width = tensor.shape
    # Two for the rows whose equations lack a neighbour, and an even row first: so all bands have the same colors.
    beyond = 2 * rules.sweeps + 2
    first, last = max(begin - beyond - begin % 2, 0), min(end + beyond, height)
    flow, band = flow[first : last + 2], before[first : last + 2].copy()
    weak = np.zeros((last - first + 2, width + 2), np.float32)
    pulls = np.zeros_like(flow)
    system = np.empty((last - first, 5, width), np.float32)
    _weigh(flow, band, np.float32(rules.step_floor_px**2), np.float32(rules.smoothness), weak)
    _assemble(flow, band, weak, tensor[first:last], np.float32(rules.residual_floor_px**2), pulls, system)
    _sweep(pulls, system, 2 * rules.sweeps, np.float32(rules.relaxation), band)
    change[begin + 1 : end + 1] = band[begin - first + 1 : end - first + 1]


@compiled(fastmath=_LIBERTIES)
def _warp(luma1, luma2, flow, first, last, images):  # type: ignore[no-untyped-def]
    """Mean and difference of the earlier and the warped later image, and whether the flow leads inside.

    luma1, luma2 (h, w), flow (h+2, 2, w+2); images (last-first+4, 3, w+4), written: float32.
    """
    height, width = luma1.shape
    one = np.float32(1)
    half = np.float32(0.5)
    zero = np.float32(0)
    right = np.float32(width - 1)
    bottom = np.float32(height - 1)
    rows = last - first
    for row in range(rows):
        y = first + row
        for x in range(width):
            to_x = np.float32(x) + flow[y + 1, 0, x + 1]
            to_y = np.float32(y) + flow[y + 1, 1, x + 1]
            inside = to_x >= zero and to_x <= right and to_y >= zero and to_y <= bottom
            to_x = to_x if inside else zero
            to_y = to_y if inside else zero
            j = int(to_x)
            i = int(to_y)
            share_x = to_x - np.float32(j)
            share_y = to_y - np.float32(i)
            after = min(j + 1, width - 1)
            below = min(i + 1, height - 1)
            above = luma2[i, j] * (one - share_x) + luma2[i, after] * share_x
            under = luma2[below, j] * (one - share_x) + luma2[below, after] * share_x
            there = above * (one - share_y) + under * share_y
            here = luma1[y, x]
            images[row + 2, 0, x + 2] = half * (here + there) if inside else here
            images[row + 2, 1, x + 2] = there - here if inside else zero
            images[row + 2, 2, x + 2] = one if inside else zero
        for plane in range(2):
            for beside in range(2):
                images[row + 2, plane, beside] = images[row + 2, plane, 2]
                images[row + 2, plane, width + 2 + beside] = images[row + 2, plane, width + 1]
    for beyond in range(2):
        for plane in range(3):  # by elements: to assign an array takes numba 3 s more to compile
            for column in range(width + 4):
                images[beyond, plane, column] = images[2, plane, column]
                images[rows + 2 + beyond, plane, column] = images[rows + 1, plane, column]


@compiled(fastmath=_LIBERTIES)
def _linearise(images, first, floor, tensor, begin, end):  # type: ignore[no-untyped-def]
    """The motion tensor of gradient constancy, rows begin to end. images (rows+4, 3, w+4), from row `first` on;
    tensor (h, 6, w), written: float32."""
    width = tensor.shape[2]
    half = np.float32(0.5)
    quarter = np.float32(0.25)
    two = np.float32(2)
    for row in range(begin, end):
        y = row - first + 2
        for column in range(width):
            x = column + 2
            here = two * images[y, 0, x]
            xx = quarter * (images[y, 0, x + 2] - here + images[y, 0, x - 2])
            yy = quarter * (images[y + 2, 0, x] - here + images[y - 2, 0, x])
            below = images[y + 1, 0, x + 1] - images[y + 1, 0, x - 1]
            xy = quarter * (below - images[y - 1, 0, x + 1] + images[y - 1, 0, x - 1])
            by_x = half * (images[y, 1, x + 1] - images[y, 1, x - 1])
            by_y = half * (images[y + 1, 1, x] - images[y - 1, 1, x])
            weight_x = images[y, 2, x] / (xx * xx + xy * xy + floor)
            weight_y = images[y, 2, x] / (xy * xy + yy * yy + floor)
            tensor[row, 0, column] = weight_x * xx * xx + weight_y * xy * xy
            tensor[row, 1, column] = weight_x * xx * xy + weight_y * xy * yy
            tensor[row, 2, column] = weight_x * xy * xy + weight_y * yy * yy
            tensor[row, 3, column] = weight_x * xx * by_x + weight_y * xy * by_y
            tensor[row, 4, column] = weight_x * xy * by_x + weight_y * yy * by_y
            tensor[row, 5, column] = weight_x * by_x * by_x + weight_y * by_y * by_y


@compiled(fastmath=_LIBERTIES)
def _weigh(flow, change, floor, smoothness, weak):  # type: ignore[no-untyped-def]
    """Half of what holds each pixel to its neighbours. flow, change (h+2, 2, w+2); weak (h+2, w+2), written:
    float32."""
    height = weak.shape[0] - 2
    width = weak.shape[1] - 2
    half = np.float32(0.5) * smoothness
    quarter = np.float32(0.25)
    line = np.empty((2, width + 2), np.float32)
    for y in range(1, height + 1):
        above = max(y - 1, 1)
        below = min(y + 1, height)
        for axis in range(2):
            for x in range(1, width + 1):
                line[axis, x] = flow[y, axis, x] + change[y, axis, x]
            line[axis, 0] = line[axis, 1]
            line[axis, width + 1] = line[axis, width]
        for x in range(1, width + 1):
            u_x = line[0, x + 1] - line[0, x - 1]
            v_x = line[1, x + 1] - line[1, x - 1]
            u_y = flow[below, 0, x] + change[below, 0, x] - flow[above, 0, x] - change[above, 0, x]
            v_y = flow[below, 1, x] + change[below, 1, x] - flow[above, 1, x] - change[above, 1, x]
            weak[y, x] = half / math.sqrt(quarter * (u_x * u_x + v_x * v_x + u_y * u_y + v_y * v_y) + floor)


@compiled(fastmath=_LIBERTIES)
def _assemble(flow, change, weak, tensor, floor, pulls, system):  # type: ignore[no-untyped-def]
    """The linear equations. flow, change (h+2, 2, w+2), weak (h+2, w+2), tensor (h, 6, w): float32. Written, float32:
    pulls (h+2, 2, w+2), to the right and below, and system (h, 5, w), the known side and the inverted pixel.

    In several loops, as one that writes so much is not made of vector instructions.
    """
    height, _, width = system.shape
    one = np.float32(1)
    two = np.float32(2)
    zero = np.float32(0)
    alone = np.float32(1e-9)  # an image of one pixel has no equation
    trust = np.empty(width, np.float32)
    for y in range(1, height + 1):
        last = zero if y == height else one
        for x in range(1, width):
            pulls[y, 0, x] = weak[y, x] + weak[y, x + 1]
        for x in range(1, width + 1):
            pulls[y, 1, x] = last * (weak[y, x] + weak[y + 1, x])
        for x in range(width):
            u = change[y, 0, x + 1]
            v = change[y, 1, x + 1]
            residual = tensor[y - 1, 0, x] * u * u + two * tensor[y - 1, 1, x] * u * v + tensor[y - 1, 2, x] * v * v
            residual += two * (tensor[y - 1, 3, x] * u + tensor[y - 1, 4, x] * v) + tensor[y - 1, 5, x]
            trust[x] = one / math.sqrt(max(residual, zero) + floor)
        for axis in range(2):
            for column in range(width):
                x = column + 1
                here = flow[y, axis, x]
                beside = pulls[y, 0, x] * (flow[y, axis, x + 1] - here)
                beside += pulls[y, 0, x - 1] * (flow[y, axis, x - 1] - here)
                around = pulls[y, 1, x] * (flow[y + 1, axis, x] - here)
                around += pulls[y - 1, 1, x] * (flow[y - 1, axis, x] - here)
                system[y - 1, axis, column] = beside + around - trust[column] * tensor[y - 1, 3 + axis, column]
        for x in range(width):
            total = pulls[y, 0, x] + pulls[y, 0, x + 1] + pulls[y, 1, x + 1] + pulls[y - 1, 1, x + 1] + alone
            uu = total + trust[x] * tensor[y - 1, 0, x]
            uv = trust[x] * tensor[y - 1, 1, x]
            vv = total + trust[x] * tensor[y - 1, 2, x]
            inverse = one / (uu * vv - uv * uv)
            system[y - 1, 2, x] = vv * inverse
            system[y - 1, 3, x] = -uv * inverse
            system[y - 1, 4, x] = uu * inverse


@compiled(fastmath=_LIBERTIES)
def _sweep(pulls, system, turns, relaxation, change):  # type: ignore[no-untyped-def]
    """Relax the pixels of one color, then of the other, `turns` times in all. pulls (h+2, 2, w+2), system (h, 5, w);
    change (h+2, 2, w+2), written: float32.

    A turn follows the one before it a row behind, as soon as what it reads is there: a few rows stay in the cache.
    """
    height, _, width = system.shape
    zero = np.float32(0)
    wanted = np.empty((2, width), np.float32)
    for step in range(height + turns):
        for turn in range(max(step - height, 0), min(turns, step)):
            y = step - turn
            for column in range(width):
                x = column + 1
                left = pulls[y, 0, x - 1]
                right = pulls[y, 0, x]
                up = pulls[y - 1, 1, x]
                down = pulls[y, 1, x]
                u = system[y - 1, 0, column] + left * change[y, 0, x - 1] + right * change[y, 0, x + 1]
                u += up * change[y - 1, 0, x] + down * change[y + 1, 0, x]
                v = system[y - 1, 1, column] + left * change[y, 1, x - 1] + right * change[y, 1, x + 1]
                v += up * change[y - 1, 1, x] + down * change[y + 1, 1, x]
                wanted[0, column] = system[y - 1, 2, column] * u + system[y - 1, 3, column] * v
                wanted[1, column] = system[y - 1, 3, column] * u + system[y - 1, 4, column] * v
            for axis in range(2):
                for column in range(width):
                    share = relaxation if (column + y + turn) % 2 == 1 else zero
                    change[y, axis, column + 1] += share * (wanted[axis, column] - change[y, axis, column + 1])

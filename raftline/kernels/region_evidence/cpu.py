"""The evidence of regions on the CPU, in machine code made by numba at first use.

Where the flow explains everything well there is nothing to find, so only cells within reach of badly explained ones are
compared.
"""

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from raftline.kernels.compiled import compiled
from raftline.kernels.cpu_threads import in_threads
from raftline.kernels.region_evidence.reference import EvidenceRules, RegionEvidence, mean_over_square
from raftline.kernels.windows_cpu import Array, rows_of


def region_evidence_cpu(
    features1: Tensor, features2: Tensor, flow: Tensor, explained: Tensor, rules: EvidenceRules
) -> RegionEvidence:
    """As `raftline.kernels.region_evidence.region_evidence`, arguments already checked."""
    batch, _, height, width = features1.shape
    # Similarities are 1 at most, up to rounding.
    most_possible = mean_over_square((1.0001 - explained - rules.margin).clamp(min=0), rules.side)
    undecided = (most_possible > rules.least).float()
    wanted = F.max_pool2d(undecided, rules.side, stride=1, padding=rules.side // 2) > 0
    sought = torch.zeros(batch, height, width, 2)
    most, others = torch.zeros(batch, 1, height, width), torch.zeros(batch, 1, height, width)
    rows1, rows2, xy = rows_of(features1), rows_of(features2), rows_of(flow)
    for image in range(batch):
        if wanted[image].any():
            cells2 = rows2[image].reshape(height, width, -1)
            known = explained[image, 0].contiguous().numpy(), wanted[image, 0].numpy()
            told = sought[image].numpy(), most[image, 0].numpy(), others[image, 0].numpy()
            _weigh(rows1[image], cells2, xy[image], *known, rules, *told)
    return RegionEvidence(sought.permute(0, 3, 1, 2), most, others)


def _weigh(
    features1: Array,
    features2: Array,
    flow: Array,
    explained: Array,
    wanted: Array,
    rules: EvidenceRules,
    sought: Array,
    most: Array,
    others: Array,
) -> None:
    """One image; the last three are written."""
    height, width, _ = features2.shape
    sides, reach = 2 * rules.reach + 1, rules.reach
    margin, reached, least = np.float32(rules.margin), np.float32(rules.reached), np.float32(rules.least)
    rises = np.empty((height, width, sides * sides), np.float32)
    across = np.empty_like(rises)

    def compare(begin: int, end: int) -> None:
        _compare(features1, features2, flow, explained, wanted, begin, end, reach, margin, reached, rises)

    def add(begin: int, end: int) -> None:
        _add_across(rises, begin, end, rules.side, across)

    def choose(begin: int, end: int) -> None:
        _choose(across, wanted, begin, end, rules.side, reach, rules.alike, least, sought, most, others)

    for run in (compare, add, choose):
        in_threads(run, height * width)


@compiled(fastmath={"reassoc", "contract", "nsz"})
def _compare(features1, features2, flow, explained, wanted, begin, end, reach, margin, reached, rises):  # type: ignore[no-untyped-def]
    """How much better each displacement explains the cells begin to end of N = h * w.

    features1 (N, C), features2 (h, w, C), flow (N, 2), explained (h, w), rises (h, w, D): float32; wanted (h, w) bool.
    """
    height, width, channels = features2.shape
    zero = np.float32(0)
    for pixel in range(begin, end):
        y = pixel // width
        x = pixel - y * width
        if not wanted[y, x]:
            rises[y, x] = zero
            continue
        least = explained[y, x] + margin
        place = 0
        for down in range(-reach, reach + 1):
            row = y + down
            for right in range(-reach, reach + 1):
                column = x + right
                dot = zero
                if row >= 0 and row < height and column >= 0 and column < width:
                    for channel in range(channels):
                        dot += features1[pixel, channel] * features2[row, column, channel]
                near = abs(right - flow[pixel, 0]) <= reached and abs(down - flow[pixel, 1]) <= reached
                rises[y, x, place] = zero if near else max(dot - least, zero)
                place += 1


@compiled
def _add_across(rises, begin, end, side, across):  # type: ignore[no-untyped-def]
    """Sums over a row of the square. rises, across (h, w, D) float32."""
    _, width, displacements = rises.shape
    for pixel in range(begin, end):
        y = pixel // width
        x = pixel - y * width
        across[y, x] = np.float32(0)
        for column in range(max(x - side // 2, 0), min(x + side // 2 + 1, width)):
            for place in range(displacements):
                across[y, x, place] += rises[y, column, place]


@compiled
def _choose(across, wanted, begin, end, side, reach, alike, least, sought, most, others):  # type: ignore[no-untyped-def]
    """Sums over its columns, and the best of them. across (h, w, D), sought (h, w, 2), most, others (h, w): float32."""
    height, width, displacements = across.shape
    sides = 2 * reach + 1
    evidence = np.empty(displacements, np.float32)
    share = np.float32(1) / np.float32(side * side)
    for pixel in range(begin, end):
        y = pixel // width
        x = pixel - y * width
        if not wanted[y, x]:
            continue
        evidence[:] = np.float32(0)
        for row in range(max(y - side // 2, 0), min(y + side // 2 + 1, height)):
            for place in range(displacements):
                evidence[place] += across[row, x, place]
        best = 0
        for place in range(displacements):
            if evidence[place] > evidence[best]:
                best = place
        if not evidence[best] * share > least:
            continue
        second = np.float32(0)
        for place in range(displacements):
            apart = max(abs(place // sides - best // sides), abs(place % sides - best % sides))
            if apart > alike:
                second = max(second, evidence[place])
        sought[y, x, 0] = best % sides - reach
        sought[y, x, 1] = best // sides - reach
        most[y, x] = evidence[best] * share
        others[y, x] = second * share

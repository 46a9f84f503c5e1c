"""How exact the flow has to be that the readers of a stage ask for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, get_args

Accuracy = Literal["coarse", "cells", "pixels", "full"]
"""How exact flow has to be, from cheap to dear. ``coarse``: within about a pixel over the frame, for what registers the
frames itself. ``cells``: right in each cell of the 8 px grid, small objects included. ``pixels``: at every pixel
as exact as the network of the RAFT paper alone. ``full``: as exact as it can be."""
ACCURACIES: tuple[Accuracy, ...] = get_args(Accuracy)


@dataclass(frozen=True)
class Demand:
    """What the readers of a stage ask for by `Stage.accuracy`."""

    accuracy: Accuracy = "full"
    """The strictest of it."""
    readers: tuple[str, ...] = ()
    """Those that ask for that."""
    also: tuple[Accuracy, ...] = ()
    """What the others ask for."""


FULL_DEMAND = Demand()
"""Of readers that say nothing, or of none."""


def demand_of(accuracies: Mapping[str, Accuracy]) -> Demand:
    """The demand of readers by name; ``full`` where there are none."""
    asked: tuple[Accuracy, ...] = tuple(each for each in ACCURACIES if each in accuracies.values())
    if not asked:
        return FULL_DEMAND
    readers = tuple(name for name, each in accuracies.items() if each == asked[-1])
    return Demand(asked[-1], readers, asked[:-1])

"""What is alike put together for one pass of the network, and taken apart again."""

from collections.abc import Callable, Hashable, Mapping
from typing import TypeVar

import torch
from torch import Tensor

from raftline.raft.model import EncodedFrame

T = TypeVar("T")


def grouped(items: Mapping[int, T], key: Callable[[T], Hashable]) -> list[list[int]]:
    """Group the numbers of items by key."""
    groups: dict[Hashable, list[int]] = {}
    for number, item in items.items():
        groups.setdefault(key(item), []).append(number)
    return list(groups.values())


def batch(tensors: list[Tensor]) -> Tensor:
    """Join tensors along their first dimension; a single one is not copied."""
    return tensors[0] if len(tensors) == 1 else torch.cat(tensors)


def join(frames: list[EncodedFrame]) -> EncodedFrame:
    """Join the batches of several encoded frames."""
    return EncodedFrame(*(batch(list(parts)) for parts in zip(*frames, strict=True)))


def item_of(frames: EncodedFrame, place: int) -> EncodedFrame:
    """Take one of a batch of encoded frames, as a batch of one; a view."""
    return EncodedFrame(*(part[place : place + 1] for part in frames))

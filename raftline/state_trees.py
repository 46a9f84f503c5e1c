"""Objects as trees of JSON values and arrays, and back: what a stage keeps for the worker that takes over from it."""

from __future__ import annotations

import dataclasses
import functools
import types
import typing
from collections.abc import Mapping
from typing import Any, TypeVar

import numpy as np

T = TypeVar("T")


def tree_of(value: Any) -> Any:
    """Take a value apart: dataclasses become mappings of their fields, tuples lists; arrays stay as they are."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: tree_of(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, (tuple, list)):
        return [tree_of(each) for each in value]
    if isinstance(value, Mapping):
        return {key: tree_of(each) for key, each in value.items()}
    if isinstance(value, np.generic):
        return np.asarray(value)  # of the same dtype: float32 computes otherwise than a float
    return value


def from_tree(kind: Any, tree: Any) -> Any:
    """The value that `tree_of` took apart.

    Args:
        kind: its type: a dataclass, ``tuple[X, ...]``, ``tuple[X, Y]``, ``list[X]``, ``X | None``, `numpy.ndarray`, or
            one of JSON's.
        tree: what `tree_of` returned, tuples as lists.
    """
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin in (typing.Union, types.UnionType):
        (kind,) = (each for each in arguments if each is not type(None))
        return None if tree is None else from_tree(kind, tree)
    if origin is tuple:
        kinds = arguments[:1] * len(tree) if arguments[1:] == (...,) else arguments
        return tuple(from_tree(each, value) for each, value in zip(kinds, tree, strict=True))
    if origin is list:
        return [from_tree(arguments[0], value) for value in tree]
    if dataclasses.is_dataclass(kind):
        fields = _fields(kind)
        return kind(**{name: from_tree(fields[name], value) for name, value in tree.items()})  # type: ignore[operator]
    if isinstance(tree, np.ndarray) and kind is not np.ndarray:
        return tree[()]
    return tree


@functools.cache
def _fields(kind: Any) -> dict[str, Any]:
    hints = typing.get_type_hints(kind)
    return {field.name: hints[field.name] for field in dataclasses.fields(kind)}

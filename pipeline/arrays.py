"""The arrays of messages: in this process, or where another one has stored them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Union

import numpy as np

Part = tuple[slice, ...]
"""Of an array: a slice of each axis."""


class LazyArray:
    """An array of known shape and dtype whose values are fetched at first use.

    `reference` says where the values are stored, so that passing the array on to another stage takes no copy.
    `load` fetches a part of them, given as an index; all with ``()``.
    """

    __slots__ = ("shape", "dtype", "reference", "_load", "_values")

    def __init__(
        self, shape: tuple[int, ...], dtype: np.dtype[Any], load: Callable[[Part], np.ndarray], reference: Any = None
    ) -> None:
        self.shape = shape
        self.dtype = dtype
        self.reference = reference
        self._load = load
        self._values: np.ndarray | None = None

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        """The values, read-only.

        Raises:
            StalePayloadError: If they were recycled meanwhile (policy ``live`` only).
        """
        if self._values is None:
            values = self._load(())
            values.flags.writeable = False
            self._values = values
        if dtype is not None and dtype != self._values.dtype:
            return self._values.astype(dtype)
        return self._values.copy() if copy else self._values

    def __getitem__(self, part: Part) -> np.ndarray:
        """A part of the values, such as every fourth row and column, fetched without the rest unless that is there.

        Raises:
            StalePayloadError: as `__array__`.
        """
        return self._load(part) if self._values is None else self._values[part]

    def __len__(self) -> int:
        return self.shape[0]

    def __repr__(self) -> str:
        return f"LazyArray(shape={self.shape}, dtype={self.dtype})"


Array = Union[np.ndarray, LazyArray]

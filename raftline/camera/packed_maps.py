"""Small maps of values between -1 and 1, as JSON holds them."""

from __future__ import annotations

import base64
from typing import Any

import numpy as np


def as_packed(values: np.ndarray) -> np.ndarray:
    """Return values as `unpacked_map` gives them back: what goes on from a packed map must go on alike without it."""
    return values.astype(np.float16).astype(np.float32)


def packed_map(values: np.ndarray | None) -> list[Any] | None:
    """Return rows, columns, and the values float32 (rows, columns) as base64 of float16."""
    if values is None:
        return None
    return [*values.shape, base64.b64encode(values.astype(np.float16).tobytes()).decode("ascii")]


def unpacked_map(packed: list[Any] | None) -> np.ndarray | None:
    """Return what `packed_map` packed."""
    if packed is None:
        return None
    rows, columns, text = packed
    return np.frombuffer(base64.b64decode(text), np.float16).astype(np.float32).reshape(rows, columns)

"""Tensors as arrays, and back, to the last bit and in the same layout, on which the order of sums may depend."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

_SAME_SIZE = {torch.bfloat16: torch.int16}
"""dtypes that NumPy does not have, and those that stand for them."""


def kept_tensor(tensor: Tensor | None) -> dict[str, Any] | None:
    """The values of a tensor, its dtype and layout; None of None."""
    if tensor is None:
        return None
    last = tensor.ndim == 4 and not tensor.is_contiguous() and tensor.is_contiguous(memory_format=torch.channels_last)
    values = tensor.detach().cpu().contiguous()
    stands = _SAME_SIZE.get(values.dtype)
    return {
        "values": (values if stands is None else values.view(stands)).numpy(),
        "dtype": str(values.dtype).removeprefix("torch."),
        "channels_last": last,
    }


def restored_tensor(kept: Mapping[str, Any] | None, device: torch.device) -> Any:
    """The tensor that `kept_tensor` took apart, on a device; None of None."""
    if kept is None:
        return None
    tensor = torch.from_numpy(kept["values"]).view(getattr(torch, kept["dtype"])).to(device)
    return tensor.contiguous(memory_format=torch.channels_last) if kept["channels_last"] else tensor

from torch import Tensor

from stages.kernels import reference


def lookup(levels: list[Tensor], coords: Tensor, radius: int) -> Tensor:
    return reference.lookup(levels, coords, radius)

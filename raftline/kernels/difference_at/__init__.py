"""How features differ from those of another frame, at points."""

from raftline.kernels.difference_at.wrapper import difference_at

__all__ = ["difference_at"]

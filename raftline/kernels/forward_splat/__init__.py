"""Flow carried forward along itself."""

from raftline.kernels.forward_splat.wrapper import forward_splat

__all__ = ["forward_splat"]

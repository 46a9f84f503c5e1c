"""Convex upsampling of flow by 8 (RAFT, appendix B)."""

from raftline.kernels.convex_upsample.wrapper import MASK_CHANNELS, convex_upsample

__all__ = ["MASK_CHANNELS", "convex_upsample"]

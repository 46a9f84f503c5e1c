"""Bilinear upsampling of flow by 8."""

from raftline.kernels.bilinear_upsample.wrapper import bilinear_upsample

__all__ = ["bilinear_upsample"]

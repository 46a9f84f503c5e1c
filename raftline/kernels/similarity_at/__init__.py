"""Similarity of features along a flow."""

from raftline.kernels.similarity_at.wrapper import similarity_at

__all__ = ["similarity_at"]

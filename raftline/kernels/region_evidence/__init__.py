"""Evidence for the displacement of a region."""

from raftline.kernels.region_evidence.wrapper import region_evidence

__all__ = ["region_evidence"]

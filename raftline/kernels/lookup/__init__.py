"""The correlation lookup."""

from raftline.kernels.lookup.wrapper import DTYPES, MAX_LEVELS, MAX_RADIUS, lookup

__all__ = ["DTYPES", "MAX_LEVELS", "MAX_RADIUS", "lookup"]

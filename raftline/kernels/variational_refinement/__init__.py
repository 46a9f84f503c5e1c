"""Variational refinement of flow."""

from raftline.kernels.variational_refinement.wrapper import VariationalRules, variational_refinement

__all__ = ["VariationalRules", "variational_refinement"]

"""Ridge regression whose prior variance the samples themselves support (empirical Bayes)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

_MIN_RESIDUAL = 1e-12
"""Squared px: keeps the logarithm of a residual finite where the design explains everything."""
_MIN_SINGULAR = 1e-9
"""Keeps the inverse of a singular value finite; the shrinkage of so small a one is 0."""


@dataclass(frozen=True)
class Ridge:
    """The singular value decomposition of a design (N, K), u @ diag(s) @ vt."""

    u: np.ndarray
    """(N, min(N, K)) float64."""
    s: np.ndarray
    """(min(N, K),) float64, falling."""
    vt: np.ndarray
    """(min(N, K), K) float64."""

    @classmethod
    def of(cls, design: np.ndarray) -> Ridge:
        """Decompose a design (N, K)."""
        return cls(*np.linalg.svd(design, full_matrices=False))

    def __call__(self, target: np.ndarray, variances: np.ndarray, alike: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Regress under several prior variances and average by their likelihood.

        An average, since the choice of one would jump from frame to frame.

        Args:
            target: (N, D) float64.
            variances: (S,) prior variances of a coefficient, in that of the noise.
            alike: (D, D) of 0 and 1: columns that share a prior variance, so that their likelihoods multiply.

        Returns:
            Coefficients (K, D), and the log likelihood of each column (D,), averaged over the variances.
        """
        projected = self.u.T @ target
        explained = variances[:, None] * self.s**2
        shrunk = explained / (1.0 + explained)
        left = (target**2).sum(axis=0) - np.einsum("sk,kd->sd", shrunk, projected**2)
        left = np.maximum(left, _MIN_RESIDUAL)
        likelihood = -0.5 * len(target) * np.log(left) - 0.5 * np.log1p(explained).sum(axis=1)[:, None]
        likelihood = likelihood @ alike
        share = np.exp(likelihood - likelihood.max(axis=0))
        gain = shrunk.T @ (share / share.sum(axis=0)) / np.maximum(self.s, _MIN_SINGULAR)[:, None]
        return self.vt.T @ (gain * projected), likelihood.max(axis=0) + np.log(share.mean(axis=0))

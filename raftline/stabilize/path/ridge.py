"""Ridge regression whose strength the samples themselves bear out."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Ridge:
    """A design (N, K), taken apart."""

    u: np.ndarray
    s: np.ndarray
    vt: np.ndarray

    @classmethod
    def of(cls, design: np.ndarray) -> Ridge:
        return cls(*np.linalg.svd(design, full_matrices=False))

    def __call__(self, target: np.ndarray, priors: np.ndarray, alike: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Coefficients (K, D) for target (N, D): the mean over priors (S,), each as likely as it makes a column.

        A mean, since the choice of one would jump from frame to frame. Also the logarithm of how likely all of them
        make each column, (D,). alike (D, D) of 0 and 1: columns that share a prior, and are made likely together.
        """
        seen = self.u.T @ target
        explained = priors[:, None] * self.s**2
        shrunk = explained / (1.0 + explained)
        left = np.maximum((target**2).sum(axis=0) - np.einsum("sk,kd->sd", shrunk, seen**2), 1e-12)
        likelihood = -0.5 * len(target) * np.log(left) - 0.5 * np.log1p(explained).sum(axis=1)[:, None]
        likelihood = likelihood @ alike
        share = np.exp(likelihood - likelihood.max(axis=0))
        gain = shrunk.T @ (share / share.sum(axis=0)) / np.maximum(self.s, 1e-9)[:, None]
        return self.vt.T @ (gain * seen), likelihood.max(axis=0) + np.log(share.mean(axis=0))

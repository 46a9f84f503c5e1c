"""The robust weights of every least-squares fit of camera motion, to displacements as to pixel values."""

from __future__ import annotations

import numpy as np

TUKEY_SIGMAS = 4.685
"""Where Tukey's biweight reaches 0: 95 % efficiency under Gaussian noise."""


def tukey_weights(residual: np.ndarray, sigma: float) -> np.ndarray:
    """Weigh residuals by Tukey's biweight.

    Args:
        residual: (N,) float.
        sigma: Robust standard deviation of the residuals, in their unit.

    Returns:
        (N,) in [0, 1], of the residual's dtype: 1 at 0, 0 beyond `TUKEY_SIGMAS` sigmas.
    """
    return np.maximum(1.0 - (residual / (TUKEY_SIGMAS * sigma)) ** 2, 0.0) ** 2

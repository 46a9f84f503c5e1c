"""Loading this module readies numba for the first kernel.

It takes 0.2 s of a core, in every process anew, unless it was done before the process was forked.
"""

import numpy as np

from raftline.kernels.compiled import compiled


@compiled
def _nothing() -> np.ndarray:
    return np.zeros(1)  # kernels that make arrays load more of numba


_nothing()

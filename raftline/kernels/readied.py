"""Loading this module readies numba for the first kernel.

Half a second of a core goes into that, in every process anew, unless it was done before the process was forked.
"""

from raftline.kernels.compiled import compiled


@compiled
def _nothing() -> None:
    return


_nothing()

"""Loading this module compiles ahead: see `raftline.kernels.ahead`."""

import raftline.kernels.readied  # noqa: F401 - forks then have numba loaded
from raftline.kernels.ahead import compile_ahead

compile_ahead("flow")

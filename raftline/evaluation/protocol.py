"""The options that flow is evaluated with unless told otherwise."""

from raftline.flow.options import FlowOptions

PROTOCOL = FlowOptions(
    warm_start="never", cold_iterations=1, region_matching=False, variational_refinement=False, precision="float32"
)
"""Each pair on its own, the network alone, in float32: what the RAFT paper measures (arXiv 2003.12039, section 4)."""

"""The stage `synthetic` and its parts."""

from stages.synthetic.stage import SyntheticSource

__all__ = ["SyntheticSource"]

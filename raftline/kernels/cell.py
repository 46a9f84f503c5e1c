"""The cell of the flow grid."""

CELL_PX = 8
"""Side in px: the encoders reduce a frame by 8 (arXiv 2003.12039, section 3.1)."""

"""Data sets in their official layouts, and how far weights are from their truth."""

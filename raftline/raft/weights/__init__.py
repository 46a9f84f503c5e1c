"""Weights: files, names, downloads."""

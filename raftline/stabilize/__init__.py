"""Stabilization: the path a camera is to take, and the warp that takes it there."""

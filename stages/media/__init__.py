"""Pixels and containers: what stages share, as plain functions and small objects.

Knows messages and errors, no stage, no Redis and no configuration.
"""
